"""Is a convolution on a machine what it is defined to be: each output pixel the program of a fully connected layer of its window?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.arch.architecture import Architecture, PEKind
from qsim.arch.presets import LPDDR3_1600_AT_800_MHZ, MACHINES
from qsim.errors import UnsupportedProgram
from qsim.model.compressed import CompressedModel, QuantisedLayer
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Convolution
from qsim.results import LayerResult
from qsim.sim.convolution import Boundary, LoweredConvolution, lower_convolution
from qsim.sim.convolution_run import ConvolutionRun
from qsim.sim.fast_pixels import map_of
from qsim.sim.lower import scan_rows
from qsim.sim.model import simulate_model, trace_layer
from qsim.sim.pe import PE_VARIANTS
from qsim.sim.pixels import activation_map
from qsim.sim.semantics import windows
from tests.model.convolutions import convolutional_models, geometries, random_convolution
from tests.sim.compare import assert_same

KINDS = {PEKind.DENSE: "dense", PEKind.CODEBOOK: "scalar_coded", PEKind.SPARSE: "scalar_coded", PEKind.PVQ: "pyramid"}
kinds = st.sampled_from(list(KINDS))
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def machine_of(kind: PEKind, rng: np.random.Generator, *, streams: bool) -> Architecture:
    """Rows of 1, 2 or 4, short queues, and memories that often hold only a part of the weights or of the activations."""
    machine = MACHINES["sparse-rtl-2"].replace("array.kind", str(kind)).replace("array.pes", int(rng.choice([1, 2, 3])))
    machine = machine.replace("array.queue.depth", int(rng.choice([1, 2, 8]))).replace("scan.row_width", int(rng.choice([1, 2, 4])))
    machine = machine.replace("scan.skip_zeros", kind in (PEKind.SPARSE, PEKind.PVQ)).replace("array.code_bits", 8)
    machine = machine.replace("array.index_bits", 2)
    if streams:
        machine = machine.replace("dram", replace(LPDDR3_1600_AT_800_MHZ, tile_bytes=64, refresh_interval=500))
        machine = machine.replace("weights.bytes", int(rng.choice([128, 1024, 65536])))
        machine = machine.replace("activations.bytes", int(rng.choice([400, 4096])))
    return machine


def inputs_for(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-300, 300, count) * (rng.random(count) < rng.choice([0.1, 0.5, 1.0]))


def lowered_of(layer: QuantisedLayer, machine: Architecture, **boundary: bool) -> LoweredConvolution:
    node = layer.node
    assert isinstance(node, Convolution)
    return lower_convolution(layer.form, node.geometry, node.bias_format.width, machine, node.name, Boundary(**boundary))


@settings(max_examples=120, deadline=None)
@given(geometries(), kinds, generators)
def test_each_pixel_is_the_program_of_its_window(geometry: ImageGeometry, kind: PEKind, rng: np.random.Generator) -> None:
    """The window gathered by the semantics of inference, its channels padded to whole rows, through the scan of a fully connected layer."""
    layer, machine = random_convolution("conv", geometry, KINDS[kind], rng), machine_of(kind, rng, streams=False)
    values = inputs_for(geometry.inputs, rng)
    node = layer.node
    assert isinstance(node, Convolution)
    variant, dense = PE_VARIANTS[kind], not machine.scan.skip_zeros
    stride = -(-geometry.group_channels // machine.scan.row_width) * machine.scan.row_width
    if kind is PEKind.SPARSE:
        stride = -(-geometry.channels // machine.scan.row_width) * machine.scan.row_width
    rows = node.out_channels // geometry.groups
    for part, pixels in lowered_of(layer, machine).pixels(values, activation_map):
        group = part.group or 0
        if kind is PEKind.SPARSE:
            read = np.concatenate(
                [windows(node, values[None], g).reshape(geometry.pixels, geometry.taps, -1) for g in range(geometry.groups)], axis=2
            )
        else:
            read = windows(node, values[None], group).reshape(geometry.pixels, geometry.taps, geometry.group_channels)
        padded = np.zeros((geometry.pixels, geometry.taps, stride), dtype=np.int64)
        padded[:, :, : read.shape[2]] = read
        service = variant.work(layer.form, machine, "conv").issue
        assert pixels.drain_rows == -(-part.block.rows // machine.array.pes)
        for pixel in range(1 if dense else geometry.pixels):
            program = pixels.program(pixel)
            window = padded[pixel].reshape(-1)
            columns = np.arange(len(window)) if dense else np.flatnonzero(window)
            empty, tail = scan_rows(columns, len(window), machine)
            assert program.scan_empty.tolist() == empty.tolist()
            assert program.scan_tail == tail
            assert pixels.columns(pixel).tolist() == columns.tolist()
            if geometry.groups == 1 and not dense:
                tap, channel = np.divmod(columns, stride)
                assert np.array_equal(program.service, np.maximum(1, service[:, tap * geometry.channels + channel]))
            if dense:
                expected = -(-(rows - np.arange(machine.array.pes)) // machine.array.pes)
                assert (program.service == np.maximum(1, expected)[:, None]).all()


@settings(max_examples=80, deadline=None)
@given(geometries(), kinds, generators, st.booleans(), st.booleans())
def test_engines_agree_on_a_convolution(geometry: ImageGeometry, kind: PEKind, rng: np.random.Generator, first: bool, last: bool) -> None:
    """Cycles, every unit's account, every action count and event; weights on chip or from DRAM, activations on chip or spilled."""
    layer, machine = random_convolution("conv", geometry, KINDS[kind], rng), machine_of(kind, rng, streams=bool(rng.integers(2)))
    try:
        lowered = lowered_of(layer, machine, first=first, last=last)
    except UnsupportedProgram:
        return
    values = inputs_for(geometry.inputs, rng)
    quick = ConvolutionRun(lowered, values, "fast").result()
    assert quick == ConvolutionRun(lowered, values, "event").result()
    assert_conserved(quick, layer, lowered)


def assert_conserved(result: LayerResult, layer: QuantisedLayer, lowered: LoweredConvolution) -> None:
    """What does not depend on the order of anything: products, results, bytes."""
    weights = np.count_nonzero(layer.form.reconstruct())
    if lowered.machine.array.kind is PEKind.SPARSE:
        assert result.macs <= weights * lowered.geometry.pixels
    dram = lowered.machine.dram
    if dram is None:
        return
    groups = 1 if lowered.passes[0].group is None else lowered.geometry.groups
    reads = result.events["passes"] // groups if lowered.spilled else int(lowered.first)
    written = lowered.stored if lowered.unloads_output else 0
    weight_bytes = sum(part.block.load.bytes * part.repeats for part in lowered.passes if part.block.load is not None)
    least = 2 * (reads * lowered.geometry.inputs + written) + weight_bytes
    assert result.events["dram_bytes"] >= least


@settings(max_examples=15, deadline=None)
@given(convolutional_models("dense"), generators)
def test_engines_agree_on_a_convolutional_network(model: CompressedModel, rng: np.random.Generator) -> None:
    machine = MACHINES["dense-rtl-4"].replace("scan.skip_zeros", bool(rng.integers(2)))
    inputs = np.stack([inputs_for(model.graph.nodes[0].inputs, rng)])
    slow = simulate_model(model, machine, inputs, engine="event", trace=True)
    quick = simulate_model(model, machine, inputs, engine="fast", trace=True)
    assert slow == quick
    assert [result[0].name for result in quick.layers] == ["conv1", "conv2", "fc"]


@settings(max_examples=200, deadline=None)
@given(generators, st.sampled_from([1, 2, 3, 4]))
def test_the_compiled_map_is_the_map(rng: np.random.Generator, row_width: int) -> None:
    values = inputs_for(int(rng.integers(1, 40)) * 12, rng).reshape(-1, int(rng.choice([1, 3, 4, 12])))
    assert_same(activation_map(values, row_width), map_of(values, row_width))


def test_a_convolution_counted_by_hand() -> None:
    """One channel of 3 x 3 ones, window 2 x 2, no padding, one filter of four weights, one PE, rows of one activation.

    Each of 4 pixels has 4 items of one entry: broadcasts in cycles 4 to 7, last leave in 7 + 1 + 1 + 1 = 10, barrier 17, drain begins in
    19, one row, done 7 cycles after it: 27 cycles a pixel.
    """
    rng = np.random.default_rng(0)
    layer = random_convolution("conv", ImageGeometry(height=3, width=3, channels=1, kernel=(2, 2)), "scalar_coded", rng)
    form = replace(layer.form, codes=np.ones((1, 4), dtype=np.uint16), codebook=np.array([0, 5]), mask=None)  # type: ignore[call-arg]
    machine = MACHINES["sparse-rtl-1"].replace("scan.row_width", 1)
    lowered = lower_convolution(form, layer.node.geometry, 16, machine, "conv")  # type: ignore[union-attr]
    result = ConvolutionRun(lowered, np.ones(9, dtype=np.int64), "fast").result()
    assert result.cycles == 4 * 27
    assert (result.macs, result.dense_macs) == (16, 16)
    assert result.events == {"columns": 16, "entries": 16, "filler_entries": 0, "empty_columns": 0, "pixels": 4, "passes": 1}


def test_what_does_not_fit_is_refused_by_name() -> None:
    rng = np.random.default_rng(1)
    layer = random_convolution("conv", ImageGeometry(height=8, width=8, channels=4, kernel=(3, 3)), "scalar_coded", rng)
    machine = MACHINES["sparse-rtl-2"].replace("array.code_bits", 8)
    with pytest.raises(UnsupportedProgram, match=r"activations\.bytes must be at least \d+, for input and output of conv"):
        lowered_of(layer, machine.replace("activations.bytes", 16))
    streams = machine.replace("dram", LPDDR3_1600_AT_800_MHZ)
    with pytest.raises(UnsupportedProgram, match=r"for the 3 rows of a window and a row of outputs of conv over 2 PEs"):
        lowered_of(layer, streams.replace("activations.bytes", 16))
    with pytest.raises(UnsupportedProgram, match=r"weights\.bytes must be at least \d+ a PE for one row of conv in each PE"):
        lowered_of(layer, streams.replace("weights.bytes", 8))
    with pytest.raises(UnsupportedProgram, match=r"activations must be of shape \[256\]"):
        ConvolutionRun(lowered_of(layer, machine), np.ones(3, dtype=np.int64), "fast")
    with pytest.raises(UnsupportedProgram, match=r"engine must be the name of an engine, not 'quick'"):
        ConvolutionRun(lowered_of(layer, machine), np.ones(256, dtype=np.int64), "quick")


def test_the_trace_of_a_convolution_is_that_of_a_pixel_in_its_middle() -> None:
    rng = np.random.default_rng(1)
    layer = random_convolution("conv", ImageGeometry(height=4, width=4, channels=4, kernel=(3, 3)), "scalar_coded", rng)
    found = trace_layer(lowered_of(layer, MACHINES["sparse-rtl-2"].replace("array.code_bits", 8)), np.ones(64, dtype=np.int64))
    assert found.layer == "conv.2"
    assert found.spans


def test_fewer_weights_on_chip_mean_more_passes_and_no_other_work() -> None:
    rng = np.random.default_rng(4)
    layer = random_convolution("conv", ImageGeometry(height=6, width=6, channels=8, kernel=(3, 3), groups=1), "scalar_coded", rng)
    codes = rng.integers(0, 3, (24, 72)).astype(np.uint16)
    form = replace(layer.form, codes=codes, codebook=np.array([0, 5, -7]), mask=codes > 0)  # type: ignore[call-arg]
    machine = MACHINES["sparse-rtl-2"].replace("array.code_bits", 8).replace("dram", LPDDR3_1600_AT_800_MHZ).replace("array.index_bits", 8)
    found = []
    for size in (65536, 1024, 256):
        lowered = lower_convolution(form, layer.node.geometry, 16, machine.replace("weights.bytes", size), "conv")  # type: ignore[union-attr]
        found.append(ConvolutionRun(lowered, np.ones(288, dtype=np.int64), "fast").result())
    assert [result.events["passes"] for result in found] == sorted({result.events["passes"] for result in found})
    assert len({(result.macs, result.events["entries"]) for result in found}) == 1
    assert found[0].cycles < found[1].cycles < found[2].cycles
