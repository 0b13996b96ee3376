"""Asks whether the words of a network say of each layer what its sizes say."""

import numpy as np
import pytest

from qsim.arch.presets import MACHINES
from rtl.image import ImagePacker
from rtl.load import Unit, load_layout
from rtl.parameters import ArrayParameters
from tests.rtl.test_verify import job


@pytest.mark.parametrize("rows", range(1, 7))
def test_the_last_row_has_the_pes_that_own_one(rows: int) -> None:
    """PE p owns rows p, p + P, ...: the last local row is full where P divides the rows."""
    parameters = ArrayParameters.of(MACHINES["sparse-rtl-2"], layers=1)
    pes = parameters.pes
    words = ImagePacker(parameters, every_column=False).network_words([job(rows=rows, bias=np.zeros(rows, dtype=np.int64))])
    loaded = [load_layout(parameters).from_bits(int.from_bytes(word.tobytes(), "little")) for word in words]
    (found,) = (word.data for word in loaded if word.unit == Unit.DESCRIPTOR)
    descriptor = parameters.descriptor.from_bits(found & (1 << parameters.descriptor.size) - 1)
    owners = [len(range(pe, rows, pes)) for pe in range(pes)]
    assert (descriptor.layer.drain_rows, descriptor.layer.full_pes) == (max(owners), owners.count(max(owners)))
    assert descriptor.outputs == rows
