"""PyTorch's operators (ATen, functional) in the vocabulary of :mod:`qsim.model.operators`: one function a name, whatever its overload."""

from qsim.compress.aten.elementwise import ELEMENTWISE
from qsim.compress.aten.layers import LAYERS
from qsim.compress.aten.lowering import Translation
from qsim.compress.aten.shapes import SHAPES

ATEN: dict[str, Translation] = {**ELEMENTWISE, **SHAPES, **LAYERS}
