"""``qsim rtl``: the accelerator as Verilog, with a network's memory images and a test bench, to take home."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsim.cli.options import data_option, image_indices, json_option

if TYPE_CHECKING:
    from qsim.arch.architecture import Architecture
    from qsim.progress import Progress
    from rtl.vectors import Vectors

BUSES = ("axi", "uart", "none")


@click.command("rtl")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--machine", "-m", default="sparse-rtl-4", show_default=True, metavar="NAME|FILE", help="Machine that the Verilog is of.")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder that is written.")
@click.option(
    "--bus",
    type=click.Choice(BUSES),
    default="axi",
    show_default=True,
    help="AXI4-Lite and AXI4-Stream, a UART, or the bare accelerator.",
)
@click.option("--divisor", type=click.IntRange(4, (1 << 20) - 1), default=104, show_default=True, help="Clocks a bit of the UART.")
@click.option("--layers", type=click.IntRange(1, 1024), help="Most layers of a network; by default those of FILE, or 4.")
@click.option("--images", default="0:4", show_default=True, metavar="RANGE", help="Test images of the test bench: 7, 3,14,15 or 0:10.")
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/rtl"),
    show_default=True,
    help="Verilog that was made before, by content.",
)
@data_option
@json_option
def command(
    file: Path | None,
    machine: str,
    out: Path,
    bus: str,
    divisor: int,
    layers: int | None,
    images: str,
    build: Path,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write a machine as Verilog, with registers, C header and README, into a folder.

    With a .qsz FILE also its memory images, and a self-checking test bench in plain Verilog that runs the network on real images in any
    simulator and compares every logit and counter: ./run.sh in the folder. The folder is written whole or not at all.

    \b
    Examples:
      qsim rtl lenet.qsz -m sparse-rtl-8 --out accelerator/ && accelerator/run.sh
      qsim rtl -m my-machine.toml --layers 8 --out accelerator/
    """
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, echo_json, progress
    from qsim.errors import MissingExtra

    try:
        from qsim.package import write_package
        from rtl.bus import Bus
    except ImportError as error:
        raise MissingExtra("rtl", "making Verilog") from error
    built = load_machine(machine)
    with progress() as report:
        vectors, source = (None, "") if file is None else _vectors(file, built, images, data, report)
        most = layers or (4 if file is None else 0)
        names = write_package(
            out, built, build_dir=build, bus=Bus(bus, divisor), layers=most, vectors=vectors, source=source, progress=report
        )
    if as_json:
        echo_json({"out": str(out), "machine": built.name, "bus": bus, "files": names})
        return
    hint = f"; try it: {out}/run.sh" if vectors else ""
    console().print(f"{out}: {len(names)} files, module qsim_accelerator of {built.name}{hint}", soft_wrap=True)


def _vectors(file: Path, machine: "Architecture", images: str, data: Path | None, report: "Progress") -> "tuple[Vectors, str]":
    """Return the network of ``file`` with the chosen test images, and how the file is named in the package."""
    import numpy as np

    from qsim.array_job import check_chain
    from qsim.errors import DataError
    from qsim.model.compressed import CompressedModel
    from qsim.package import network_vectors
    from workloads.mnist import load_test

    model, test, indices = CompressedModel.load(file), load_test(data), image_indices(images)
    if any(not 0 <= index < len(test) for index in indices):
        raise DataError(path="--images", rule=f"0 to {len(test) - 1}", value=images)
    check_chain(*model.graph.nodes)
    vectors = network_vectors(model.layers, machine, test.images[list(indices)].astype(np.int64), report)
    return vectors, f"{file.name} ({model.content_hash[:16]})"
