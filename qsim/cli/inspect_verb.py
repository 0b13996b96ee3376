"""``qsim inspect``: what every byte of a .qsz or .qsn file is."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from qsim.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qsim.encode.sizes import SizeRow
    from qsim.formats.layer import CompressedLayer
    from qsim.model.compressed import CompressedModel

COLUMNS = (
    "layer",
    "weights",
    "kept",
    "entries",
    "weight bits",
    "Huffman",
    "entropy",
    "index bits",
    "Huffman",
    "entropy",
    "rate P+Q",
    "rate P+Q+H",
    "bytes",
)


STREAMS = ("layer", "stream", "kind", "symbols", "bytes", "bits a symbol", "entropy")


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--recipe", "show_recipe", is_flag=True, help="Print the recipe that made the file.")
@json_option
def command(file: Path, show_recipe: bool, as_json: bool) -> None:
    """Show Deep Compression's table for a .qsz file, layer by layer, and what its bytes are spent on.

    Of a .qsn file, which `qsim estimate --save` writes: the matrices, and what the bytes are spent on.

    \b
    Examples:
      qsim inspect lenet.qsz
      qsim inspect resnet-50.qsn
    """
    from qsim.cli.console import echo_json
    from qsim.model.compressed import CompressedModel
    from qsim.model.network_file import is_network_file

    if is_network_file(file):
        from qsim.cli.inspect_network import inspect_network

        return inspect_network(file, show_recipe, as_json)
    model = CompressedModel.load(file)
    if as_json:
        echo_json(_facts(model, file))
    elif show_recipe:
        click.echo(model.recipe_text)
    else:
        _show(model, file)
    return None


def _facts(model: "CompressedModel", file: Path) -> dict[str, object]:
    from qsim.encode.sizes import table

    on_disk, float_bytes = file.stat().st_size, model.float_bytes
    return {
        "file": str(file),
        "hash": model.content_hash,
        "bytes": on_disk,
        "float_bytes": float_bytes,
        "ratio": float_bytes / on_disk,
        "split_bytes": {str(kind): size for kind, size in model.bytes_by_kind.items()},
        "shapes": _shapes(model),
        "layers": [dataclasses.asdict(row) for row in table(model)],
        "streams": streams(_encoded(model)),
        "notes": dict(model.notes),
        "weight_source": model.weight_source,
        "recipe": model.recipe_text,
    }


def _encoded(model: "CompressedModel") -> "Iterable[tuple[str, CompressedLayer]]":
    return ((layer.node.name, encoded) for layer, encoded in zip(model.layers, model.encoded_layers, strict=True))


def streams(layers: "Iterable[tuple[str, CompressedLayer]]") -> list[dict[str, object]]:
    """Return the streams of layers, each with its name, as JSON."""
    return [
        {
            "layer": name,
            "stream": stream.name,
            "kind": str(stream.kind),
            "symbols": stream.symbols,
            "bits": stream.bits,
            "entropy_bits": stream.entropy_bits,
        }
        for name, encoded in layers
        for stream in encoded.streams
    ]


def _show(model: "CompressedModel", file: Path) -> None:
    from qsim.cli.console import console
    from qsim.cli.plain import plain

    on_disk, float_bytes = file.stat().st_size, model.float_bytes
    out = console()
    out.print(_size_table(model, file))
    out.print(stream_table(_encoded(model)))
    out.print(share_table({str(kind): size for kind, size in model.bytes_by_kind.items()}, on_disk))
    out.print(plain("shapes: " + ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in _shapes(model))))
    out.print(f"{float_bytes:,} bytes of float32 parameters / {on_disk:,} bytes on disk = {float_bytes / on_disk:.2f}x smaller")
    out.print(f"content hash {model.content_hash}", plain(f"weights: {model.weight_source or 'source not stated'}"), sep="\n")
    for name, value in model.notes.items():
        out.print(plain(f"{name}: {value}"))


def _shapes(model: "CompressedModel") -> list[tuple[str, tuple[int, ...]]]:
    """Return the shape of the input and of what each node gives: height, width and channels of an image."""
    return [("input", model.graph.input_shape), *((node.name, node.output_shape) for node in model.graph.nodes)]


def _size_table(model: "CompressedModel", file: Path) -> Table:
    from qsim.cli.console import table
    from qsim.encode.sizes import table as size_rows

    caption = "Bits per stored entry, filler entries included. The total is the whole file, header included."
    return table(f"{file}: {model.graph.name}", COLUMNS, [_cells(row) for row in size_rows(model)], caption=caption)


def _cells(row: "SizeRow") -> tuple[str, ...]:
    return (
        row.name,
        f"{row.weights:,}",
        f"{100 * row.kept_share:.1f} %",
        f"{row.entries:,}",
        f"{row.weight_bits_pq:.2f}",
        f"{row.weight_bits_pqh:.2f}",
        f"{row.entropy_weight_bits:.2f}",
        f"{row.index_bits_pq:.2f}",
        f"{row.index_bits_pqh:.2f}",
        f"{row.entropy_index_bits:.2f}",
        f"{100 * row.rate_pq:.2f} %",
        f"{100 * row.rate_pqh:.2f} %",
        f"{row.bytes_pqh:,}",
    )


def stream_table(layers: "Iterable[tuple[str, CompressedLayer]]") -> Table:
    """Return the table of the streams of layers, each with its name."""
    from qsim.cli.console import table
    from qsim.formats.layer import StreamKind

    rows = []
    for name, encoded in layers:
        for stream in encoded.streams:
            each = max(1, stream.symbols)
            entropy = f"{stream.entropy_bits / each:.3f}" if stream.kind is not StreamKind.TABLE else "-"
            found = f"{stream.symbols:,}", f"{len(stream.payload):,}", f"{stream.bits / each:.3f}", entropy
            rows.append((name, stream.name, str(stream.kind), *found))
    caption = "Entropy is of first order: what a code that knows the histogram of a stream and nothing else can reach."
    return table("Streams", STREAMS, rows, caption=caption, text_columns=3)


def share_table(split: "Mapping[str, int]", on_disk: int) -> Table:
    """Return the table of what the bytes of a file are spent on."""
    from qsim.cli.console import table

    shares = [(kind, f"{size:,}", f"{100 * size / on_disk:.1f} %") for kind, size in split.items()]
    return table("Bytes by what they are spent on", ("kind", "bytes", "share"), [*shares, ("file on disk", f"{on_disk:,}", "100.0 %")])
