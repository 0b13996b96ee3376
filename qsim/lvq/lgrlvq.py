"""Localised generalised relevance LVQ: B. Hammer, F.-M. Schleif, T. Villmann, technical report, TU Clausthal 2005."""

from dataclasses import dataclass

from qsim.lvq.grlvq import GRLVQ


@dataclass(kw_only=True, eq=False, repr=False)
class LGRLVQ(GRLVQ):
    """GRLVQ with relevances of its own for each prototype: ``relevances_`` [prototypes, features]."""

    def _metric_shape(self, features: int) -> tuple[int, ...]:
        return (len(self._labels), features)
