"""silero-vad at 16 kHz: is somebody speaking? Five convolutions and an LSTM cell over every 32 ms, read from the package's ONNX file.

One inference is a frame with the state that the frame before left.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from qsim.model.network import Array, Network
from qsim.model.onnx_import import import_onnx
from qsim.model.reference import run
from workloads.packaged import Package, Samples, Score, TrainedNetwork
from workloads.scores import detected
from workloads.voices import RATE, voice

PACKAGE = Package("silero-vad", "6.2.3", "silero_vad", "MIT")
FRAMES, FRAME, CONTEXT, STATE = 24, 512, 64, 128  # sequence_vad.py: samples a frame, and of the frame before
CLIPS = 6


def frames(seed: int) -> Samples:
    """Return frames of clips that are half noise and half a synthetic voice in the same noise, each with the float network's state."""
    random, network = np.random.default_rng(seed), build()
    spoken = np.zeros((CLIPS, FRAMES), dtype=bool)
    spoken[::2, : FRAMES // 2] = spoken[1::2, FRAMES // 2 :] = True
    return Samples(
        inputs=tuple(inputs for marks in spoken for inputs in _with_states(network, _clip(random, marks))),
        words=f"frames of SYNTHETIC clips, half of each a voice, with the float network's states, seed {seed}",
        score=Score(name="voice detected", of=lambda outputs: detected(outputs, spoken.reshape(-1, 1))),
    )


def _clip(random: np.random.Generator, spoken: Array) -> Array:
    """Return float32 [frames, 576]: every frame behind the end of the one before."""
    wave = 0.003 * random.standard_normal(FRAMES * FRAME)
    sound = voice(random, FRAMES * FRAME / RATE, random.uniform(100, 240), random.uniform(0.9, 1.15))
    wave += 0.3 * sound * np.repeat(spoken, FRAME)
    padded = np.concatenate([np.zeros(CONTEXT), wave]).astype(np.float32)
    return np.stack([padded[start : stop + CONTEXT] for start, stop in pairwise(range(0, FRAME * FRAMES + 1, FRAME))])


def _with_states(network: Network, clip: Array) -> list[dict[str, Array]]:
    state, found = np.zeros((2, 1, STATE), dtype=np.float32), list[dict[str, Array]]()
    for frame in clip:
        found.append({"input": frame[None], "state": state})
        state = run(network, found[-1])[network.outputs[1]]
    return found


def build(seed: int = 0) -> Network:
    """Return the network with the weights of the package."""
    dims = {"input:0": 1, "input:1": CONTEXT + FRAME, "state:1": 1}
    found = import_onnx(PACKAGE.file("data", "silero_vad.onnx"), dims=dims, fixed={"sr": RATE})
    return replace(found, name=WORKLOAD.name, source=PACKAGE.source)


WORKLOAD = TrainedNetwork(
    name="silero-vad",
    citation="Silero Team, Silero VAD: pre-trained enterprise-grade voice activity detector, 2024",
    build=build,
    parameters=309_633,
    parameters_source="counted in the package's safetensors file, whose transform is a constant convolution",
    density_source="no pruning",
    package=PACKAGE,
    samples=frames,
    classes=False,
)
