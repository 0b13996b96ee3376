"""Is the standard's coder given what it expects: small indices around zero, its own steps, and payloads that decode to both?"""

import numpy as np
import pytest

from qsim.peer_nncodec import DENSITY, Setting, _coder, _ranks, encode, encoded

pytest.importorskip("nncodec", reason="installed by `make setup` where its C++ can be built")
REAL = (np.random.default_rng(0).laplace(size=(40, 50)) * (np.random.default_rng(1).random((40, 50)) < 0.3)).astype(np.float32) * 0.1


def test_values_become_places_counted_from_zero() -> None:
    assert np.array_equal(_ranks(np.array([[-300, 0, 500], [500, 7, 0]])), [[-1, 0, 2], [2, 1, 0]])


@pytest.mark.parametrize("dependent", [0, 1])
@pytest.mark.parametrize("qp", [-24, -18])
def test_its_steps_are_those_of_the_standard_and_decode(qp: int, dependent: int) -> None:
    """ISO/IEC 15938-17, clause on reconstruction: the step is ``(4 + qp mod 4) 2^(qp div 4 - 2)``; dependent ones reach every second."""
    step, setting = (4 + qp % 4) * 2.0 ** (qp // 4 - 2), Setting(dependent=dependent)
    found = np.zeros(REAL.shape, dtype=np.int32)
    assert _coder().Encoder().quantLayer(REAL, found, dependent, DENSITY, qp, 0.0, setting.unary - 1, 0, 1) == qp
    size, levels = encoded(found, setting)
    decoded = np.zeros(REAL.shape, dtype=np.float32)
    _coder().Decoder().dequantLayer(decoded, levels.copy(), DENSITY, qp, 0)
    assert np.abs(decoded - REAL).max() <= (0.5 + 1.5 * dependent) * step * 1.001
    assert 0 < size == len(encode(found, setting)) < REAL.size
