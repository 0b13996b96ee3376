"""Are ONNX files read as they are meant: weights wherever they lie, open sizes, branches, external data; and is what is wrong named?"""

import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qsim.errors import FileFormatError, MissingExtra, UnsupportedProgram
from qsim.model.agreement import random_inputs
from qsim.model.matrix_layers import LayerKind, matrix_layers, weight_matrices
from qsim.model.onnx_import import import_onnx
from qsim.model.onnx_runtime import check_onnx
from qsim.model.reference import run
from tests.model.onnx_models import agree, write_nodes

rng = np.random.default_rng(0)
W, B = rng.normal(size=(5, 6)).astype(np.float32), rng.normal(size=5).astype(np.float32)
X = rng.normal(size=(2, 6)).astype(np.float32)
GEMM = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1, name="fc")


def open_sizes(path, sizes, name="x"):
    """Rewrite a file so that an input leaves sizes open: a text names one, None leaves it without a name."""
    model = onnx.load(path)
    (item,) = [item for item in model.graph.input if item.name == name]
    for dim, size in zip(item.type.tensor_type.shape.dim, sizes, strict=True):
        dim.Clear()
        if size is not None:
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.shape.dim[0].Clear()
    onnx.save(model, path)
    return path


def subgraph(nodes, output, name="branch"):
    return helper.make_graph(nodes, name, [], [floats_of(output)])


def floats_of(name):
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 5])


def constant(name, array):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def test_open_sizes_are_fixed_by_name_and_by_place(tmp_path):
    path = open_sizes(write_nodes(tmp_path / "n.onnx", [GEMM], {"x": X}, {"w": W, "b": B}, ["y"]), ["N", None])
    network, _ = agree(path, dims={"N": 3, "x:1": 6})
    assert (network.tensors["x"].shape, network.tensors["y"].shape) == ((3, 6), (3, 5))
    with pytest.raises(FileFormatError, match="input 'x' leaves the size of axis 0 open: fix it, for example N=1"):
        import_onnx(path)
    with pytest.raises(FileFormatError, match="axis 1 open: fix it, for example x:1=1"):
        import_onnx(path, dims={"N": 1})
    with pytest.raises(FileFormatError, match=r"dims must be open sizes of .*, not 'M'; legal values: N, x:1"):
        import_onnx(path, dims={"N": 1, "x:1": 6, "M": 1})
    with pytest.raises(FileFormatError, match=r"dims.N must be at least 1, not 0"):
        import_onnx(path, dims={"N": 0, "x:1": 6})
    with pytest.raises(FileFormatError, match=r"used as its meaning allows|second operand"):
        import_onnx(path, dims={"N": 1, "x:1": 7})


def test_weights_in_constant_nodes(tmp_path):
    path = write_nodes(tmp_path / "n.onnx", [constant("w", W), constant("b", B), GEMM], {"x": X}, {}, ["y"])
    network, _ = agree(path)
    assert (network.parameters, [operator.name for operator in network.operators]) == (35, ["fc"])
    (layer,) = matrix_layers(network)
    assert (layer.weight, layer.bias, layer.input) == ("w", "b", "x")
    assert np.array_equal(weight_matrices(network, layer)[0], W)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, W), (8000, 2 * W)])
def test_a_branch_of_a_fixed_input_is_taken_with_its_weights(tmp_path, rate, wanted):
    """As in Silero's files: the weights lie only inside the branches, whose tensors have the same names."""
    branches = [
        subgraph([constant("w", found), constant("b", B), helper.make_node("Gemm", ["x", "w", "b"], ["z"], transB=1)], "z", name)
        for found, name in ((W, "then"), (2 * W, "else"))
    ]
    nodes = [
        constant("rate", np.array(16000, dtype=np.int64)),
        helper.make_node("Equal", ["sr", "rate"], ["same"]),
        helper.make_node("If", ["same"], ["y"], then_branch=branches[0], else_branch=branches[1], name="if"),
    ]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": X, "sr": np.array(0, dtype=np.int64)}, {}, ["y"])
    network, _ = agree(path, fixed={"sr": rate})
    (layer,) = matrix_layers(network)
    assert np.array_equal(weight_matrices(network, layer)[0], wanted)
    assert (network.inputs, network.outputs) == (("x",), ("y",))
    with pytest.raises(FileFormatError, match=r"1 operator not supported: 'if' \(If\): its condition depends on data"):
        import_onnx(path)
    left = import_onnx(path, allow_unsupported=True)
    (hole,) = left.holes
    assert sorted(left.constants[name].size for name in hole.constants) == [5, 5, 30, 30]
    assert left.parameters == 70
    assert check_onnx(path, left).unchecked == ("y",)
    with pytest.raises(UnsupportedProgram, match="the network cannot be computed: 'if'"):
        run(left, random_inputs(left, 0))


def test_a_nested_branch_on_shapes_disappears(tmp_path):
    """Exporters ask for a tensor's rank at run time; with fixed sizes the answer is constant."""
    inner = subgraph([helper.make_node("Identity", ["h"], ["i"])], "i", "inner")
    other = subgraph([helper.make_node("Neg", ["h"], ["n"])], "n", "other")
    outer = subgraph(
        [constant("five", np.array(5, dtype=np.int64)), helper.make_node("Equal", ["width", "five"], ["again"]),
         helper.make_node("If", ["again"], ["o"], then_branch=inner, else_branch=other)], "o", "outer",
    )  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Shape", ["h"], ["shape"]),
        constant("one", np.array(1, dtype=np.int64)),
        constant("wide", np.array(5, dtype=np.int64)),
        helper.make_node("Gather", ["shape", "one"], ["width"]),
        helper.make_node("Equal", ["width", "wide"], ["is_wide"]),
        helper.make_node("If", ["is_wide"], ["y"], then_branch=outer, else_branch=other),
    ]
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {"w": W, "b": B}, ["y"]))
    assert ([operator.kind for operator in network.operators], network.outputs) == (["Gemm"], ("y",))


def loop(
    nodes, *, states=("state",), after=("next",), count="times", condition="", outputs=("y",), going="going", start="h", i="i", on="going"
):
    """A Loop named "loop" over ``start``; its body takes ``i``, ``on`` and ``states`` and gives ``going`` and ``after``."""
    taken = [helper.make_tensor_value_info(i, onnx.TensorProto.INT64, []), helper.make_tensor_value_info(on, onnx.TensorProto.BOOL, [])]
    given = [helper.make_tensor_value_info(going, onnx.TensorProto.BOOL, []), *map(floats_of, after)]
    body = helper.make_graph(nodes, "body", [*taken, *map(floats_of, states)], given)
    return helper.make_node("Loop", [count, condition, *(start for _ in states)], list(outputs), body=body, name="loop")


GEMM_H = helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, name="before")
STEP = [constant("inside", W[:, :5].copy()), helper.make_node("MatMul", ["state", "inside"], ["next"], name="step")]


def test_a_loop_over_data_is_a_hole_with_weights(tmp_path):
    nodes = [GEMM_H, loop(STEP)]
    inputs = {"x": X, "times": np.array(3, dtype=np.int64)}
    path = write_nodes(tmp_path / "n.onnx", nodes, inputs, {"w": W, "b": B}, ["y"], types={"y": floats_of("y")})
    with pytest.raises(FileFormatError, match=r"'loop' \(Loop\): its number of iterations depends on data"):
        import_onnx(path)
    network = import_onnx(path, allow_unsupported=True)
    assert [(hole.operator, len(hole.constants)) for hole in network.holes] == [("loop", 1)]
    assert (network.parameters, [layer.name for layer in matrix_layers(network)]) == (35 + 25, ["before"])
    feed = random_inputs(network, 0)
    assert np.allclose(run(network, feed, only=["h"])["h"], feed["x"] @ W.T + B, atol=1e-5)


def test_a_loop_of_known_length_is_unrolled(tmp_path):
    """The weights of the body are one, so is what is made of them; what iterations give is stacked; the number of one is a constant."""
    turned = helper.make_node("Transpose", ["inside"], ["turned"], perm=[1, 0])
    nodes = [
        STEP[0], turned, helper.make_node("MatMul", ["state", "turned"], ["m"], name="step"),
        helper.make_node("Cast", ["i"], ["f"], to=onnx.TensorProto.FLOAT), helper.make_node("Add", ["m", "f"], ["next"]),
    ]  # fmt: skip
    nodes = [
        constant("times", np.array(3, dtype=np.int64)), constant("yes", np.array(True)), GEMM_H,
        loop(nodes, after=("next", "next"), condition="yes", outputs=("last", "y")), helper.make_node("Neg", ["last"], ["z"]),
    ]  # fmt: skip
    types = {"y": helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 2, 5]), "z": floats_of("z")}
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {"w": W, "b": B}, ["z", "y"], types=types))
    assert [layer.name for layer in matrix_layers(network)] == ["before", "step", "step_2", "step_3"]
    assert len({layer.weight for layer in matrix_layers(network)}) == 2
    assert (network.parameters, network.tensors["y"].shape) == (35 + 25, (3, 2, 5))


def test_a_loop_ends_by_its_condition_and_nests(tmp_path):
    """While i < 2, without a count; inside, a loop of no iterations, which passes its states on, and an If on the number."""
    idle = [helper.make_node("Identity", ["j_on"], ["goes"]), helper.make_node("Neg", ["other"], ["more"])]
    none = loop(idle, states=("other",), after=("more",), count="zero", outputs=("same",), going="goes", start="state", i="j", on="j_on")
    branches = [subgraph([helper.make_node(kind, ["same"], ["o"])], "o", kind) for kind in ("Neg", "Exp")]
    nodes = [
        constant("zero", np.array(0, dtype=np.int64)), none,
        helper.make_node("Cast", ["i"], ["first"], to=onnx.TensorProto.BOOL),
        helper.make_node("If", ["first"], ["next"], then_branch=branches[0], else_branch=branches[1]),
        constant("two", np.array(1, dtype=np.int64)), helper.make_node("Less", ["i", "two"], ["on"]),
    ]  # fmt: skip
    nodes = [
        constant("yes", np.array(True)),
        helper.make_node("Identity", ["x"], ["h"]),
        loop(nodes, count="", condition="yes", going="on"),
    ]
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": X[:, :5].copy()}, {}, ["y"], types={"y": floats_of("y")}))
    assert [operator.kind for operator in network.operators] == ["Exp", "Neg"]


@pytest.mark.parametrize(
    ("body", "options", "count", "told"),
    [
        (STEP, {}, 1 << 40, "its iterations are more than the 8,192 operators to which loops are unrolled"),
        (STEP, {"count": "", "condition": "yes"}, 0, "its iterations are more than the 8,192 operators to which loops are unrolled"),
        ([], {"count": "", "condition": "yes", "after": ("state",)}, 0, "its iterations are more than the 8,192 operators"),
        (STEP, {"after": ("next", "next"), "outputs": ("y", "all")}, 0, "it has no iterations, and gives an empty tensor"),
        (
            [*STEP, helper.make_node("ReduceMax", ["state"], ["most"], keepdims=0), helper.make_node("Less", ["most", "limit"], ["on"])],
            {"going": "on"}, 3, "its condition depends on data",
        ),
    ],
)  # fmt: skip
def test_a_loop_that_cannot_be_unrolled_is_named(tmp_path, body, options, count, told):
    constants = {"w": W, "b": B, "times": np.array(count, dtype=np.int64), "yes": np.array(True), "limit": np.array(9, dtype=np.float32)}
    path = write_nodes(tmp_path / "n.onnx", [GEMM_H, loop(body, **options)], {"x": X}, constants, ["y"], types={"y": floats_of("y")})
    with pytest.raises(FileFormatError, match=rf"1 operator not supported: 'loop' \(Loop\): {told}"):
        import_onnx(path)
    assert [hole.operator for hole in import_onnx(path, allow_unsupported=True).holes] == ["loop"]


def test_layers_behind_a_hole_keep_their_shapes(tmp_path):
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, name="before"),
        helper.make_node("Hardmax", ["h"], ["k"], name="odd"),
        helper.make_node("MatMul", ["k", "w"], ["y"], name="after"),
    ]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {"w": W, "b": B}, ["y"])
    network = import_onnx(path, allow_unsupported=True)
    assert [(layer.name, layer.macs) for layer in matrix_layers(network)] == [("before", 60), ("after", 60)]
    assert [str(hole) for hole in network.holes] == ["'odd' (Hardmax): no such operator here"]
    assert check_onnx(path, network).max_error is None


def test_an_unknown_operator_is_named_with_its_node(tmp_path):
    nodes = [helper.make_node("NonZero", ["x"], ["z"], name="find"), helper.make_node("Cast", ["z"], ["y"], to=onnx.TensorProto.FLOAT)]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {}, ["y"])
    with pytest.raises(FileFormatError, match=r"'find' \(NonZero\): its shape depends on data, on 'x'"):
        import_onnx(path)
    other = write_nodes(tmp_path / "n.onnx", [helper.make_node("Det", ["x"], ["y"], name="d")], {"x": X[:, :2].copy()}, {}, ["y"])
    with pytest.raises(FileFormatError, match=r"'d' \(Det\): no such operator here"):
        import_onnx(other)


def test_an_unsupported_setting_is_named(tmp_path):
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", antialias=1, name="r")
    path = write_nodes(tmp_path / "n.onnx", [node], {"x": X}, {"s": np.array([1, 2], dtype=np.float32)}, ["y"])
    with pytest.raises(FileFormatError, match=r"'r' \(Resize\).*antialias must be 0, the only supported setting, not 1"):
        import_onnx(path)


def test_dead_operators_and_unused_constants_are_dropped(tmp_path):
    nodes = [GEMM, helper.make_node("Hardmax", ["x"], ["unused"])]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {"w": W, "b": B, "other": W}, ["y"])
    network, _ = agree(path)
    assert (set(network.constants), len(network.operators)) == ({"w", "b"}, 1)


def test_tied_weights_count_once(tmp_path):
    square = rng.normal(size=(6, 6)).astype(np.float32)
    nodes = [
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Transpose", ["w"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "same"], ["g"]),
        helper.make_node("MatMul", ["g", "turned"], ["y"]),
    ]
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": X}, {"w": square}, ["y"]))
    assert (network.parameters, [layer.weight for layer in matrix_layers(network)]) == (36, ["w", "w", "turned"])


def test_external_data(tmp_path):
    path = write_nodes(tmp_path / "n.onnx", [GEMM], {"x": X}, {"w": W, "b": B}, ["y"])
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    network, _ = agree(path)
    assert np.array_equal(network.constants["w"], W)
    (tmp_path / "weights.bin").write_bytes(b"short")
    with pytest.raises(FileFormatError, match=r"n\.onnx"):
        import_onnx(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FileFormatError, match=r"weights\.bin"):
        import_onnx(path)


def test_batch_norm_is_folded_and_computes_the_same(tmp_path):
    channels = [rng.random(4).astype(np.float32) + 0.5 for _ in range(4)]
    kernel = rng.normal(size=(4, 2, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv"),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"], name="norm"),
        helper.make_node("ConvTranspose", ["n", "t"], ["u"], name="up", group=2),
        helper.make_node("BatchNormalization", ["u", "s", "o", "m", "v"], ["d"], name="norm2"),
        helper.make_node("BatchNormalization", ["d", "s", "o", "m", "v"], ["y"], name="alone"),
    ]
    constants = {"k": kernel, "t": rng.normal(size=(4, 2, 2)).astype(np.float32), **dict(zip("somv", channels, strict=True))}
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": rng.normal(size=(2, 2, 9)).astype(np.float32)}, constants, ["y"])
    network, _ = agree(path)
    assert [operator.kind for operator in network.operators] == ["Conv", "ConvTranspose", "BatchNormalization"]
    assert network.passes == ("batch norm folded: 2",)
    plain, _ = agree(path, fold=False)
    assert len(plain.operators) == 5
    conv, _ = matrix_layers(network)
    factor = channels[0].astype(float) / np.sqrt(channels[3].astype(float) + 1e-5)
    assert np.allclose(weight_matrices(network, conv)[0], (factor[:, None, None] * kernel).reshape(4, 6), rtol=1e-6)


def test_a_batch_norm_whose_layer_is_read_elsewhere_stays(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "s", "s", "s", "s"], ["n"]),
        helper.make_node("Add", ["c", "n"], ["y"]),
    ]
    constants = {"k": rng.normal(size=(3, 2, 3)).astype(np.float32), "s": rng.random(3).astype(np.float32)}
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": rng.normal(size=(1, 2, 9)).astype(np.float32)}, constants, ["y"]))
    assert [operator.kind for operator in network.operators] == ["Conv", "BatchNormalization", "Add"]


def test_local_functions_are_inlined(tmp_path):
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 21)]
    )
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="local")],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10), tmp_path / "n.onnx")
    network, _ = agree(tmp_path / "n.onnx")
    assert [operator.kind for operator in network.operators] == ["Add"]


def test_a_product_of_two_activations_and_of_a_weight_on_the_left(tmp_path):
    nodes = [helper.make_node("MatMul", ["w", "x"], ["h"], name="left"), helper.make_node("MatMul", ["h", "x"], ["y"], name="both")]
    x = rng.normal(size=(3, 6, 6)).astype(np.float32)
    network, _ = agree(write_nodes(tmp_path / "n.onnx", nodes, {"x": x}, {"w": W}, ["y"]))
    left, both = matrix_layers(network)
    assert (left.kind, left.outputs, left.columns, left.groups, left.vectors, left.input) == (LayerKind.FULLY_CONNECTED, 5, 6, 1, 18, "x")
    assert np.array_equal(weight_matrices(network, left)[0], W)
    assert (both.kind, both.outputs, both.columns, both.groups, both.vectors) == (LayerKind.MATMUL, 6, 6, 3, 5)
    assert (both.input, both.second, both.weights, both.macs) == ("h", "x", 0, 3 * 5 * 6 * 6)


def test_a_wrong_import_is_an_error(tmp_path):
    path = write_nodes(tmp_path / "n.onnx", [GEMM], {"x": X}, {"w": W, "b": B}, ["y"])
    network = import_onnx(path)
    write_nodes(path, [GEMM], {"x": X}, {"w": 1.001 * W, "b": B}, ["y"])
    with pytest.raises(FileFormatError, match=r"outputs differ from ONNX Runtime .* by more than 0.0001 of their size: 'y' by 0.0"):
        check_onnx(path, network)


def test_a_small_file_cannot_ask_for_all_memory(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("Relu", ["zeros"], ["more"], name="blow"),
        helper.make_node("Add", ["x", "more"], ["y"]),
    ]
    path = write_nodes(tmp_path / "n.onnx", nodes, {"x": X[:1, :1].copy()}, {"huge": np.array([1 << 20, 1 << 20])}, ["y"])
    with pytest.raises(FileFormatError, match=r"'blow' \(Relu\) must be a constant of at most"):
        import_onnx(path)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "n.onnx").write_bytes(b"\xff\xff not onnx")
    with pytest.raises(FileFormatError, match=r"n\.onnx"):
        import_onnx(tmp_path / "n.onnx")
    with pytest.raises(FileFormatError, match=r"cannot read .*absent\.onnx: it does not exist"):
        import_onnx(tmp_path / "absent.onnx")
    path = write_nodes(tmp_path / "n.onnx", [GEMM], {"x": X}, {"w": W, "b": B}, ["y"])
    model = onnx.load(path)
    model.graph.node[0].input[0] = "nobody"
    onnx.save(model, path)
    with pytest.raises(FileFormatError, match=r"is not a valid ONNX file: .*nobody") as caught:
        import_onnx(path)
    assert "\n" not in str(caught.value)
    old = write_nodes(tmp_path / "n.onnx", [helper.make_node("Relu", ["x"], ["y"])], {"x": X}, {}, ["y"], opset=6)
    with pytest.raises(FileFormatError, match="operator set must be at least 7, not 6"):
        import_onnx(old)


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"qsim-hw\[onnx\]"):
        import_onnx(tmp_path / "net.onnx")
