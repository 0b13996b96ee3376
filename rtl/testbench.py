"""The self-checking test bench of a package, in plain Verilog."""

from rtl.bus import Bus
from rtl.load import load_layout
from rtl.parameters import ArrayParameters
from rtl.registers import COUNTERS, beat_bytes, counter_words, data_parts, register_map
from rtl.templates import render
from rtl.transfer import row_layout
from rtl.vectors import Vectors, compared_counters, counter_names

TOP = "qsim_accelerator"  # the module of the accelerator


def testbench_text(p: ArrayParameters, vectors: Vectors, words: int, bus: Bus, machine: str) -> str:
    """Return module ``testbench`` for the accelerator of ``machine`` with ``bus``.

    It reads the files of :func:`rtl.vectors.vector_files`; ``words``: those of ``load.hex``.
    """
    compared = compared_counters(p, vectors)
    layout = load_layout(p)
    fields = {name: (layout[name].offset, layout[name].width) for name in ("unit", "pe", "address", "data")}
    return render(
        f"testbench_{bus.kind}.v.j2",
        p=p,
        divisor=bus.divisor,
        top=TOP,
        machine=machine,
        fields=fields,
        word_bits=layout.size,
        row_bits=p.row_width * p.activation_bits,
        beat_bits=row_layout(p).size,
        words=words,
        inputs=len(vectors.inputs),
        layers=len(vectors.jobs),
        input_rows=-(-vectors.inputs.shape[1] // p.row_width),
        outputs=vectors.logits.shape[1],
        output_rows=-(-vectors.logits.shape[1] // p.row_width),
        names=counter_names(p),
        compared=compared,
        limit=_limit(p, vectors, words, bus),
        registers=register_map(p),
        parts=data_parts(p),
        stride=counter_words(p),
        beat_bytes=beat_bytes(p),
        counters_base=COUNTERS,
    )


def _limit(p: ArrayParameters, vectors: Vectors, words: int, bus: Bus) -> int:
    """Return clocks after which the whole simulation must have ended: more than twice what it should take."""
    per_word = 2 * bus.most_clocks(1) + bus.most_clocks(data_parts(p))
    rows = -(-vectors.inputs.shape[1] // p.row_width) + 2 * -(-vectors.logits.shape[1] // p.row_width)
    host = bus.most_clocks(1) * (len(vectors.jobs) * len(counter_names(p)) + 10) if bus.has_registers else 0
    host += rows * bus.most_clocks(-(-beat_bytes(p) // 4))
    cycles = int(vectors.counters["cycles"].sum(axis=1).max())
    numbers = vectors.inputs.shape[1] + vectors.logits.shape[1]
    run = cycles + len(vectors.jobs) * (64 + (1 << p.code_bits if p.has_codebook else 0)) + 8 * numbers + 2 * p.local_rows
    return 2 * (words * per_word + len(vectors.inputs) * (run + host)) + 10_000
