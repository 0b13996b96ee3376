"""How fast the simulator is: the kernel, one engine against the other, one large layer with all its counters."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from qsim.arch.presets import EIE, MACHINES
from qsim.arch.timing import TIMINGS
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import ScalarCoded
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.graph import Activation, FullyConnected
from qsim.sim import event, fast
from qsim.sim.lower import LoweredLayer, lower
from qsim.sim.lower_model import lower_model
from qsim.sim.model import simulate_layer
from qsim.sim.program import Program

REPEATS = 15
FOUR = ("dense-16b-dram", "codebook-dram", "sparse-huffman-dram", "sparse-sram")


def best(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least process time in seconds of ``action`` after one run that warms up: the machine's other work is not counted."""
    action()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def broadcast_program(items: int) -> Program:
    """Return 64 PEs with about six entries a column, as a 4096-row layer of 9 % weights has."""
    rng = np.random.default_rng(0)
    return Program(
        name="benchmark",
        queue=EIE.array.queue,
        timing=TIMINGS[EIE.array.kind],
        scan_empty=np.zeros(items, dtype=np.int64),
        scan_tail=0,
        service=np.maximum(rng.binomial(64, 0.107, (64, items)), 1).astype(np.uint32),
        drain_rows=64,
    )


def large_layer() -> tuple[LoweredLayer, np.ndarray]:
    """Return a 4096 x 4096 layer with 9 % weights on sparse-sram, and an input with 35 % activations."""
    rng = np.random.default_rng(0)
    size, weights, activations = 4096, FixedFormat(16, 12), FixedFormat(16, 8)
    mask = rng.random((size, size), dtype=np.float32) < 0.09
    codes = np.where(mask, rng.integers(0, 15, mask.shape, dtype=np.uint16), 0)
    form = ScalarCoded(codes=codes, codebook=np.arange(1, 16) * 100 - 850, weight_format=weights, mask=mask)
    node = FullyConnected(
        name="fc",
        inputs=size,
        outputs=size,
        activation=Activation.RELU,
        input_format=activations,
        output_format=activations,
        bias_format=FixedFormat(16, 12),
        accumulator_format=FixedFormat(32, 20),
    )
    layer = QuantisedLayer(node=node, form=form, bias=np.zeros(size, dtype=np.int64))
    return lower(layer, EIE), np.where(rng.random(size) < 0.35, rng.integers(1, 255, size), 0)


def simulate_on_four(model: CompressedModel, image: np.ndarray) -> None:
    """Prepare and simulate every layer of ``model`` on four machines for one image."""
    from qsim.sim.semantics import infer

    activations = infer(model, image).inputs
    for name in FOUR:
        for layer, values in zip(lower_model(model, MACHINES[name]), activations, strict=True):
            simulate_layer(layer, values[0])


def run() -> list[dict[str, object]]:
    """Return the rows."""
    many, some = broadcast_program(20_000), broadcast_program(1_000)
    updates = many.items * many.pes / best(partial(fast.simulate, many))
    slow, quick = best(partial(event.simulate, some, timeline=False), 1), best(partial(_repeat, partial(fast.simulate, some), 50)) / 50
    lowered, activations = large_layer()
    large = best(partial(_repeat, partial(simulate_layer, lowered, activations), 5)) / 5
    return [
        {
            "name": "fast engine",
            "value": updates / 1e9,
            "unit": "G PE-items/s",
            "target": ">= 1",
            "on": "64 PEs, 20,000 items, accounts included",
        },
        {"name": "fast over event engine", "value": slow / quick, "unit": "x", "target": ">= 300", "on": "64 PEs, 1,000 items"},
        {
            "name": "4096 x 4096 layer, 9 % weights, 35 % activations",
            "value": large * 1e3,
            "unit": "ms",
            "target": "< 20",
            "on": "sparse-sram, all counters, lowered once",
        },
        *_whole_model(),
    ]


def _repeat(action: Callable[[], object], times: int) -> None:
    for _ in range(times):
        action()


def _whole_model() -> list[dict[str, object]]:
    from benchmarks.files import compressed
    from workloads.mnist import load_test

    model = CompressedModel.load(compressed("smallest"))
    image = load_test(None).images[:1].astype(np.int64)
    took = best(partial(simulate_on_four, model, image))
    return [
        {
            "name": "LeNet-300-100 prepared and simulated on 4 machines",
            "value": took * 1e3,
            "unit": "ms",
            "on": "one image, within a process",
        }
    ]
