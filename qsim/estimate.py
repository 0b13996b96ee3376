"""A whole float network on a machine without retraining: prune, quantise, infer, simulate every matrix layer, price.

Activation zeros come from inference of the pruned and quantised network on the given inputs, or from a stated density where there are none.
Of products of two activations, as attention has them, one operand is written into the weight memories at run time: it is no byte of the
file, and said apart. What is not simulated (holes of the import, products on machines that cannot store an operand) is in the result's
``gaps`` and in its ``weight_source``, which every report shows.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qsim import __version__
from qsim.arch.architecture import Architecture, PEKind
from qsim.compress.post_training import Coding, PostTraining, real_weights
from qsim.energy.account import account, memories_of
from qsim.energy.technology import Technology
from qsim.errors import DataError, FileFormatError, QsimError, UnsupportedProgram
from qsim.formats.container import content_hash
from qsim.formats.layer import Form
from qsim.formats.symbols import EncodeOptions
from qsim.model.levels import round_operands
from qsim.model.matrix_layers import MatrixLayer, matrix_layers
from qsim.model.network import Array, Network
from qsim.model.network_file import CodedMatrix, NetworkFile
from qsim.model.reference import run
from qsim.model.unlisted import unlisted_products
from qsim.progress import Progress, silent
from qsim.results import LayerResult, Quality, RunResult, Source
from qsim.run import peak_of
from qsim.sim.convolution import LoweredConvolution
from qsim.sim.lower_model import Lowered
from qsim.sim.lower_network import connect, follows, image_bytes, lower_matrix
from qsim.sim.model import Engine, simulate_layer
from qsim.sim.network_layers import MachineLayer, machine_activations, machine_layer, machine_weights, put_weights
from qsim.sim.products import Room, lower_product, operand_bits, rounds

Tensors = Mapping[str, Array]
Place = tuple[str, int | None]  # of a matrix: its constant, and the direction of a recurrent layer
OPTIONS = EncodeOptions()
NOT_MEASURED = "accuracy not measured"
AS_STORED = "as stored"
CODINGS = {PEKind.DENSE: Coding.FIXED, PEKind.CODEBOOK: Coding.CODEBOOK, PEKind.SPARSE: Coding.CODEBOOK, PEKind.PVQ: Coding.PULSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the weights are prepared: ``densities`` by layer name, ``density`` for all others; ``bits`` a code, None: as the machine has."""

    density: float = 1.0
    densities: Mapping[str, float]
    bits: int | None = None

    def of(self, layer: str) -> float:
        """Return the density of a layer."""
        return self.densities.get(layer, self.density)

    def coding(self, machine: Architecture) -> PostTraining:
        """Return the quantiser for the PEs of ``machine``."""
        coding = CODINGS[machine.array.kind]
        own = machine.array.weight_bits if coding is Coding.FIXED else machine.array.code_bits
        return PostTraining(coding=coding, bits=min(own, 16) if self.bits is None else self.bits)

    @property
    def text(self) -> str:
        """In words."""
        bits = "codes as wide as the machine's" if self.bits is None else f"{self.bits}-bit codes"
        kept = f"densities by layer, {self.density:g} elsewhere" if self.densities else f"density {self.density:g}"
        return f"post-training, {kept}, {bits}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A network on a machine: ``network`` has the weights that are simulated, and the rounding of operands that are stored at run time;
    ``layers`` and ``lowered`` are its matrix layers in order.

    ``text``: how its weights were prepared, in words; ``left_out``: what is not simulated, each with the reason.
    """

    network: Network
    machine: Architecture
    plan: Plan
    text: str
    layers: tuple[MachineLayer, ...]
    lowered: tuple[Lowered, ...]
    left_out: tuple[str, ...]
    file: NetworkFile

    @property
    def image_bytes(self) -> int:
        """What all weights take in the memories of the PEs."""
        return sum(image_bytes(layer, self.machine) for layer in self.lowered)


def prepare(
    network: Network, machine: Architecture, plan: Plan, progress: Progress = silent, stored: NetworkFile | None = None
) -> Prepared:
    """Prune, quantise and lower every matrix layer.

    ``stored`` is the file that ``network`` was restored from, if any: a matrix of it that the machine's PEs take as it is and that the
    plan does not prune is kept to the bit. Raises :class:`UnsupportedProgram` if no layer can be run or one does not fit the machine.
    """
    found, left_out = _machine_layers(network)
    weighted = [layer for layer in found if not layer.product]
    unknown = sorted(set(plan.densities) - {layer.name for layer in weighted})
    if unknown:
        raise DataError(path="densities", rule="layers of the network", value=unknown[0], legal=[layer.name for layer in weighted])
    if not weighted:
        raise UnsupportedProgram(path=network.name, rule="a network with a matrix layer", value=left_out or "none")
    constants, lowered = dict(network.constants), []
    coded: dict[Place, CodedMatrix] = {}
    old: dict[Place, CodedMatrix] = {(matrix.constant, matrix.part): matrix for matrix in stored.matrices} if stored is not None else {}
    coding = plan.coding(machine)
    for number, layer in enumerate(weighted, 1):
        matrix, form = _coded(network, layer, old, coding, plan)
        lowered.append(lower_matrix(layer, form, follows(network, layer.layer), machine))
        coded[matrix.constant, matrix.part] = matrix
        constants[matrix.constant] = put_weights(replace(network, constants=constants), layer, real_weights(form))
        del form
        progress("prune, quantise, prepare", number, len(weighted))
    text = _text(plan, sum(matrix is old.get(place) for place, matrix in coded.items()), len(coded))
    changed = replace(network, constants=constants, passes=network.passes if text == AS_STORED else (*network.passes, text))
    products, refused = _lower_products(network, [layer for layer in found if layer.product], lowered, machine)
    by_name = dict(zip([layer.name for layer in weighted], lowered, strict=True)) | products
    layers = tuple(layer for layer in found if layer.name in by_name)
    bits = operand_bits(machine)
    rounding = f"operands of products rounded to {bits}-bit levels"
    if rounds(machine) and products and rounding not in network.passes:  # a stored network has the operators already
        changed = replace(changed, passes=(*changed.passes, rounding))
        changed = round_operands(changed, [layer.layer.operator for layer in layers if layer.product], bits)
    return Prepared(
        network=changed,
        file=NetworkFile(network=changed, matrices=tuple(coded.values())),
        machine=machine,
        plan=plan,
        text=text,
        layers=layers,
        lowered=connect(network, layers, [by_name[layer.name] for layer in layers], machine),
        left_out=left_out + refused,
    )


def _lower_products(
    network: Network, found: Sequence[MachineLayer], weights: Sequence[Lowered], machine: Architecture
) -> tuple[dict[str, Lowered], tuple[str, ...]]:
    """Return the products of two activations that the machine can run beside ``weights``, and in words those that it cannot."""
    room, lowered, refused = Room.beside(weights, machine), dict[str, Lowered](), []
    for layer in found:
        try:
            lowered[layer.name] = lower_product(layer, follows(network, layer.layer).stored, machine, room)
        except UnsupportedProgram as error:
            refused.append(_gap(layer.layer, error))
    return lowered, tuple(refused)


def _gap(layer: MatrixLayer, why: object) -> str:
    return f"{layer.name}, {layer.macs:,} MACs ({why})"


def _coded(
    network: Network, layer: MachineLayer, stored: Mapping[Place, CodedMatrix], coding: PostTraining, plan: Plan
) -> tuple[CodedMatrix, Form]:
    """Return the stored matrix of a layer where it serves as it is, else its weights quantised."""
    assert layer.layer.weight is not None
    place = layer.layer.weight, layer.layer.part
    if place in stored and plan.of(layer.name) == 1:
        form = stored[place].decode()
        if coding.covers(form):
            return stored[place], form
    form = _quantised(network, layer, coding, plan)
    return CodedMatrix.of(*place, layer.name, form, OPTIONS), form


def _text(plan: Plan, kept: int, matrices: int) -> str:
    """Return how the weights were prepared, in words."""
    if not kept:
        return plan.text
    return AS_STORED if kept == matrices else f"{kept} of {matrices} matrices {AS_STORED}, the others: {plan.text}"


def _quantised(network: Network, layer: MachineLayer, coding: PostTraining, plan: Plan) -> Form:
    try:
        return coding.quantise(machine_weights(network, layer), plan.of(layer.name))
    except QsimError as error:
        raise type(error)(f"{layer.name}: {error}") from error


def restore(file: NetworkFile) -> Network:
    """Return the network of a file, its matrices decoded into its constants: to the bit what :func:`prepare` simulates.

    Raises :class:`FileFormatError` for matrices that are not of the network's layers.
    """
    try:
        layers = {layer.name: layer for layer in _machine_layers(file.network)[0] if not layer.product}
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"the file describes layers that cannot be: {error}") from error
    constants = dict(file.network.constants)
    for matrix in file.matrices:
        layer = layers.get(matrix.layer)
        if layer is None or (layer.rows, layer.geometry.columns) != (matrix.rows, matrix.cols) or layer.layer.weight != matrix.constant:
            raise FileFormatError(
                path=f"matrix {matrix.layer}", rule="a layer of the network, in its shape", value=[matrix.rows, matrix.cols]
            )
        constants[matrix.constant] = put_weights(replace(file.network, constants=constants), layer, real_weights(matrix.decode()))
    return replace(file.network, constants=constants)


def _machine_layers(network: Network) -> tuple[tuple[MachineLayer, ...], tuple[str, ...]]:
    found, left_out = [], [f"hole {hole}" for hole in network.holes]
    for layer in matrix_layers(network):
        try:
            found.append(machine_layer(layer))
        except UnsupportedProgram as error:
            left_out.append(_gap(layer, error))
    for operator, macs in unlisted_products(network):
        count = "MACs not counted" if macs is None else f"{macs:,} MACs"
        left_out.append(f"{operator.name}, {count} ({operator.kind} whose operands are not weights as machines hold them)")
    return tuple(found), tuple(left_out)


def infer_zeros(prepared: Prepared, inputs: Tensors, progress: Progress = silent) -> list[npt.NDArray[np.bool_]]:
    """Return which activations each layer reads are not zero, from inference of the prepared network on ``inputs``."""
    return infer(prepared, inputs, progress, outputs=False)[0]


def infer(
    prepared: Prepared, inputs: Tensors, progress: Progress = silent, *, outputs: bool = True
) -> tuple[list[npt.NDArray[np.bool_]], list[Array]]:
    """As :func:`infer_zeros`, and the outputs of the network where they are wanted."""
    names, wanted = {layer.layer.input for layer in prepared.layers}, prepared.network.outputs if outputs else ()
    values = run(prepared.network, inputs, keep=names, only=wanted, progress=progress)
    zeros = [machine_activations(layer, values[layer.layer.input] != 0) for layer in prepared.layers]
    return zeros, [values[name] for name in wanted]


def draw_zeros(prepared: Prepared, density: float, seed: int) -> list[npt.NDArray[np.bool_]]:
    """Return activations that are not zero with probability ``density``, independently; the network's own inputs are all non-zero."""
    if not 0 <= density <= 1:
        raise DataError(path="activation density", rule="0 to 1", value=density)
    random = np.random.default_rng(seed)
    found = []
    for layer in prepared.layers:
        whole = layer.layer.input in prepared.network.inputs
        found.append(np.full(layer.geometry.inputs, True) if whole else random.random(layer.geometry.inputs, dtype=np.float32) < density)
    return found


def simulate(
    prepared: Prepared, activations: Sequence[npt.NDArray[np.bool_]], engine: str = Engine.FAST, progress: Progress = silent
) -> list[LayerResult]:
    """Return the result of every layer for activations as :func:`infer_zeros` gives them."""
    results = []
    for number, (layer, values) in enumerate(zip(prepared.lowered, activations, strict=True), 1):
        results.append(simulate_layer(layer, values.astype(np.int64), engine))
        progress("simulate", number, len(prepared.lowered))
    return results


def estimate(
    prepared: Prepared,
    technology: Technology,
    images: Sequence[Callable[[], list[npt.NDArray[np.bool_]]]],
    activations: str,
    *,
    measured: str = NOT_MEASURED,
    quality: Callable[[], Quality | None] = lambda: None,
    seed: int = 0,
    engine: str = Engine.FAST,
    progress: Progress = silent,
) -> RunResult:
    """Simulate every image and price the counts; ``activations`` says in words where their zeros come from, ``measured`` what is lost.

    ``quality`` is asked when all images have been run.
    """
    network, machine = prepared.network, prepared.machine
    found = [simulate(prepared, image(), engine, progress) for image in images]
    found_quality = quality()
    layers = tuple(zip(*found, strict=True))
    recipe, shape = prepared.text, repr((network.name, [layer.layer for layer in prepared.layers if not layer.product]))
    return RunResult(
        workload=Source(name=network.name, hash=_hash(shape)),
        model=Source(name=f"{network.name} (estimate)", hash=content_hash(prepared.file.data)),
        recipe=Source(name=recipe, hash=_hash(recipe + repr(sorted(prepared.plan.densities.items())))),
        architecture=Source(name=machine.name, hash=machine.hash),
        technology=Source(name=technology.name, hash=technology.hash),
        engine=engine,
        version=__version__,
        seed=seed,
        clock_hz=machine.clock_hz,
        inputs=tuple(range(len(images))),
        file_bytes=prepared.file.file_bytes,
        float_bytes=4 * network.parameters,
        layers=layers,
        energy=account(layers, technology, clock_hz=machine.clock_hz, memories=memories_of(machine)),
        peak=peak_of(machine),
        weight_source="; ".join(
            [network.source or "source not stated", f"activations: {activations}", *_labels(prepared, measured, found_quality)]
        ),
        quality=found_quality,
        gaps=prepared.left_out,
    )


def _labels(prepared: Prepared, measured: str, quality: Quality | None) -> list[str]:
    if quality is not None:
        measured = f"top-1 error {quality.test_error:.1f} % of {quality.test_images} pictures"
    text = [f"not retrained, {measured}", f"size: the .qsn file; {prepared.image_bytes:,} bytes in the memories of the PEs"]
    macs, products = sum(layer.layer.macs for layer in prepared.layers), [layer.layer for layer in prepared.layers if layer.product]
    if products:
        size = sum(part.operand_bytes for part in prepared.lowered if isinstance(part, LoweredConvolution))
        rounded = f", rounded to {operand_bits(prepared.machine)}-bit levels" if rounds(prepared.machine) else ""
        text.append(
            f"{len(products)} products of two activations, {sum(layer.macs for layer in products):,} MACs: operands of {size:,} bytes, "
            f"written at run time{rounded}, no bytes of the file"
        )
    if prepared.left_out:
        text.append(f"NOT simulated beside {macs:,} MACs: " + "; ".join(prepared.left_out))
    return text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
