"""Does ``qsim import`` say what a file holds, how far it agrees with ONNX Runtime, and what is wrong?"""

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from qsim.cli import main
from tests.model.onnx_models import write_nodes

W = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2])


def qsim(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(str(left.value.code or 0))


@pytest.fixture
def file(tmp_path):
    nodes = [CONV, helper.make_node("Relu", ["c"], ["y"])]
    path = write_nodes(tmp_path / "net.onnx", nodes, {"x": np.zeros((1, 3, 8, 8), np.float32)}, {"w": W}, ["y"])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, path)
    return path


def test_the_table(file, capsys):
    assert qsim("import", str(file), "--dim", "N=2") == 0
    shown = capsys.readouterr()
    assert "max error against ONNX Runtime" in shown.out
    assert "2 operators, 108 parameters" in shown.out
    assert "2x4x4x4" in shown.out and f"{2 * 16 * 4 * 27:,}" in shown.out
    assert "operators" in shown.err


def test_json(file, capsys):
    assert qsim("import", str(file), "--dim", "N=1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["operators"], found["parameters"], found["macs"]) == (2, 108, 16 * 4 * 27)
    assert 0 <= found["agreement"]["max_error"] < 1e-5
    (layer,) = found["layers"]
    assert (layer["kind"], layer["window"]["strides"], layer["relu"]) == ("convolution", [2, 2], True)


def test_mistakes_are_one_line(file, tmp_path, capsys):
    assert qsim("import", str(file)) == 2
    assert "leaves the size of axis 0 open: fix it, for example N=1" in capsys.readouterr().err
    assert qsim("import", str(file), "--dim", "N") == 2
    assert "--dim must be like NAME=1, not 'N'" in capsys.readouterr().err
    assert qsim("import", str(tmp_path / "absent.onnx")) == 2
    assert "it does not exist" in capsys.readouterr().err


def test_holes_are_stated(tmp_path, capsys):
    nodes = [CONV, helper.make_node("Hardmax", ["c"], ["y"], name="odd")]
    path = write_nodes(tmp_path / "net.onnx", nodes, {"x": np.zeros((1, 3, 8, 8), np.float32)}, {"w": W}, ["y"])
    assert qsim("import", str(path)) == 2
    assert "1 operator not supported: 'odd' (Hardmax)" in capsys.readouterr().err
    assert qsim("import", str(path), "--allow-unsupported") == 0
    shown = capsys.readouterr().out
    assert "hole: 'odd' (Hardmax): no such operator here" in shown
    assert "all outputs depend on holes" in shown


def test_a_torch_program(tmp_path, capsys):
    import torch

    program = torch.export.export(torch.nn.Linear(3, 2).eval(), (torch.zeros(1, 3),), strict=False)
    torch.export.save(program, tmp_path / "net.pt2")
    assert qsim("import", str(tmp_path / "net.pt2")) == 0
    assert "max error against PyTorch" in capsys.readouterr().out
    assert qsim("import", str(tmp_path / "net.pt2"), "--dim", "N=1") == 2
