"""Every operator of a float network: its name in ONNX, the function that computes it and the rule for its shapes.

The meaning is that of the newest operator set of ONNX (https://onnx.ai/onnx/operators/), restricted as each function says: a setting
that is not supported is refused by name. Differences: ``Cast`` has numpy's name of the type in ``to``; ``Softmax`` and
``LogSoftmax`` may normalise all trailing axes together (attribute ``trailing``), as before operator set 13; ``ConstantOfShape`` has
``value`` and ``dtype`` as plain attributes. A new operator is a function in the file it fits and a line in that file's table.
"""

from qsim.model.operators.convolution import CONVOLUTION
from qsim.model.operators.elementwise import ELEMENTWISE
from qsim.model.operators.kind import OperatorKind
from qsim.model.operators.matrix import MATRIX
from qsim.model.operators.normalise import NORMALISE
from qsim.model.operators.pooling import POOLING
from qsim.model.operators.quantised import QUANTISED
from qsim.model.operators.recurrent import RECURRENT
from qsim.model.operators.reduce import REDUCE
from qsim.model.operators.resize import RESIZE
from qsim.model.operators.shapes import SHAPES

OPERATORS: dict[str, OperatorKind] = {
    **ELEMENTWISE, **MATRIX, **CONVOLUTION, **POOLING, **NORMALISE, **QUANTISED, **RECURRENT, **REDUCE, **RESIZE, **SHAPES,
}  # fmt: skip
