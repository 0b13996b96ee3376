"""Reading networks from PyTorch: live modules, and programs that ``torch.export`` saved (.pt2).

A module is exported (not strictly: its Python runs on example inputs), made functional, and every ATen operator is translated; one that is
not in the table is decomposed by PyTorch into simpler ones. Where export fails (control flow that depends on data), the layers are taken
from the modules that run on the example inputs, and what happens between them is a stated hole.
"""

import contextlib
import io
import logging
import operator as python_operator
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind

from qsim.compress.aten import ATEN
from qsim.compress.aten.lowering import Lowering, numpy_type, result_shape, result_type
from qsim.compress.torch_hooks import network_of_hooks
from qsim.errors import FileFormatError, QsimError, UnsupportedProgram
from qsim.model.agreement import TOLERANCE, Agreement, compare
from qsim.model.batch_norm import fold_batch_norm
from qsim.model.draft import Draft
from qsim.model.network import Array, Network, Operator, TensorType
from qsim.progress import Progress, silent

ROUNDS_OF_DECOMPOSITION = 4
UNREADABLE = (RuntimeError, ValueError, TypeError, KeyError, OSError, AssertionError, zipfile.BadZipFile, pickle.UnpicklingError)
WITHOUT_EFFECT = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size", "sym_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A network and its comparison with the module; None where nothing was compared."""

    network: Network
    agreement: Agreement | None


def from_torch(
    module: nn.Module,
    example_inputs: Sequence[torch.Tensor],
    *,
    name: str = "",
    allow_unsupported: bool = False,
    fold: bool = True,
    check: bool = True,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Imported:
    """Return the network of a module that is called with tensors of the shapes of ``example_inputs``, in evaluation mode.

    Raises :class:`FileFormatError` for operators that are not supported, or where export fails, unless ``allow_unsupported``, and for a
    network that computes something else than the module (on random input, relative to the output, more than ``tolerance``).
    """
    title, training = name or type(module).__name__, module.training
    module.eval()
    try:
        program = _exported(module, tuple(example_inputs))
        if isinstance(program, str):
            if not allow_unsupported:
                raise FileFormatError(f"{title}: torch.export failed: {program}; its layers alone can be had with allow_unsupported")
            return Imported(network=network_of_hooks(module, example_inputs, title, program), agreement=None)
        network = _network(program, title, f"PyTorch module {title}", allow_unsupported, fold, progress)
        return Imported(network=network, agreement=_check(module, network, seed, tolerance, progress) if check else None)
    finally:
        module.train(training)


def import_pt2(
    path: str | Path,
    *,
    allow_unsupported: bool = False,
    fold: bool = True,
    check: bool = True,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Imported:
    """Return the network of a program saved by ``torch.export.save``. torch unpickles parts of it: trust its source.

    Errors as for :func:`from_torch`, and :class:`FileFormatError` for what is no such file.
    """
    place = Path(path)
    if not place.is_file():
        raise FileFormatError(f"cannot read {place}: {'not a file' if place.exists() else 'it does not exist'}")
    try:
        with _quiet():
            program = torch.export.load(place)
    except UNREADABLE as error:
        raise FileFormatError(path=str(place), rule="a program of torch.export", value=_first_line(error)) from error
    network = _network(program, place.stem, str(place), allow_unsupported, fold, progress)
    return Imported(network=network, agreement=_check(program.module(), network, seed, tolerance, progress) if check else None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what PyTorch writes while it tries: warnings, its log, and the graphs that it prints when it fails."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _exported(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Return the exported program, or, as text, why it cannot be exported: PyTorch's errors have no common type."""
    with _quiet(), torch.no_grad():
        try:
            return torch.export.export(module, inputs, strict=False)
        except Exception as error:  # noqa: BLE001  # the module's own code may raise anything
            return _first_line(error)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _network(program: Any, title: str, source: str, allow_unsupported: bool, fold: bool, progress: Progress) -> Network:
    with _quiet(), torch.no_grad():
        functional = _decomposed(program)
    network = _Program(functional, Draft(name=title, source=source), progress).network(allow_unsupported)
    return fold_batch_norm(network) if fold else network


def _decomposed(program: Any) -> Any:
    """Return the program without side effects, operators that are not in the table decomposed as far as PyTorch can."""
    functional, table = program.run_decompositions({}), torch.export.default_decompositions()
    for _ in range(ROUNDS_OF_DECOMPOSITION):
        unknown = {node.target for node in functional.graph.nodes if node.op == "call_function" and _name(node.target) not in ATEN}
        chosen = {target: table[target] for target in unknown if target in table}
        if not chosen:
            break
        functional = functional.run_decompositions(chosen)
    return functional


def _name(target: Any) -> str:
    """Return an ATen operator's name without overload: ``aten.add.Tensor`` is ``add``."""
    schema = getattr(target, "_schema", None)
    return str(target) if schema is None else str(schema.name).removeprefix("aten::")


class _Program:
    """Walks the nodes of a functional program."""

    def __init__(self, program: Any, draft: Draft, progress: Progress) -> None:
        self._program, self._draft, self._progress = program, draft, progress
        self._low = Lowering(draft)
        self._stored: dict[tuple[int, tuple[int, ...]], str] = {}

    def network(self, allow_unsupported: bool) -> Network:
        signature = self._program.graph_signature
        specs = {spec.arg.name: spec for spec in signature.input_specs}
        nodes = list(self._program.graph.nodes)
        for done, node in enumerate(nodes, 1):
            self._low.node = node
            if node.op == "placeholder":
                self._low.tensors[node] = self._placeholder(node, specs[node.name])
            elif node.op == "call_function":
                self._low.tensors[node] = self._call(node)
            self._progress("operators", done, len(nodes))
        wanted = [spec.arg.name for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
        made = {node.name: found for node, found in self._low.tensors.items()}
        return self._draft.finish([made[name] for name in wanted if name in made], allow_unsupported=allow_unsupported)

    def _placeholder(self, node: Any, spec: Any) -> str | None:
        if spec.kind is InputKind.USER_INPUT:
            if not isinstance(node.meta.get("val"), torch.Tensor):
                return None
            self._draft.add_input(node.name, TensorType(result_shape(self._low), result_type(self._low)))
            return str(node.name)
        tensor = self._program.state_dict.get(spec.target)
        tensor = self._program.constants[spec.target] if tensor is None else tensor
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and key in self._stored:
            return self._stored[key]
        name = self._draft.fresh_tensor(spec.target)
        trained = spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)
        self._stored[key] = self._draft.add_constant(name, tensor.detach().cpu().numpy(), weight=trained)
        return name

    def _call(self, node: Any) -> Any:
        if node.target is python_operator.getitem:
            source, place = node.args
            return self._low.tensors[source][place]
        name = _name(node.target)
        if name in WITHOUT_EFFECT:
            return None
        if name not in ATEN:
            return self._hole(node, "no such operator here")
        try:
            return ATEN[name](self._low, self._arguments(node))
        except UnsupportedProgram as error:
            return self._hole(node, str(error))

    def _arguments(self, node: Any) -> Mapping[str, Any]:
        """Return all arguments of a call by name, defaults included, nodes replaced by tensors."""
        found = {}
        for place, argument in enumerate(node.target._schema.arguments):
            if place < len(node.args):
                value = node.args[place]
            elif argument.name in node.kwargs:
                value = node.kwargs[argument.name]
            else:
                value = argument.default_value
            found[argument.name] = self._tensor(value)
        return found

    def _tensor(self, value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return self._low.tensors[value]
        if isinstance(value, list | tuple):
            return [self._tensor(item) for item in value]
        return value

    def _hole(self, node: Any, reason: str) -> Any:
        """Append an operator that cannot be translated; PyTorch knows the shapes that it gives."""
        results = node.meta.get("val")
        many = isinstance(results, list | tuple)
        found = [result for result in (results if many else [results])]  # a copy that may be extended
        names = tuple(self._draft.fresh_tensor(f"{node.name}.{place}" if place else node.name) for place in range(len(found)))
        hints = dict(self._draft.hints)
        for name, result in zip(names, found, strict=True):
            if isinstance(result, torch.Tensor):
                hints[name] = TensorType(tuple(int(size) for size in result.shape), numpy_type(result.dtype))
        self._draft.hints = hints
        inputs = tuple(str(self._low.tensors[item]) for item in node.all_input_nodes if isinstance(self._low.tensors.get(item), str))
        kind = f"aten.{_name(node.target)}"
        operator = Operator(name=self._draft.fresh(self._low.name(kind)), kind=kind, inputs=inputs, outputs=names)
        self._draft.add_hole(operator, reason)
        return names if many else names[0]


def _check(module: Any, network: Network, seed: int, tolerance: float, progress: Progress) -> Agreement:
    def reference(inputs: Mapping[str, Array]) -> list[Array]:
        with torch.no_grad():
            found = module(*(torch.from_numpy(np.array(inputs[name])) for name in network.inputs))
        return [tensor.numpy() for tensor in torch.utils._pytree.tree_leaves(found) if isinstance(tensor, torch.Tensor)]

    try:
        return compare(
            network, reference, against=f"PyTorch {torch.__version__}", seed=seed, tolerance=tolerance, progress=progress
        )  # fmt: skip
    except (RuntimeError, TypeError, IndexError) as error:
        if isinstance(error, QsimError):
            raise
        raise FileFormatError(f"{network.source} cannot be run on random input: {_first_line(error)}") from error
