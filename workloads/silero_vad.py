"""silero-vad at 16 kHz: is somebody speaking? Five convolutions and an LSTM cell over every 32 ms, read from the package's ONNX file.

The file for whole sequences is read: one inference is a clip of 32 frames, and the state goes from frame to frame inside.
"""

from dataclasses import replace

import numpy as np

from qsim.model.network import Array, Network
from qsim.model.onnx_import import import_onnx
from workloads.packaged import Package, Samples, Score, TrainedNetwork
from workloads.scores import detected
from workloads.voices import voice

PACKAGE = Package("silero-vad", "6.2.3", "silero_vad", "MIT")
FRAMES, FRAME, CONTEXT, STATE = 32, 512, 64, 128  # sequence_vad.py: samples a frame, samples of the frame before
RATE = 16_000
CLIPS = 8


def clips(seed: int) -> Samples:
    """Return clips that are half noise and half a synthetic voice in the same noise, in either order."""
    random = np.random.default_rng(seed)
    spoken = np.zeros((CLIPS, FRAMES), dtype=bool)
    spoken[::2, : FRAMES // 2] = spoken[1::2, FRAMES // 2 :] = True
    return Samples(
        inputs=tuple(_clip(random, marks) for marks in spoken),
        words=f"SYNTHETIC clips, half of each a voice, seed {seed}",
        score=Score(name="voice detected by frame", of=lambda outputs: detected(outputs, spoken)),
    )


def _clip(random: np.random.Generator, spoken: Array) -> dict[str, Array]:
    wave = 0.003 * random.standard_normal(FRAMES * FRAME)
    sound = voice(random, FRAMES * FRAME / RATE, random.uniform(100, 240), random.uniform(0.9, 1.15))
    wave += 0.3 * sound * np.repeat(spoken, FRAME)
    padded = np.concatenate([np.zeros(CONTEXT), wave]).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    return {"input": np.ascontiguousarray(frames), **{name: np.zeros((1, 1, STATE), dtype=np.float32) for name in ("h", "c")}}


def build(seed: int = 0) -> Network:
    """Return the network with the weights of the package."""
    found = import_onnx(PACKAGE.file("data", "silero_vad_16k_sequence.onnx"), dims={"sequence_length": FRAMES})
    return replace(found, name=WORKLOAD.name, source=PACKAGE.source)


WORKLOAD = TrainedNetwork(
    name="silero-vad",
    citation="Silero Team, Silero VAD: pre-trained enterprise-grade voice activity detector, 2024",
    build=build,
    parameters=309_633,
    parameters_source="counted in the package's safetensors file, whose transform is a constant convolution",
    density_source="no pruning",
    package=PACKAGE,
    samples=clips,
    classes=False,
)
