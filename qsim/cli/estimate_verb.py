"""``qsim estimate``: a whole float network on machines, without retraining."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsim.cli.options import json_option, technology_option
from qsim.errors import DataError, QsimError, nearest

if TYPE_CHECKING:
    from qsim.cli.trained import Measurement
    from qsim.estimate import Plan, Prepared
    from qsim.model.network import Array, Network
    from qsim.progress import Progress
    from qsim.results import RunResult

DEFAULT_MACHINE = "sparse-layer-dram"


@click.command("estimate")
@click.argument("name", metavar="NETWORK|FILE")
@click.option("--machine", "-m", "machines", multiple=True, metavar="NAME|FILE", help=f"Machine; repeatable. Default: {DEFAULT_MACHINE}.")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a machine field; repeatable.")
@technology_option
@click.option("--input", "given", type=click.Path(path_type=Path, dir_okay=False), help="An .npz file with an array for each input.")
@click.option("--density", type=float, help="Activations that are not zero, 0 to 1, drawn at random instead of inference.")
@click.option(
    "--prune", "kept", multiple=True, metavar="[LAYER=]SHARE", help="Share of the weights to keep, of all layers or of one; repeatable."
)
@click.option("--bits", type=int, help="Bits of a weight's code. Default: as many as the machine has.")
@click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE", help="A size that an ONNX file leaves open: N=1, or input:axis=1.")
@click.option("--seed", default=0, show_default=True, help="Seed of synthetic weights, inputs and drawn activations.")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write the runs to this JSON file.")
@json_option
def command(
    name: str,
    machines: tuple[str, ...],
    changes: tuple[str, ...],
    technology: str,
    given: Path | None,
    density: float | None,
    kept: tuple[str, ...],
    bits: int | None,
    dims: tuple[str, ...],
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Prune and quantise a network without retraining, run it on real or random input, simulate and price every matrix layer.

    NETWORK is a name of `qsim list networks` or an .onnx or .pt2 file. Of networks with trained weights the fidelity to the float network
    is measured too. Operators that are not supported and products of two activations are left out, and said so.

    \b
    Examples:
      qsim estimate vgg-16 --out run.json
      qsim estimate net.onnx --dim N=1 --input images.npz --prune 0.3 -m sparse-layer-dram -m dense-16b-layer-dram
      qsim estimate resnet-50 --density 0.4
      qsim estimate crepe-tiny --bits 4
    """
    from qsim.cli.compare_verb import comparison, comparison_table
    from qsim.cli.console import console, echo_json, messages, progress
    from qsim.cli.simulate_verb import chosen_machines
    from qsim.cli.trained import Measurement
    from qsim.energy.loader import load_technology
    from qsim.estimate import estimate, prepare
    from qsim.results import save_runs

    if given is not None and density is not None:
        raise QsimError(path="--input and --density", rule="one of them", value="both")
    prices, chosen = load_technology(technology), chosen_machines(machines or (DEFAULT_MACHINE,), changes)
    runs: list[RunResult] = []
    with progress() as report:
        network, plan = _network(name, dims, seed, report), _plan(name, kept, bits)
        measurement = Measurement.of(name, network, seed, report)
        for machine in chosen:
            prepared = prepare(network, machine, plan, report)
            images, words = _activations(prepared, given, density, seed, report, measurement)
            measured = {} if measurement is None else {"measured": measurement.compare(prepared.network).text}
            runs.append(estimate(prepared, prices, images, words, **measured, seed=seed, progress=report))
    if out is not None:
        save_runs(out, runs)
    rows = comparison(runs, None)
    fidelity = [] if measurement is None else measurement.rows
    if as_json:
        echo_json({"runs": rows, "weights": runs[0].weight_source, "fidelity": fidelity})
        return
    console().print(comparison_table(runs, rows))
    for machine, row in zip(chosen, fidelity, strict=False):
        console().print(f"{machine.name}: {row['text']}", markup=False, soft_wrap=True)
    messages.print(runs[0].weight_source, markup=False)
    if out is not None:
        console().print(f"written to {out}; next: qsim report {out} --out report/")


def _network(name: str, dims: tuple[str, ...], seed: int, report: "Progress") -> "Network":
    from qsim.cli.import_verb import numbers, read_network
    from workloads import NETWORKS, TRAINED

    known = {**NETWORKS, **TRAINED}
    if name in known:
        return known[name].build(seed)
    path = Path(name)
    if not path.suffix:
        raise QsimError(path="network", rule=f"a file or the name of a network{nearest(name, known)}", value=name, legal=tuple(known))
    return read_network(path, numbers("--dim", dims, int), {}, True, False, seed, report)[0]


def _plan(name: str, kept: tuple[str, ...], bits: int | None) -> "Plan":
    """Published densities of a named network unless others are given."""
    from qsim.estimate import Plan
    from workloads import NETWORKS

    density, densities = 1.0, dict[str, float]()
    if name in NETWORKS:
        density, densities = NETWORKS[name].density, dict(NETWORKS[name].densities)
    for text in kept:
        layer, _, value = text.rpartition("=")
        try:
            share = float(value)
        except ValueError as error:
            raise QsimError(path="--prune", rule="like 0.3 or conv1=0.3", value=text) from error
        if layer:
            densities[layer] = share
        else:
            density, densities = share, {}
    return Plan(density=density, densities=densities, bits=bits)


def _activations(
    prepared: "Prepared",
    given: Path | None,
    density: float | None,
    seed: int,
    report: "Progress",
    measurement: "Measurement | None",
) -> tuple[list[Callable[[], Any]], str]:
    """Return what makes the activations of each image, and in words where they come from."""
    import numpy as np

    from qsim.estimate import draw_zeros, infer_zeros

    if density is not None:
        return [lambda: draw_zeros(prepared, density, seed)], f"density {density:g} stated, drawn with seed {seed}"
    if prepared.network.holes:
        raise QsimError(path="--density", rule="given for a network with holes, which cannot be computed", value=None)
    if given is not None:
        images = _read_inputs(prepared.network, given)
        return [lambda image=image: infer_zeros(prepared, image, report) for image in images], f"inference on {len(images)} of {given.name}"
    if measurement is not None:
        first = measurement.samples.inputs[0]
        return [lambda: infer_zeros(prepared, first, report)], f"inference on the first of {measurement.samples.words}"
    random = np.random.default_rng(seed)
    kinds = {name: prepared.network.tensors[name] for name in prepared.network.inputs}
    drawn = {name: random.random(kind.shape).astype(kind.dtype) for name, kind in kinds.items()}
    return [lambda: infer_zeros(prepared, drawn, report)], f"inference on SYNTHETIC input, uniform 0 to 1, seed {seed}"


def _read_inputs(network: "Network", path: Path) -> "list[dict[str, Array]]":
    """Return the inputs of every inference: arrays as the network takes them, or with one more axis for several."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not an .npz file of plain arrays: {error}") from error
    found: list[dict[str, Array]] = []
    for name in network.inputs:
        kind = network.tensors[name]
        if name not in arrays:
            raise DataError(path=f"{path.name}", rule=f"a file with the array {name}", value=sorted(arrays))
        value = arrays[name].astype(kind.dtype)
        single = value.shape == kind.shape
        batch = value.reshape(-1, *kind.shape) if single or value.shape[1:] in (kind.shape, kind.shape[1:]) else None
        if batch is None or not len(batch):
            raise DataError(path=f"{path.name}.{name}", rule=f"of shape {list(kind.shape)}, or several of them", value=list(value.shape))
        found = found or [{} for _ in batch]
        if len(batch) != len(found):
            raise DataError(path=f"{path.name}.{name}", rule=f"as many as the other inputs, {len(found)}", value=len(batch))
        for image, part in zip(found, batch, strict=True):
            image[name] = part
    return found
