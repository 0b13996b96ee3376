"""``qsim inspect`` of a stored network (.qsn)."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from qsim.cli.inspect_verb import share_table, stream_table, streams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsim.encode.network_sizes import MatrixSize, NetworkSizes
    from qsim.formats.layer import CompressedLayer

COLUMNS = ("layer", "constant", "form", "matrix", "weights", "kept", "entries", "weight bits", "index bits", "bytes")
NAMED = 10  # constants in the table; JSON has all


def inspect_network(file: Path, show_passes: bool, as_json: bool) -> None:
    """Print matrices, streams and bytes of a stored network, or only what was done to its weights."""
    from qsim.cli.console import echo_json, progress
    from qsim.cli.plain import plain
    from qsim.encode.network_sizes import network_sizes
    from qsim.model.network_file import NetworkFile

    network = NetworkFile.load(file)
    if show_passes and not as_json:
        click.echo(plain("\n".join(network.network.passes)))
        return
    with progress() as report:
        sizes = network_sizes(network, report)
    if as_json:
        echo_json(_facts(sizes, file))
    else:
        _show(sizes, file)


def _encoded(sizes: "NetworkSizes") -> "Iterable[tuple[str, CompressedLayer]]":
    return ((matrix.layer, matrix.encoded) for matrix in sizes.matrices)


def _facts(sizes: "NetworkSizes", file: Path) -> dict[str, object]:
    from qsim.formats.container import content_hash

    network, on_disk = sizes.file.network, file.stat().st_size
    return {
        "file": str(file),
        "hash": content_hash(sizes.file.data),
        "bytes": on_disk,
        "float_bytes": 4 * network.parameters,
        "ratio": 4 * network.parameters / on_disk,
        "split_bytes": sizes.bytes_by_kind,
        "name": network.name,
        "operators": len(network.operators),
        "inputs": {name: str(network.tensors[name]) for name in network.inputs},
        "outputs": {name: str(network.tensors.get(name, "unknown")) for name in network.outputs},
        "matrices": [_row(matrix) for matrix in sizes.matrices],
        "streams": streams(_encoded(sizes)),
        "constants": dict(sizes.constants),
        "holes": [dataclasses.asdict(hole) for hole in network.holes],
        "weight_source": network.source,
        "passes": list(network.passes),
    }


def _row(matrix: "MatrixSize") -> dict[str, object]:
    names = ("layer", "constant", "form", "rows", "cols", "weights", "kept", "bytes")
    return {name: getattr(matrix, name) for name in names}


def _show(sizes: "NetworkSizes", file: Path) -> None:
    from qsim.cli.console import console
    from qsim.cli.plain import plain
    from qsim.formats.container import content_hash

    network, on_disk, out = sizes.file.network, file.stat().st_size, console()
    out.print(_matrix_table(sizes, file))
    out.print(stream_table(_encoded(sizes)))
    out.print(share_table(sizes.bytes_by_kind, on_disk))
    named = [f"{name} {size:,}" for name, size in sizes.constants[:NAMED]]
    more = f", and {len(sizes.constants) - NAMED} more" if len(sizes.constants) > NAMED else ""
    notes = [
        *(f"in {name}: {network.tensors[name]}" for name in network.inputs),
        *(f"out {name}: {network.tensors.get(name, 'unknown')}" for name in network.outputs),
        f"{len(network.operators):,} operators; constants as they are, in bytes: {', '.join(named) or 'none'}{more}",
        *(f"hole: {hole}" for hole in network.holes),
        f"{4 * network.parameters:,} bytes of float32 parameters / {on_disk:,} bytes on disk = "
        f"{4 * network.parameters / on_disk:.2f}x smaller",
        f"content hash {content_hash(sizes.file.data)}",
        f"weights: {network.source or 'source not stated'}",
        *network.passes,
    ]
    for note in notes:
        out.print(plain(note), soft_wrap=True)


def _matrix_table(sizes: "NetworkSizes", file: Path) -> Table:
    from qsim.cli.console import table

    weights, kept = sum(matrix.weights for matrix in sizes.matrices), sum(matrix.kept for matrix in sizes.matrices)
    total = f"{weights:,}", f"{100 * kept / max(1, weights):.1f} %", "", "", "", f"{sum(matrix.bytes for matrix in sizes.matrices):,}"
    caption = "Bits per stored entry, filler entries included."
    rows = [*map(_cells, sizes.matrices), ("all", "", "", "", *total)]
    return table(f"{file}: {sizes.file.network.name}", COLUMNS, rows, caption=caption, text_columns=4)


def _cells(matrix: "MatrixSize") -> tuple[str, ...]:
    from qsim.formats.layer import StreamKind

    found = {kind: [stream for stream in matrix.encoded.streams if stream.kind is kind] for kind in (StreamKind.WEIGHT, StreamKind.INDEX)}
    entries = sum(stream.symbols for stream in found[StreamKind.WEIGHT])
    bits = [sum(stream.bits for stream in found[kind]) / max(1, entries) for kind in (StreamKind.WEIGHT, StreamKind.INDEX)]
    return (
        matrix.layer,
        matrix.constant,
        matrix.form,
        f"{matrix.rows}x{matrix.cols}",
        f"{matrix.weights:,}",
        f"{100 * matrix.kept / matrix.weights:.1f} %",
        f"{entries:,}",
        *(f"{each:.2f}" for each in bits),
        f"{matrix.bytes:,}",
    )
