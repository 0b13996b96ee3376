"""What a network to be compressed is, before anyone trains it: shapes, input scaling, and what the papers report."""

from dataclasses import dataclass, field
from itertools import pairwise

from qsim.errors import FieldError
from qsim.formats.fixed import FixedFormat
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """One fully connected layer: ``outputs x inputs`` weights, ``outputs`` biases, then ``activation``."""

    name: str
    inputs: int
    outputs: int
    activation: Activation

    def __post_init__(self) -> None:
        for where in ("inputs", "outputs"):
            if getattr(self, where) < 1:
                raise FieldError(path=f"layer {self.name}.{where}", rule="at least 1", value=getattr(self, where))

    @property
    def rows(self) -> int:
        """Rows of the weight matrix."""
        return self.outputs

    @property
    def columns(self) -> int:
        """Columns of the weight matrix."""
        return self.inputs

    @property
    def geometry(self) -> ImageGeometry | None:
        """No window."""
        return None

    @property
    def pool(self) -> ImageGeometry | None:
        """No pool."""
        return None

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.outputs * (self.inputs + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionShape:
    """One convolution: ``out_channels x geometry.columns`` weights, ``out_channels`` biases, then ``activation`` and a max ``pool``."""

    name: str
    geometry: ImageGeometry
    out_channels: int
    activation: Activation
    pool: ImageGeometry | None = None

    def __post_init__(self) -> None:
        if self.out_channels < 1 or self.out_channels % self.geometry.groups:
            rule = f"a positive multiple of the {self.geometry.groups} groups"
            raise FieldError(path=f"layer {self.name}.out_channels", rule=rule, value=self.out_channels)
        shape = self.geometry.output_height, self.geometry.output_width, self.out_channels
        if self.pool is not None and self.pool.input_shape != shape:
            rule = f"for {list(shape)}, what the convolution gives"
            raise FieldError(path=f"layer {self.name}.pool", rule=rule, value=list(self.pool.input_shape))

    @property
    def inputs(self) -> int:
        """Activations it reads."""
        return self.geometry.inputs

    @property
    def outputs(self) -> int:
        """Activations it passes on, after the pool."""
        pixels = self.geometry.pixels if self.pool is None else self.pool.pixels
        return pixels * self.out_channels

    @property
    def rows(self) -> int:
        """Rows of the weight matrix."""
        return self.out_channels

    @property
    def columns(self) -> int:
        """Columns of the weight matrix."""
        return self.geometry.columns

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.rows * (self.columns + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the cited paper prints for this network: sizes in kilobytes, errors in percent of the test set."""

    source: str
    reference_kilobytes: float
    compressed_kilobytes: float
    reference_error_percent: float
    compressed_error_percent: float
    kept_percent: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """Reference size over compressed size."""
        return self.reference_kilobytes / self.compressed_kilobytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Training sees ``(pixel / 255 - mean) / deviation``; the compressed network sees ``pixel`` in ``input_format``.

    The affine map between the two is folded into the first layer, so the hardware reads raw pixels, and a black
    pixel is a zero activation that the scan can skip.
    """

    mean: float
    deviation: float
    input_format: FixedFormat

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise FieldError(path="normalisation.deviation", rule="positive", value=self.deviation)

    @property
    def gain(self) -> float:
        """``normalised = gain * value + offset`` where ``value`` is the pixel as ``input_format`` reads it."""
        return 1.0 / (255.0 * self.input_format.lsb * self.deviation)

    @property
    def offset(self) -> float:
        """The normalised value of a black pixel."""
        return -self.mean / self.deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a float network is trained from random weights: ``seed``, ``epochs``, peak rate, and the most pixels a batch is moved."""

    seed: int = 0
    epochs: int = 30
    learning_rate: float = 0.05
    shift: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A network, where it comes from, and the float checkpoint that stands for it.

    ``training`` is how that checkpoint was trained, ``checkpoint`` its file name in ``workloads/data``, ``checkpoint_sha256`` its digest.
    """

    name: str
    citation: str
    layers: tuple[LayerShape | ConvolutionShape, ...]
    published: Published
    normalisation: Normalisation
    checkpoint: str
    checkpoint_sha256: str = field(repr=False)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        if not self.layers:
            raise FieldError(path=f"workload {self.name}.layers", rule="at least one layer", value=())
        for before, after in pairwise(self.layers):
            if before.outputs != after.inputs:
                raise FieldError(path=f"layer {after.name}.inputs", rule=f"{before.outputs} as {before.name} gives", value=after.inputs)

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def float_bytes(self) -> int:
        """Size of all parameters as 32-bit floats: the numerator of every compression ratio."""
        return 4 * self.parameters
