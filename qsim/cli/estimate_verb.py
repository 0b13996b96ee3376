"""``qsim estimate``: a whole float network on machines, without retraining."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from qsim.cli.options import OutFile, image_indices, images_option, json_option, technology_option
from qsim.errors import DataError, QsimError, nearest

if TYPE_CHECKING:
    from qsim.cli.trained import Measurement
    from qsim.energy.technology import Technology
    from qsim.estimate import Plan, Prepared
    from qsim.model.network import Array, Network
    from qsim.model.network_file import NetworkFile
    from qsim.progress import Progress
    from qsim.results import RunResult

DEFAULT_MACHINE = "sparse-layer-dram"


@click.command("estimate")
@click.argument("name", metavar="NETWORK|FILE")
@click.option("--machine", "-m", "machines", multiple=True, metavar="NAME|FILE", help=f"Machine; repeatable. Default: {DEFAULT_MACHINE}.")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a machine field; repeatable.")
@technology_option
@click.option("--weights", type=click.Path(path_type=Path, dir_okay=False), help="Trained weights of a named network (.safetensors, .pth).")
@click.option("--input", "given", type=click.Path(path_type=Path, dir_okay=False), help="An .npz file with an array for each input.")
@click.option("--data", type=click.Path(path_type=Path), help="Real pictures: cifar-10-batches-bin, or a folder a class as ImageNet has.")
@images_option
@click.option("--normalise", type=click.Choice(["cifar-10", "imagenet"]), help="Means and deviations of the pictures. Default: their own.")
@click.option("--density", type=float, help="Activations that are not zero, 0 to 1, drawn at random instead of inference.")
@click.option(
    "--keep", "kept", multiple=True, metavar="[LAYER=]SHARE", help="Share of the weights to keep, of all layers or of one; repeatable."
)
@click.option("--bits", type=int, help="Bits of a weight's code. Default: as many as the machine has.")
@click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE", help="A size that an ONNX file leaves open: N=1, or input:axis=1.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of synthetic weights, inputs, drawn activations.")
@click.option("--save", type=OutFile(), help="Write the quantised network of the first machine (.qsn).")
@click.option("--out", "-o", type=OutFile(), help="Write the runs to this JSON file.")
@json_option
def command(
    name: str,
    machines: tuple[str, ...],
    changes: tuple[str, ...],
    technology: str,
    weights: Path | None,
    given: Path | None,
    data: Path | None,
    images: str,
    normalise: str | None,
    density: float | None,
    kept: tuple[str, ...],
    bits: int | None,
    dims: tuple[str, ...],
    seed: int,
    save: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Prune and quantise a network without retraining, run it on real or random input, simulate and price every matrix layer.

    NETWORK is a name of `qsim list networks` or an .onnx, .pt2 or .qsn file (--save writes it; its matrices run as stored where they can).
    Of trained networks the fidelity is measured too. Of products of two activations (attention) one operand is written into the weight
    memories at run time, and said apart from the file. What cannot be simulated is left out, and said so.

    \b
    Examples:
      qsim estimate vgg-16 --out run.json
      qsim estimate net.onnx --dim N=1 --input images.npz --keep 0.3 -m sparse-layer-dram -m dense-16b-layer-dram
      qsim estimate resnet-50 --density 0.4 --save resnet-50.qsn
      qsim estimate resnet-50.qsn --density 0.4
      qsim estimate resnet-32 --weights resnet32.pth --data cifar-10-batches-bin --images 0:8
      qsim estimate crepe-tiny --bits 4
    """
    from qsim.cli.console import progress
    from qsim.cli.simulate_verb import chosen_machines
    from qsim.cli.trained import Measurement
    from qsim.energy.loader import load_technology
    from qsim.estimate import NOT_MEASURED, estimate, prepare

    _check_sources(given, data, density, normalise)
    prices, chosen = load_technology(technology), chosen_machines(machines or (DEFAULT_MACHINE,), changes)
    runs: list[RunResult] = []
    with progress() as report:
        (network, stored), plan = _network(name, weights, dims, seed, report), _plan(name, kept, bits)
        pictures = None if data is None else _pictures(network, data, images, normalise, report)
        measurement = Measurement.of(name, network, seed, report)
        for machine in chosen:
            prepared = prepare(network, machine, plan, report, stored)
            if save is not None and not runs:
                prepared.file.save(save)
            if pictures is not None:
                runs.append(pictures(prepared, prices, seed))
                continue
            feeds, words = _activations(prepared, given, density, seed, report, measurement)
            measured = NOT_MEASURED if measurement is None else measurement.compare(prepared.network).text
            runs.append(estimate(prepared, prices, feeds, words, measured=measured, seed=seed, progress=report))
    _show(runs, [machine.name for machine in chosen], [] if measurement is None else measurement.rows, out, as_json)


def _check_sources(given: Path | None, data: Path | None, density: float | None, normalise: str | None) -> None:
    """Refuse options of activations that contradict each other or would do nothing."""
    if sum(option is not None for option in (given, data, density)) > 1:
        raise QsimError(path="--input, --data and --density", rule="one of them", value="more")
    if data is None and (normalise is not None or not _is_default("images")):
        raise QsimError(path="--images and --normalise", rule="given together with --data", value="alone")


def _show(runs: "list[RunResult]", machines: list[str], fidelity: "list[dict[str, Any]]", out: Path | None, as_json: bool) -> None:
    """Save and print what was found."""
    from qsim.cli.compare_verb import comparison, comparison_table, operand_text
    from qsim.cli.console import console, echo_json, messages
    from qsim.cli.plain import plain
    from qsim.results import save_runs

    if out is not None:
        save_runs(out, runs)
    rows = comparison(runs, None)
    if as_json:
        echo_json({"runs": rows, "weights": runs[0].weight_source, "fidelity": fidelity})
        return
    console().print(comparison_table(runs, rows))
    for machine, row in zip(machines, fidelity, strict=False):
        console().print(f"{machine}: {row['text']}", markup=False, soft_wrap=True)
    for run in runs:
        if text := operand_text(run):
            console().print(f"{run.architecture.name}: {text}", markup=False, soft_wrap=True)
        if run.gaps:
            console().print(f"{run.architecture.name}: NOT simulated: {'; '.join(run.gaps)}", markup=False, soft_wrap=True)
    messages.print(plain(runs[0].weight_source), markup=False)
    if out is not None:
        console().print(f"written to {out}; next: qsim report {out} --out report/")


def _network(name: str, weights: Path | None, dims: tuple[str, ...], seed: int, report: "Progress") -> "tuple[Network, NetworkFile | None]":
    """Return the network, and the file that holds its matrices quantised, if it is one."""
    from qsim.cli.import_verb import numbers, read_network
    from qsim.estimate import restore
    from qsim.model.network_file import NetworkFile, is_network_file
    from workloads import NETWORKS, TRAINED
    from workloads.state_dict import load_state

    known = {**NETWORKS, **TRAINED}
    if weights is not None and name not in NETWORKS:
        raise QsimError(path="--weights", rule="used with the name of a network without weights of its own", value=str(weights))
    if weights is not None:
        return load_state(NETWORKS[name].build(seed), NETWORKS[name].counterpart, weights), None
    path, stored = Path(name), name not in known and (is_network_file(name) or Path(name).suffix == ".qsn")
    if dims and (stored or name in known):
        kind = "a stored network" if stored else "a network by name"
        raise QsimError(path="--dim", rule=f"absent for {kind}, whose sizes are fixed", value=dims[0])
    if name in known:
        return known[name].build(seed), None
    if stored:
        file = NetworkFile.load(path)
        return restore(file), file
    if not path.suffix:
        raise QsimError(path="network", rule=f"a file or the name of a network{nearest(name, known)}", value=name, legal=tuple(known))
    return read_network(path, numbers("--dim", dims, int), {}, True, False, seed, report)[0], None


def _is_default(option: str) -> bool:
    """Whether the user left an option of this command out."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.DEFAULT


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
            raise QsimError(path="--keep", rule="like 0.3 or conv1=0.3", value=text) from error
        if layer:
            densities[layer] = share
        else:
            density, densities = share, {}
    return Plan(density=density, densities=densities, bits=bits)


def _pictures(
    network: "Network", data: Path, images: str, normalise: str | None, report: "Progress"
) -> "Callable[[Prepared, Technology, int], RunResult]":
    """Return what estimates a prepared network on real pictures; the error of the float network is measured once, here."""
    from qsim.estimate import estimate
    from qsim.estimate_pictures import Pictures, float_error, picture_side
    from workloads.images import SCALES, load_pictures

    loaded = load_pictures(data, picture_side(network), image_indices(images))
    scale = loaded.scale if normalise is None else SCALES[normalise]
    before = float_error(network, loaded, scale, report)

    def run(prepared: "Prepared", prices: "Technology", seed: int) -> "RunResult":
        found = Pictures(prepared=prepared, data=loaded, scale=scale, hits=[])
        return estimate(prepared, prices, found.images, found.words, quality=lambda: found.quality(before), seed=seed, progress=report)

    return run


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
        return [partial(draw_zeros, prepared, density, seed)], f"density {density:g} stated, drawn with seed {seed}"
    if prepared.network.holes:
        raise QsimError(path="--density", rule="given for a network with holes, which cannot be computed", value=None)
    if given is not None:
        images = _read_inputs(prepared.network, given)
        words = f"inference on {len(images)} of {given.name}"
        return [partial(infer_zeros, prepared, image, report) for image in images], words
    if measurement is not None:
        first = measurement.samples.inputs[0]
        return [partial(infer_zeros, prepared, first, report)], f"inference on the first of {measurement.samples.words}"
    random = np.random.default_rng(seed)
    kinds = {name: prepared.network.tensors[name] for name in prepared.network.inputs}
    drawn = {name: random.random(kind.shape).astype(kind.dtype) for name, kind in kinds.items()}
    return [partial(infer_zeros, prepared, drawn, report)], f"inference on SYNTHETIC input, uniform 0 to 1, seed {seed}"


def _read_npz(path: Path) -> "dict[str, Array]":
    """Return the arrays of numbers in a file."""
    import zipfile

    import numpy as np

    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an .npz file of plain arrays: {error}") from error
    for name, value in arrays.items():
        if value.dtype.kind not in "biuf":
            raise DataError(path=f"{path.name}.{name}", rule="an array of numbers", value=str(value.dtype))
    return arrays


def _read_inputs(network: "Network", path: Path) -> "list[dict[str, Array]]":
    """Return the inputs of every inference: arrays as the network takes them, or with one more axis for several."""
    import numpy as np

    arrays = _read_npz(path)
    found: list[dict[str, Array]] = []
    for name in network.inputs:
        kind = network.tensors[name]
        if name not in arrays:
            raise DataError(path=f"{path.name}", rule=f"a file with the array {name}", value=sorted(arrays))
        value = arrays[name].astype(kind.dtype)
        if not np.isfinite(value).all():
            raise DataError(path=f"{path.name}.{name}", rule="finite numbers", value="NaN or infinity")
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
