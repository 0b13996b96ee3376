"""What a test bench gives to the accelerator and what must come back: a network, inputs, and the numbers expected of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from rtl.counters import OF_PES, TOTALS
from rtl.image import ImagePacker
from rtl.job import ArrayJob
from rtl.load import load_layout
from rtl.parameters import ArrayParameters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """A network and its expected behaviour, in plain integers.

    ``jobs``: the layers; ``every_column``: zeros are not skipped; ``inputs`` [inputs, columns]; ``logits`` [inputs, outputs]; ``classes``
    [inputs]; ``counters``: by name (:mod:`rtl.counters`) what each layer alone adds, [inputs, layers] or, of PEs, [inputs, layers,
    pes]. ``cycles`` must be there; another counter that is not is not compared.
    """

    jobs: Sequence[ArrayJob]
    every_column: bool
    inputs: IntArray
    logits: IntArray
    classes: IntArray
    counters: dict[str, IntArray]

    def __post_init__(self) -> None:
        count, layers = len(self.inputs), len(self.jobs)
        shapes = [("logits", self.logits, (count, self.jobs[-1].rows)), ("classes", self.classes, (count,))]
        shapes += [(name, values, (count, layers, *values.shape[2:])) for name, values in self.counters.items()]
        for name, values, shape in shapes:
            if values.shape != shape:
                raise UnsupportedProgram(path=f"vectors.{name}", rule=f"of shape {list(shape)}", value=list(values.shape))
        unknown = sorted(set(self.counters) - {*TOTALS, *OF_PES})
        if unknown or "cycles" not in self.counters:
            raise UnsupportedProgram(
                path="vectors.counters", rule="cycles and others", value=sorted(self.counters), legal=(*TOTALS, *OF_PES)
            )
        if not count:
            raise UnsupportedProgram(path="vectors.inputs", rule="at least one", value=0)


def counter_names(parameters: ArrayParameters) -> list[str]:
    """Return the name of each counter in order of :func:`rtl.counters.counters_layout`, those of PEs as ``name[pe]``."""
    return [*TOTALS, *(f"{name}[{pe}]" for name in OF_PES for pe in range(parameters.pes))]


def compared_counters(parameters: ArrayParameters, vectors: Vectors) -> list[bool]:
    """Return for each counter whether it is compared."""
    return [name.split("[")[0] in vectors.counters for name in counter_names(parameters)]


def vector_files(parameters: ArrayParameters, vectors: Vectors) -> dict[str, str]:
    """Return the files for ``$readmemh`` by name; each line is one word.

    ``load.hex``: the words of the load bus; ``inputs.hex``: the rows of each input; ``logits.hex``: each logit, ``classes.hex``: the
    index of the largest; ``counters.hex``: of each input, of each of its layers, all counters, 0 for those that are not compared.

    Raises :class:`UnsupportedProgram` naming the memory that the network does not fit.
    """
    p = parameters
    packer = ImagePacker(p, every_column=vectors.every_column)
    words = [int.from_bytes(word.tobytes(), "little") for word in packer.network_words(vectors.jobs)]
    rows = [row for given in vectors.inputs for row in packer.activation_rows(given)]
    counters = _counter_rows(p, vectors)
    return {
        "load.hex": hex_text(words, load_layout(p).size, "words of the load bus"),
        "inputs.hex": hex_text(rows, p.row_width * p.activation_bits, "rows of activations, the first in the low bits"),
        "logits.hex": hex_text(vectors.logits.ravel().tolist(), p.activation_bits, "expected logits of each input"),
        "classes.hex": hex_text(vectors.classes.tolist(), 16, "expected class of each input"),
        "counters.hex": hex_text(counters.ravel().tolist(), 32, "expected counters of each layer of each input"),
    }


def _counter_rows(p: ArrayParameters, vectors: Vectors) -> IntArray:
    shape = (len(vectors.inputs), len(vectors.jobs))
    parts = [vectors.counters.get(name, np.zeros(shape, dtype=np.int64))[:, :, None] for name in TOTALS]
    parts += [vectors.counters.get(name, np.zeros((*shape, p.pes), dtype=np.int64)) for name in OF_PES]
    return np.concatenate(parts, axis=2)


def hex_text(values: Sequence[int], bits: int, title: str) -> str:
    """Return ``values``, negative ones as two's complement of ``bits`` bits, one a line, as ``$readmemh`` reads them."""
    digits, mask = -(-bits // 4), (1 << bits) - 1
    return "\n".join([f"// {title}: {len(values)} of {bits} bits", *(f"{value & mask:0{digits}x}" for value in values), ""])
