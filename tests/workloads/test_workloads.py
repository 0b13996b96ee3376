"""Does every workload agree with its publication and with the checkpoint it ships?"""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qsim.errors import DataError, FieldError
from qsim.formats.fixed import FixedFormat
from qsim.model.graph import Activation
from workloads import WORKLOADS
from workloads.weights import load_weights, save_weights
from workloads.workload import LayerShape, Normalisation, Published, Workload

LENET = WORKLOADS["lenet-300-100"]


def test_lenet_300_100_is_as_published() -> None:
    # 784*300 + 300 + 300*100 + 100 + 100*10 + 10; Deep Compression Table 1 prints 1070 KB and 40x, Table 2 235K, 30K and 1K.
    assert LENET.parameters == 266_610
    assert LENET.float_bytes == 1_066_440
    assert round(LENET.float_bytes / 1000) in range(1060, 1071)
    assert [layer.inputs * layer.outputs for layer in LENET.layers] == [235_200, 30_000, 1_000]
    assert round(LENET.published.ratio) == 40


def test_lenet_5_is_as_published() -> None:
    """Are layers and sizes those of Caffe's LeNet and of Deep Compression, Tables 1 and 3: 0.5K, 25K, 400K, 5K; 1720 KB, 39x?"""
    lenet = WORKLOADS["lenet-5"]
    assert lenet.parameters == 431_080
    assert round(lenet.float_bytes / 1000) in range(1715, 1726)
    assert [layer.rows * layer.columns for layer in lenet.layers] == [500, 25_000, 400_000, 5_000]
    assert [layer.inputs for layer in lenet.layers] == [784, 12 * 12 * 20, 4 * 4 * 50, 500]
    assert round(lenet.published.ratio) == 39


@pytest.mark.parametrize("name", WORKLOADS)
def test_shipped_checkpoint_loads_with_the_right_shapes(name: str) -> None:
    workload = WORKLOADS[name]
    state = load_weights(workload)
    assert sum(values.size for values in state.values()) == workload.parameters
    assert all(values.dtype == np.float32 for values in state.values())


@pytest.mark.parametrize("name", WORKLOADS)
def test_names_layers_and_citation_are_there(name: str) -> None:
    workload = WORKLOADS[name]
    assert workload.name == name
    assert workload.citation
    assert workload.layers[-1].activation is Activation.NONE


def test_checkpoint_survives_a_round_trip(tmp_path: Path) -> None:
    state = load_weights(LENET)
    digest = save_weights(LENET, state, tmp_path / "again.safetensors")
    assert digest == LENET.checkpoint_sha256
    again = load_weights(LENET, tmp_path / "again.safetensors")
    assert all(np.array_equal(again[name], state[name]) for name in state)


def test_foreign_checkpoints_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(LENET, path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataError, match="not a safetensors file"):
        load_weights(LENET, path)
    state = dict(load_weights(LENET))
    save_file({**state, "ip4.weight": np.zeros((1, 1), dtype=np.float32)}, path)
    with pytest.raises(DataError, match=r"ip4\.weight"):
        load_weights(LENET, path)
    save_file({name: values for name, values in state.items() if name != "ip2.bias"}, path)
    with pytest.raises(DataError, match=r"lacks the tensor 'ip2\.bias'"):
        load_weights(LENET, path)
    save_file({**state, "ip3.weight": np.ascontiguousarray(state["ip3.weight"].T)}, path)
    with pytest.raises(DataError, match=r"ip3.weight shape must be \(10, 100\)"):
        load_weights(LENET, path)
    save_file({**state, "ip3.bias": np.full(10, np.nan, dtype=np.float32)}, path)
    with pytest.raises(DataError, match="finite"):
        load_weights(LENET, path)


def test_normalisation_maps_a_pixel_as_training_did() -> None:
    normalisation = Normalisation(mean=0.25, deviation=0.5, input_format=FixedFormat(16, 8))
    for pixel in (0, 1, 128, 255):
        expected = (pixel / 255 - 0.25) / 0.5
        assert normalisation.gain * (pixel / 256) + normalisation.offset == pytest.approx(expected, abs=1e-12)


def test_impossible_workloads_are_refused() -> None:
    first = LayerShape(name="a", inputs=4, outputs=3, activation=Activation.RELU)
    second = LayerShape(name="b", inputs=2, outputs=3, activation=Activation.NONE)
    published = Published(
        source="none", reference_kilobytes=1, compressed_kilobytes=1, reference_error_percent=0, compressed_error_percent=0
    )
    normalisation = Normalisation(mean=0, deviation=1, input_format=FixedFormat(16, 8))
    with pytest.raises(FieldError, match=r"layer b\.inputs must be 3 as a gives, not 2"):
        Workload(
            name="w", citation="c", layers=(first, second), published=published, normalisation=normalisation, checkpoint="w",
            checkpoint_sha256="",
        )  # fmt: skip
    with pytest.raises(FieldError, match="at least one layer"):
        Workload(name="w", citation="c", layers=(), published=published, normalisation=normalisation, checkpoint="w", checkpoint_sha256="")
    with pytest.raises(FieldError, match="outputs must be at least 1"):
        LayerShape(name="a", inputs=4, outputs=0, activation=Activation.NONE)
    with pytest.raises(FieldError, match="deviation must be positive"):
        Normalisation(mean=0, deviation=0, input_format=FixedFormat(16, 8))
