"""Do the verbs say of a file with convolutions what it is, and what the RTL cannot do with it?"""

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from qsim.array_job import check_chain
from qsim.cli.inspect_verb import _shapes
from qsim.encode.sizes import table
from qsim.errors import UnsupportedProgram
from qsim.formats.layer import StreamKind
from qsim.verify import torch_outputs
from tests.model.test_convolutional_file import small

MACHINE = next(machine for machine in MACHINES.values() if machine.name.startswith("sparse-rtl"))


def test_the_size_table_counts_convolutions_and_leaves_pools_out() -> None:
    """Is there a row for the convolution and one in total, and does every byte have its kind?"""
    model = small()
    rows = table(model)
    assert [row.name for row in rows] == ["conv", "total"]
    assert rows[0].weights == model.graph.nodes[0].rows * 6  # 3 x 2 taps of one channel a group
    assert rows[-1].bytes_pqh == model.file_bytes
    assert sum(model.bytes_by_kind.values()) == model.file_bytes
    assert model.bytes_by_kind[StreamKind.BIAS] == model.graph.nodes[0].rows  # of 8 bits
    assert [name for name, _ in _shapes(model)] == ["input", "conv", "pool"]


def test_whole_networks_with_windows_are_refused_in_rtl_by_name() -> None:
    """Is a convolution or pool in a network an error that names the node?"""
    model = small()
    with pytest.raises(UnsupportedProgram, match=r"conv must be a fully connected layer for a whole network in RTL .*not 'Convolution'"):
        check_chain(model.graph.nodes[0])
    with pytest.raises(UnsupportedProgram, match=r"pool must be a fully connected layer for a whole network in RTL .*not 'MaxPool'"):
        check_chain(model.graph.nodes[1])


def test_outputs_of_pytorch_are_those_of_layers_with_weights() -> None:
    """Is there one array a layer with weights, of its own size?"""
    model = small()
    found = torch_outputs(model, np.zeros((2, 60), dtype=np.int64))
    assert found is not None
    assert [values.shape for values in found] == [(2, model.graph.nodes[0].outputs)]
