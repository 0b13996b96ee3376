"""Are signal-to-noise ratio, cosine, top-1 agreement and a task's score those of their formulas?"""

import numpy as np
import pytest

from qsim.errors import DataError
from qsim.fidelity import compare_outputs, outputs_of
from workloads import NETWORKS


def test_the_figures_are_those_of_the_formulas() -> None:
    """Noise of a tenth in magnitude is 20 dB; at a right angle the cosine is 1 / sqrt(1.01)."""
    before = [np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])]
    after = [np.array([[1.0, 0.1]]), np.array([[0.2, 2.0]])]
    found = compare_outputs(before, after, words="pairs", classes=True, score=("first is 1", lambda outputs: float(outputs[0][0, 1] == 0)))
    assert found.snr_db == pytest.approx(20)
    assert found.cosine == pytest.approx(1.01**-0.5)
    assert found.top_1 == 1
    assert found.task is not None and (found.task.before, found.task.after) == (1, 0)
    for part in ("20.0 dB", "top-1 agreement 100.0%", "first is 1 100.0% before, 0.0% after", "2 pairs"):
        assert part in found.text


def test_a_changed_decision_counts_and_equal_outputs_are_without_noise() -> None:
    outputs = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    assert compare_outputs(outputs, outputs[::-1], words="", classes=True, score=None).top_1 == 0
    same = compare_outputs(outputs, outputs, words="", classes=False, score=None)
    assert (same.snr_db, same.cosine, same.top_1, same.task) == (float("inf"), 1.0, None, None)


def test_no_inputs_are_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        outputs_of(NETWORKS["neuraltalk"].build(0), [])
