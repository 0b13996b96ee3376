"""``qsim import``: what an ONNX file or a PyTorch program holds, and whether it is understood."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from qsim.cli.options import json_option
from qsim.errors import QsimError

if TYPE_CHECKING:
    from qsim.model.agreement import Agreement
    from qsim.model.matrix_layers import MatrixLayer
    from qsim.model.network import Network
    from qsim.progress import Progress

Number = TypeVar("Number", int, float)
COLUMNS = ("layer", "kind", "input", "output", "matrix", "kernel", "weights", "macs")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE", help="A size that the file leaves open: N=1, or input:axis=1.")
@click.option("--fix", "fixed", multiple=True, metavar="INPUT=VALUE", help="Make an input a constant: sr=16000.")
@click.option("--allow-unsupported", is_flag=True, help="Import the rest of the network where operators are not supported, for estimates.")
@click.option("--check/--no-check", default=True, show_default=True, help="Compare with ONNX Runtime, or PyTorch, on random input.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the random input.")
@json_option
def command(
    file: Path, dims: tuple[str, ...], fixed: tuple[str, ...], allow_unsupported: bool, check: bool, seed: int, as_json: bool
) -> None:
    """Read FILE (.onnx, or .pt2 of torch.export), compare it with ONNX Runtime or PyTorch, and list its layers.

    torch unpickles parts of a .pt2 file: read only those from a source that you trust.

    \b
    Examples:
      qsim import net.onnx --dim N=1
      qsim import silero_vad.onnx --dim input:0=1 --dim input:1=512 --fix sr=16000
    """
    from qsim.cli.console import echo_json, progress

    with progress() as report:
        network, agreement = read_network(
            file, numbers("--dim", dims, int), numbers("--fix", fixed, float), allow_unsupported, check, seed, report
        )
    if as_json:
        echo_json(_facts(network, agreement))
    else:
        _show(network, agreement)


def numbers(option: str, texts: tuple[str, ...], read: Callable[[str], Number]) -> dict[str, Number]:
    """Read ``NAME=NUMBER`` texts. Raises :class:`QsimError` for anything else."""
    found: dict[str, Number] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            found[name] = read(value)
        except ValueError as error:
            raise QsimError(path=option, rule="like NAME=1", value=text) from error
        if not name:
            raise QsimError(path=option, rule="like NAME=1", value=text)
    return found


def read_network(
    file: Path, dims: dict[str, int], fixed: dict[str, float], allow_unsupported: bool, check: bool, seed: int, report: "Progress"
) -> "tuple[Network, Agreement | None]":
    """Read a network from a file and, with ``check``, compare it with ONNX Runtime or PyTorch; quantised layers become float ones."""
    if file.suffix == ".pt2":
        from qsim.build import need_torch

        need_torch("reading a torch.export program")
        from qsim.compress.torch_import import import_pt2

        if dims or fixed:
            raise QsimError(
                path="--dim and --fix", rule="absent for a .pt2 file, whose sizes are those it was exported with", value=file.name
            )
        imported = import_pt2(file, allow_unsupported=allow_unsupported, check=check, seed=seed, progress=report)
        return imported.network, imported.agreement
    from qsim.model.float_layers import with_float_layers
    from qsim.model.onnx_import import import_onnx
    from qsim.model.onnx_runtime import check_onnx

    network = import_onnx(file, dims=dims, fixed=fixed, allow_unsupported=allow_unsupported, progress=report)
    agreement = check_onnx(file, network, fixed=fixed, seed=seed, progress=report) if check else None
    return with_float_layers(network), agreement


def _facts(network: "Network", agreement: "Agreement | None") -> dict[str, object]:
    from qsim.model.matrix_layers import matrix_layers

    layers = matrix_layers(network)
    return {
        "name": network.name,
        "source": network.source,
        "operators": len(network.operators),
        "parameters": network.parameters,
        "macs": sum(layer.macs for layer in layers),
        "inputs": {name: str(network.tensors[name]) for name in network.inputs},
        "outputs": {name: str(network.tensors.get(name, "unknown")) for name in network.outputs},
        "passes": list(network.passes),
        "not_finite": _not_finite(network),
        "holes": [dataclasses.asdict(hole) for hole in network.holes],
        "agreement": None if agreement is None else dataclasses.asdict(agreement) | {"max_error": agreement.max_error},
        "layers": [dataclasses.asdict(layer) | {"weights": layer.weights, "macs": layer.macs} for layer in layers],
    }


def _show(network: "Network", agreement: "Agreement | None") -> None:
    from qsim.cli.console import console, table
    from qsim.cli.plain import plain
    from qsim.model.matrix_layers import matrix_layers

    layers, out = matrix_layers(network), console()
    total = ("all", "", "", "", "", "", f"{sum(layer.weights for layer in layers):,}", f"{sum(layer.macs for layer in layers):,}")
    out.print(table(f"{network.source}: {network.name}", COLUMNS, [*map(_cells, layers), total], text_columns=6))
    ends = [*(f"in {name}: {network.tensors[name]}" for name in network.inputs)]
    ends += [f"out {name}: {network.tensors.get(name, 'unknown')}" for name in network.outputs]
    notes = [f"{len(network.operators):,} operators, {network.parameters:,} parameters", *ends, *network.passes]
    causes = [hole for hole in network.holes if not hole.behind]
    notes += [f"hole: {hole}; {len(hole.constants)} weights inside" if hole.constants else f"hole: {hole}" for hole in causes]
    if len(causes) < len(network.holes):
        notes.append(f"{len(network.holes) - len(causes)} operators behind holes have unknown shapes; layers among them are not listed")
    broken = _not_finite(network)
    if broken:
        notes.append(f"NaN or infinity in {len(broken)} constants: {', '.join(broken[:4])}; the error is that of the finite outputs")
    notes.append(_verdict(agreement))
    for note in notes:
        out.print(plain(note), soft_wrap=True)


def _not_finite(network: "Network") -> list[str]:
    """Return the constants in which a number is NaN or infinite; masks of attention hold infinities on purpose."""
    import numpy as np

    return [name for name, value in network.constants.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]


def _verdict(agreement: "Agreement | None") -> str:
    if agreement is None:
        return "not checked against the source"
    if agreement.max_error is None:
        return f"not checked against {agreement.against}: all outputs depend on holes"
    left = f"; not checked, behind holes: {', '.join(agreement.unchecked)}" if agreement.unchecked else ""
    what = (
        f"a tensor's size, {len(agreement.tensors) + len(agreement.outputs):,} compared one by one"
        if agreement.tensors
        else "the output's size"
    )
    return f"max error against {agreement.against}: {agreement.max_error:.2g} of {what} (random input, seed {agreement.seed}){left}"


def _cells(layer: "MatrixLayer") -> tuple[str, ...]:
    groups = f"{layer.groups} x " if layer.groups > 1 else ""
    kernel = "" if layer.window is None else _sizes(layer.window.kernel) + "".join(
        f" {word} {_sizes(found)}"
        for word, found in (("stride", layer.window.strides), ("dilation", layer.window.dilations))
        if set(found) != {1}
    )  # fmt: skip
    return (
        layer.name,
        str(layer.kind).replace("_", " "),
        _sizes(layer.input_shape),
        _sizes(layer.output_shape),
        f"{groups}{layer.outputs}x{layer.columns}",
        kernel,
        f"{layer.weights:,}",
        f"{layer.macs:,}",
    )


def _sizes(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
