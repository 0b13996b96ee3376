"""``qsim inspect``: what every byte of a .qsz file is."""

import dataclasses
from pathlib import Path

import click

from qsim.cli.options import json_option


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--recipe", "show_recipe", is_flag=True, help="Print the recipe that made the file.")
@json_option
def command(file: Path, show_recipe: bool, as_json: bool) -> None:
    r"""Show Deep Compression's table for a file, layer by layer, and what its bytes are spent on.

    \b
    Example:
      qsim inspect lenet.qsz
    """
    from qsim.cli.console import console, echo_json, plain, table
    from qsim.encode.sizes import SizeRow
    from qsim.encode.sizes import table as size_rows
    from qsim.model.compressed import CompressedModel

    model = CompressedModel.load(file)
    rows = size_rows(model)
    split = {str(kind): size for kind, size in model.bytes_by_kind.items()}
    on_disk = file.stat().st_size
    float_bytes = 4 * model.graph.parameters
    if as_json:
        echo_json(
            {
                "file": str(file),
                "hash": model.content_hash,
                "bytes": on_disk,
                "float_bytes": float_bytes,
                "ratio": float_bytes / on_disk,
                "split_bytes": split,
                "layers": [dataclasses.asdict(row) for row in rows],
                "notes": dict(model.notes),
                "weight_source": model.weight_source,
                "recipe": model.recipe_text,
            }
        )
        return
    if show_recipe:
        click.echo(model.recipe_text)
        return

    def cells(row: SizeRow) -> tuple[str, ...]:
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

    columns = (
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
    caption = "Bits per stored entry, filler entries included. The total is the whole file, header included."
    out = console()
    out.print(table(f"{file}: {model.graph.name}", columns, [cells(row) for row in rows], caption=caption))
    shares = [(kind, f"{size:,}", f"{100 * size / on_disk:.1f} %") for kind, size in split.items()]
    out.print(table("Bytes by what they are spent on", ("kind", "bytes", "share"), [*shares, ("file on disk", f"{on_disk:,}", "100.0 %")]))
    out.print(f"{float_bytes:,} bytes of float32 parameters / {on_disk:,} bytes on disk = {float_bytes / on_disk:.2f}x smaller")
    out.print(f"content hash {model.content_hash}", plain(f"weights: {model.weight_source or 'source not stated'}"), sep="\n")
    for name, value in model.notes.items():
        out.print(plain(f"{name}: {value}"))
