"""Learning vector quantisation: classifiers of a few prototypes, compressed by construction. One file a method, one line in the table.

The eleven that D. Nova and P. A. Estévez compare, "A review of learning vector quantization classifiers", Neural Computing and
Applications 25 (2014), arXiv:1509.07093. All are scikit-learn estimators; those with one metric for all prototypes become a network of dot
products (:mod:`qsim.lvq.deploy`).
"""

from qsim.lvq.classifier import PrototypeClassifier
from qsim.lvq.glvq import GLVQ
from qsim.lvq.gmlvq import GMLVQ
from qsim.lvq.grlvq import GRLVQ
from qsim.lvq.h2mlvq import H2MLVQ
from qsim.lvq.krslvq import KRSLVQ
from qsim.lvq.lgmlvq import LGMLVQ
from qsim.lvq.lgrlvq import LGRLVQ
from qsim.lvq.lvq21 import LVQ21
from qsim.lvq.rslvq import RSLVQ
from qsim.lvq.sgng import SGNG
from qsim.lvq.sng import SNG

CLASSIFIERS: dict[str, type[PrototypeClassifier]] = {
    "lvq21": LVQ21,
    "glvq": GLVQ,
    "rslvq": RSLVQ,
    "sng": SNG,
    "sgng": SGNG,
    "h2mlvq": H2MLVQ,
    "grlvq": GRLVQ,
    "gmlvq": GMLVQ,
    "lgrlvq": LGRLVQ,
    "lgmlvq": LGMLVQ,
    "krslvq": KRSLVQ,
}
