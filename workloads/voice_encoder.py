"""Resemblyzer's voice encoder: three LSTM layers of 256 over 1.6 s of mel spectrogram; the vector says who speaks."""

import numpy as np

from qsim.model.network import Array, Network
from workloads.packaged import Package, Samples, Score, TrainedNetwork
from workloads.scores import nearest_of_group
from workloads.state import State, StateBuilder, read_state
from workloads.voices import RATE, mel_spectrogram, voice

PACKAGE = Package("Resemblyzer", "0.1.4", "resemblyzer", "Apache-2.0")
FRAMES, HOP, LEVEL_DB = 160, 160, -30.0  # hparams.py: 1.6 s, 10 ms a frame, level of an utterance
GATES = (0, 3, 1, 2)  # PyTorch has input, forget, candidate, output; ONNX input, output, forget, candidate
VOICES, UTTERANCES = 8, 3


def voice_encoder(name: str, source: str, state: State, frames: int = FRAMES) -> Network:
    """Return the network of a state dictionary with the names of Resemblyzer, for ``frames`` frames: [1, frames, bins] to [1, width]."""
    b = StateBuilder(name, source, state)
    bins = b.tensor("lstm.weight_ih_l0", 2).shape[1]
    x, hidden = b.op("Transpose", "steps", b.input("mel", 1, frames, bins), perm=(1, 0, 2)), ""
    axis = b.constant("direction", np.array([1], dtype=np.int64))
    for number in range(sum(1 for key in state if key.startswith("lstm.weight_ih_l"))):
        layer = _lstm(b, f"lstm{number}", f"l{number}", x)
        x, hidden = b.op("Squeeze", f"{layer}.every", layer, axis), f"{layer}.1"
    last = b.op("Squeeze", "last", hidden, b.constant("directions", np.array([0], dtype=np.int64)))
    return b.network(b.op("LpNormalization", "embedding", b.relu(b.linear("linear", last)), axis=-1, p=2))


def _lstm(b: StateBuilder, name: str, part: str, x: str) -> str:
    weights = {kind: _reordered(b.tensor(f"lstm.weight_{kind}_{part}", 2)) for kind in ("ih", "hh")}
    biases = [_reordered(b.tensor(f"lstm.bias_{kind}_{part}", 1)) for kind in ("ih", "hh")]
    parts = [b.draft.add_constant(f"{name}.{kind}", value[None], weight=True) for kind, value in weights.items()]
    bias = b.draft.add_constant(f"{name}.bias", np.concatenate(biases)[None], weight=True)
    return b.op("LSTM", name, x, *parts, bias, outputs=3, hidden_size=weights["hh"].shape[1])


def _reordered(value: Array) -> Array:
    parts = np.split(value, len(GATES))
    return np.concatenate([parts[place] for place in GATES])


def voices(seed: int) -> Samples:
    """Return several utterances of each of several synthetic voices."""
    random = np.random.default_rng(seed)
    pitches, tracts = np.geomspace(90, 260, VOICES), random.permutation(np.linspace(0.85, 1.2, VOICES))
    found = [_utterance(random, pitch, tract) for pitch, tract in zip(pitches, tracts, strict=True) for _ in range(UTTERANCES)]
    return Samples(
        inputs=tuple({"mel": mel[None]} for mel in found),
        words=f"SYNTHETIC utterances, {UTTERANCES} of each of {VOICES} voices, seed {seed}",
        score=Score(name="nearest utterance is of the same voice", of=lambda outputs: nearest_of_group(outputs, UTTERANCES)),
    )


def _utterance(random: np.random.Generator, pitch: float, tract: float) -> Array:
    wave = voice(random, FRAMES * HOP / RATE, pitch, tract)
    wave *= 10 ** (LEVEL_DB / 20) / np.sqrt(np.mean(np.square(wave)))
    return mel_spectrogram(wave)[:FRAMES]


def build(seed: int = 0) -> Network:
    """Return the network with the weights of the package."""
    return voice_encoder("voice-encoder", PACKAGE.source, read_state(PACKAGE.file("pretrained.pt"), "model_state"))


def parameters_of(bins: int, hidden: int, layers: int, out: int) -> int:
    """Return the parameters: PyTorch has two biases a gate."""
    return sum(4 * hidden * ((bins if layer == 0 else hidden) + hidden + 2) for layer in range(layers)) + out * (hidden + 1)


WORKLOAD = TrainedNetwork(
    name="voice-encoder",
    citation="L. Wan, Q. Wang, A. Papir, I. L. Moreno, Generalized End-to-End Loss for Speaker Verification, ICASSP 2018",
    build=build,
    parameters=parameters_of(40, 256, 3, 256),
    parameters_source="formula of three LSTM layers and one fully connected, hparams.py",
    density_source="no pruning",
    package=PACKAGE,
    samples=voices,
    classes=False,
)
