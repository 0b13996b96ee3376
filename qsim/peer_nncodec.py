"""NNCodec (ISO/IEC 15938-17) on the same pruned network: its entropy coder on the very indices of our file, and its own quantisation.

Only its coder (``nncodec.extensions.deepCABAC``, C++) is loaded: the package's Python needs torchvision. Payloads are counted without the
headers of its units, ours without those of the file. Everything encoded is decoded and compared.
"""

import importlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qsim.errors import QsimError
from qsim.formats.context import shortest_stream

if TYPE_CHECKING:
    from qsim.peers import Given, PeerRow

Indices = npt.NDArray[np.int32]
Payload = npt.NDArray[np.uint8]
PROFILE = 1  # of the standard's second edition
DENSITY = 2  # of quantisation parameters: 4 steps an octave, its default
PARAMETERS = (-24, -20, -16)  # quantisation parameters; a step is (4 + qp mod 4) 2^(qp div 4 - 2)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the standard leaves to the encoder; ``dependent``: indices of its dependent quantiser, coded with the state of its trellis."""

    unary: int = 11
    optimised: int = 1
    skip_rows: int = 0
    scan: int = 0
    dependent: int = 0


DEFAULT = Setting()  # of ``nncodec.nnc.compress``, for indices of another quantiser
SEARCHED = tuple(itertools.starmap(Setting, itertools.product((1, 4, 11), (0, 1), (0, 1), (0, 1))))


def compare(given: "Given", version: str) -> "Iterator[PeerRow]":
    """Yield what its coder makes of our indices, and what both coders make of its indices."""
    from qsim.peers import PeerRow

    ours = [_ranks(layer.form.reconstruct()) for layer in given.pruned.layers]
    context, our_seconds = _by_context(ours)
    for settings, choices in (("usual settings", (DEFAULT,)), (f"best of {len(SEARCHED)} settings a layer", SEARCHED)):
        best, seconds = _by_standard(ours, choices)
        yield PeerRow(
            peer="nncodec", version=version, task="entropy coding of the pruned network", settings=f"deepCABAC, {settings}; context",
            unit="bytes", theirs=best, ours=context, seconds=seconds, our_seconds=our_seconds,
        )  # fmt: skip
    for dependent in (0, 1):
        for qp in PARAMETERS:
            yield _own_quantisation(given, version, qp, Setting(dependent=dependent))


def _own_quantisation(given: "Given", version: str, qp: int, setting: Setting) -> "PeerRow":
    """Its own steps on the pruned float weights, uniform or dependent; the error is that of the float network with these weights."""
    from qsim.peers import PeerRow

    cells, weights = [], []
    for layer in given.workload.layers:
        real = np.ascontiguousarray(given.pruned_state[f"{layer.name}.weight"].reshape(layer.rows, -1), dtype=np.float32)
        found = np.zeros(real.shape, dtype=np.int32)
        _coder().Encoder().quantLayer(real, found, setting.dependent, DENSITY, qp, 0.0, setting.unary - 1, 0, PROFILE)
        cells.append(found)
        decoded = np.zeros(real.shape, dtype=np.float32)
        levels = encoded(found, setting)[1].copy()
        _coder().Decoder().dequantLayer(decoded, levels, DENSITY, qp, 0)
        weights.append(decoded)
    size, seconds = _by_standard(cells, (setting,))
    ours, our_seconds = _by_context(cells)
    kind = "dependent" if setting.dependent else "uniform"
    return PeerRow(
        peer="nncodec", version=version, task=f"the pruned network in its {kind} steps",
        settings=f"qp {qp}: {_test_error(given, weights):.2f} % test error; deepCABAC; context",
        unit="bytes", theirs=size, ours=ours, seconds=seconds, our_seconds=our_seconds,
    )  # fmt: skip


def _coder() -> Any:
    return importlib.import_module("nncodec.extensions.deepCABAC")


def _ranks(values: npt.NDArray[Any]) -> Indices:
    """Return the place of each value among those that occur, counted from zero: small numbers near zero, as its binarisation expects."""
    found, places = np.unique(values, return_inverse=True)
    return np.ascontiguousarray(places.reshape(values.shape) - np.searchsorted(found, 0), dtype=np.int32)


def encode(cells: Indices, setting: Setting) -> Payload:
    """Return the payload of ``cells`` [rows, columns]."""
    empty = np.ascontiguousarray(~cells.any(axis=1), dtype=np.int32)
    encoder = _coder().Encoder()
    encoder.initCtxModels(setting.unary, setting.optimised)
    encoder.encodeLayer(cells, setting.dependent, setting.scan, PROFILE, 0, setting.skip_rows, empty, *_off(), 0, 0)
    payload: Payload = encoder.finish()
    return payload


def encoded(cells: Indices, setting: Setting) -> tuple[int, Indices]:
    """Return the bytes of ``cells`` [rows, columns] and what they decode to, dependent indices as integers of the half step.

    Raises :class:`QsimError` where the others do not decode to ``cells``.
    """
    payload, found = encode(cells, setting), np.zeros(cells.shape, dtype=np.int32)
    decoder = _coder().Decoder()
    decoder.setStream(payload.copy())
    decoder.initCtxModels(setting.unary)
    decoder.decodeLayerAndCreateEPs(found, setting.dependent, setting.scan, PROFILE, 0, *_off(), 0, 0)
    if not setting.dependent and not np.array_equal(found, cells):
        raise QsimError(f"nncodec does not decode what it encoded with {setting}")
    return len(payload), found


def _off() -> tuple[Any, npt.NDArray[np.int8]]:
    return _coder().HdspMode.AlwaysOff, np.zeros(2, dtype=np.int8)


def _by_standard(layers: Sequence[Indices], choices: Sequence[Setting]) -> tuple[int, float]:
    """Return the bytes of all layers with the best of ``choices`` for each, and the seconds of encoding."""
    for cells, choice in itertools.product(layers, choices):
        encoded(cells, choice)  # raises where it is not exact
    began = time.process_time()
    best = [min(len(encode(cells, choice)) for choice in choices) for cells in layers]
    return sum(best), time.process_time() - began


def _by_context(layers: Sequence[Indices]) -> tuple[int, float]:
    began, size = time.process_time(), 0
    for cells in layers:
        symbols = np.unique(cells)
        places = np.searchsorted(symbols, cells).astype(np.int32)
        size += len(shortest_stream(places, int(np.searchsorted(symbols, 0)) if 0 in symbols else None)[0])
    return size, time.process_time() - began


def _test_error(given: "Given", weights: Sequence[npt.NDArray[np.float32]]) -> float:
    import torch

    from qsim.compress.network import Layout, Samples, error_count

    layout = Layout.of(given.workload.layers)
    flat = layout.pack(given.pruned_state)
    for target, weight in zip(layout.weights(flat), weights, strict=True):
        target.copy_(torch.from_numpy(weight))
    test = Samples.of(given.mnist.test, given.workload.normalisation)
    with torch.no_grad():
        return 100.0 * error_count(layout, flat, test) / len(test)
