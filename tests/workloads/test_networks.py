"""Does every network have the parameters that are published, and do its layers run on a machine?"""

from functools import cache

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.estimate import Plan, draw_zeros, infer_zeros, prepare, simulate
from qsim.model.matrix_layers import LayerKind, MatrixLayer, matrix_layers
from workloads import NETWORKS
from workloads.unet import build as build_unet

# Multiply-accumulates as the papers count them, in millions: He et al., Table 1 (multiply-adds); Howard et al., Table 4; Sandler et al.,
# Table 4; VGG-16 and AlexNet: arithmetic on their layer tables.
MACS = {"resnet-18": 1_800, "resnet-50": 3_800, "mobilenet-v1": 569, "mobilenet-v2": 300, "vgg-16": 15_470, "alexnet": 724}


@cache
def facts(name: str) -> tuple[int, str, tuple[MatrixLayer, ...]]:
    """Parameters, source and layers, without keeping the weights."""
    network = NETWORKS[name].build(0)
    return network.parameters, network.source, matrix_layers(network)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parameters_are_as_published(name: str) -> None:
    workload, (parameters, source, layers) = NETWORKS[name], facts(name)
    assert parameters + workload.folded == workload.parameters
    assert "SYNTHETIC" in source
    assert workload.citation
    assert workload.density_source
    assert set(workload.densities) <= {layer.name for layer in layers}
    if name in MACS:
        assert sum(layer.macs for layer in layers) / 1e6 == pytest.approx(MACS[name], rel=0.08)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (NETWORKS["ese-lstm"].build(seed).constants["projection.weight"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_kept_shares_are_those_of_the_papers_totals() -> None:
    """Deep Compression prints 11 % of AlexNet and 7.5 % of VGG-16 in all; EIE 10 % and 11 % for NeuralTalk."""
    for name, expected in (("alexnet", 0.11), ("vgg-16", 0.075)):
        workload, (_, _, layers) = NETWORKS[name], facts(name)
        kept = sum(layer.weights * workload.densities[layer.name] for layer in layers)
        assert kept / workload.parameters == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("name", ["resnet-32", "ese-lstm", "transformer-encoder"])
def test_the_small_networks_run_with_zeros_from_inference(name: str) -> None:
    workload = NETWORKS[name]
    prepared = prepare(workload.build(0), MACHINES["sparse-layer-dram"], Plan(density=workload.density, densities=workload.densities))
    drawn = np.random.default_rng(0)
    inputs = {tensor: drawn.random(kind.shape).astype(np.float32) for tensor, kind in prepared.network.tensors.items()}
    zeros = infer_zeros(prepared, {tensor: inputs[tensor] for tensor in prepared.network.inputs})
    results = simulate(prepared, zeros)
    assert [result.name for result in results] == [layer.name for layer in prepared.layers]
    for result, layer, found in zip(results, prepared.layers, zeros, strict=True):
        assert 0 < result.macs <= result.dense_macs == layer.layer.macs
        assert found.size == layer.geometry.inputs
    assert prepared.left_out == ()
    assert [layer.name for layer in prepared.layers] == [layer.name for layer in matrix_layers(prepared.network)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_fits_the_machines_made_for_networks(name: str) -> None:
    """On dense and codebook PEs as well; layers of grouped convolutions group by group."""
    workload = NETWORKS[name]
    network = workload.build(0)
    small = workload.parameters < 30_000_000 and name != "u-net"
    for name_of_machine in ("dense-16b-layer-dram", "codebook-layer-dram", "sparse-layer-dram") if small else ("sparse-layer-dram",):
        machine = MACHINES[name_of_machine].replace("activations.bytes", 16384 if name == "u-net" else 2048)
        prepared = prepare(network, machine, Plan(density=workload.density, densities=workload.densities))
        results = simulate(prepared, draw_zeros(prepared, 0.3, 1))
        assert sum(result.cycles for result in results) > sum(result.dense_macs for result in results) / 64 * 0.02


def test_u_net_up_convolutions_run_over_stuffed_zeros() -> None:
    """A smaller image, the same 23 layers; of the pixels of a stuffed input at least three in four are zero."""
    network = build_unet(0, size=188)
    machine = MACHINES["sparse-layer-dram"].replace("activations.bytes", 16384)
    prepared = prepare(network, machine, Plan(density=0.05, densities={}))
    assert len(prepared.layers) == 23
    zeros = draw_zeros(prepared, 1.0, 0)
    up = [layer for layer in prepared.layers if layer.layer.kind is LayerKind.TRANSPOSED_CONVOLUTION]
    assert [layer.geometry.output_height for layer in up] == [2 * layer.layer.input_shape[2] for layer in up]
    assert len(zeros) == 23
