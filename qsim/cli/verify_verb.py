"""``qsim verify``: real inputs through the RTL, compared with SimPy, numba and PyTorch."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from qsim.cli.options import data_option, image_indices, json_option

if TYPE_CHECKING:
    from qsim.formats.fixed import IntArray
    from qsim.model.compressed import CompressedModel
    from qsim.verify import Check


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--machine", "-m", default="sparse-rtl-4", show_default=True, metavar="NAME|FILE", help="Machine that the RTL is made for.")
@click.option("--layers", metavar="NAME,...", help="Layers to run; all by default.")
@click.option("--images", default="0", show_default=True, metavar="RANGE", help="Test images to run: 7, 3,14,15 or 0:10 (end excluded).")
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/rtl"),
    show_default=True,
    help="Built models, by content.",
)
@click.option(
    "--wave",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the run of the one layer and image as waveforms: FILE (.vcd or .fst) of the RTL, beside it (.sim.vcd) that of the "
    "simulator in the same rows, and views of both for GTKWave and Surfer.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Run the network alone on the accelerator, from input to class: thousands of images; compare logits and performance counters.",
)
@click.option(
    "--streamed",
    is_flag=True,
    help="With --whole: the accelerator holds no weights but has those of each layer streamed to its decoders, from a file by column.",
)
@data_option
@json_option
def command(
    file: Path,
    machine: str,
    layers: str | None,
    images: str,
    build: Path,
    wave: Path | None,
    whole: bool,
    streamed: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Run real inputs through the generated RTL under Verilator and compare bits and cycles with SimPy, numba and PyTorch.

    Exit status 1 if anything differs.

    \b
    Example:
      qsim verify lenet.qsz -m sparse-rtl-8 --images 0:3
      qsim verify lenet.qsz -m sparse-rtl-8 --images 0:10000 --whole
      qsim verify by-column.qsz -m sparse-rtl-8 --whole --streamed
      qsim verify lenet.qsz --layers ip3 --images 7 --wave out/seven.vcd
    """
    import numpy as np

    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, echo_json, messages, progress
    from qsim.errors import DataError, QsimError
    from qsim.model.compressed import CompressedModel
    from qsim.verify import verify
    from workloads.mnist import load_test

    model, test, indices = CompressedModel.load(file), load_test(data), image_indices(images)
    if any(not 0 <= index < len(test) for index in indices):
        raise DataError(path="--images", rule=f"0 to {len(test) - 1}", value=images)
    if whole:
        _whole(model, machine, test.images[list(indices)].astype(np.int64), build, layers, wave, streamed, as_json)
        return
    if streamed:
        raise QsimError(path="--streamed", rule="absent without --whole", value="given")
    chosen = tuple(layers.split(",")) if layers else tuple(node.name for node in model.graph.weighted)
    if wave is not None:
        check_wave(wave, chosen, [node.name for node in model.graph.weighted], indices)
    described, inputs = load_machine(machine), test.images[list(indices)].astype(np.int64)
    with progress() as report:
        checks = verify(model, described, inputs, indices, build_dir=build, layers=chosen, progress=report)
        waves = None
        if wave is not None:
            from qsim.wave import write_waves

            waves = write_waves(model, described, chosen[0], inputs[0], wave, build_dir=build, progress=report)
    if as_json:
        echo_json([dataclasses.asdict(check) | {"agree": check.agree} for check in checks])
    else:
        console().print(verify_table(checks, machine))
    if waves is not None:
        messages.print(f"cycle 0 at {waves.start:,} ns, {waves.ticks} ns a cycle; wrote {', '.join(str(path) for path in waves.files)}")
    if not all(check.agree for check in checks):
        sys.exit(1)


def _whole(
    model: "CompressedModel",
    machine: str,
    inputs: "IntArray",
    build: Path,
    layers: str | None,
    wave: Path | None,
    streamed: bool,
    as_json: bool,
) -> None:
    """Verify the network as a whole and print what was found; SimPy, which takes a tenth of a second an input, sees the first ten."""
    from qsim.arch.machine_file import load_machine
    from qsim.cli.console import console, echo_json, progress
    from qsim.cli.whole_table import whole_table
    from qsim.errors import QsimError
    from qsim.verify_network import verify_network

    if layers or wave is not None:
        raise QsimError(path="--layers" if layers else "--wave", rule="absent with --whole", value=layers or str(wave))
    with progress() as report:
        described = load_machine(machine)
        check = verify_network(model, described, inputs, build_dir=build, event_inputs=10, streamed=streamed, progress=report)
    if as_json:
        echo_json(dataclasses.asdict(check) | {"agree": check.agree})
    else:
        console().print(whole_table(check, machine))
    if not check.agree:
        sys.exit(1)


def check_wave(wave: Path, chosen: Sequence[str], names: Sequence[str], images: Sequence[int]) -> None:
    """Raise :class:`QsimError` unless one layer of the network's ``names`` and one image are chosen and ``wave`` has a known suffix."""
    from qsim.errors import QsimError
    from rtl.toolchain import DUMP_SUFFIXES

    if wave.suffix not in DUMP_SUFFIXES:
        raise QsimError(path="--wave", rule="a file name with a known suffix", value=wave.name, legal=DUMP_SUFFIXES)
    if len(chosen) != 1 or chosen[0] not in names:
        raise QsimError(path="--layers", rule="one layer of the network with --wave", value=",".join(chosen), legal=names)
    if len(images) != 1:
        raise QsimError(path="--images", rule="one image with --wave", value=",".join(map(str, images)))


def verify_table(checks: Sequence["Check"], machine: str) -> Table:
    """Build the table that puts RTL, SimPy, numba and PyTorch side by side."""
    from qsim.cli.console import table

    columns = (
        "layer",
        "image",
        "cycles RTL",
        "SimPy",
        "numba",
        "transfers compared",
        "differ",
        "outputs compared",
        "differ (numpy)",
        "(PyTorch)",
        "",
    )
    cells = [
        (
            check.layer,
            check.image,
            f"{check.cycles_rtl:,}",
            f"{check.cycles_event:,}",
            f"{check.cycles_fast:,}",
            f"{check.items:,}",
            check.item_differences,
            check.outputs,
            check.output_differences_numpy,
            "-" if check.output_differences_torch is None else check.output_differences_torch,
            "equal" if check.agree else f"DIFFERENT {check.first_difference}",
        )
        for check in checks
    ]
    caption = "A transfer is the cycle in which an activation is broadcast, leaves a queue, begins and ends in a PE."
    return table(f"RTL of {machine}, SimPy, numba and PyTorch", columns, cells, caption=caption)
