"""The registers of the accelerator: the one table that the RTL decodes and that the register map, SystemRDL and C header are written from.

How a host uses them: wait for ``STATUS.ready``; load every word of the network through ``LOAD_TARGET``, ``LOAD_ADDRESS`` and
``LOAD_DATA``; then for each input write ``CONTROL.start``, send the input's rows to the input stream, take the logits from the output
stream, and read ``BEST`` and the counters.
"""

from amaranth.hdl import Shape

from qsim.arch.architecture import PEKind
from rtl.counters import COUNTER_BITS, OF_PES, counters_layout
from rtl.load import Unit, load_layout
from rtl.parameters import ArrayParameters
from rtl.register import WORD_BITS, WORD_BYTES, Access, Dimension, Field, Register, RegisterMap
from rtl.sequencer import ErrorCode

MAGIC = int.from_bytes(b"misq", "little")  # "qsim", read as four characters from the top
MAJOR, MINOR = 1, 0
COUNTERS = 0x1000  # offset of the counters
KIND_CODES = {PEKind.DENSE: 0, PEKind.CODEBOOK: 1, PEKind.SPARSE: 2, PEKind.PVQ: 3}
COUNTER_TEXTS = {
    "cycles": "Cycles of layers.",
    "setup": "Cycles of the run before, between and after layers.",
    "scan_busy": "Items handed over by the scan, and rows without an item.",
    "scan_queue_full": "Cycles in which the scan held an item and a queue had no room for it.",
    "drain_busy": "Cycles in which sums were drained.",
    "items": "Activations broadcast.",
    "activation_reads": "Rows read from the activation memory.",
    "weight_reads": "Rows read from the weight memories of all PEs.",
    "pointer_reads": "Pointers read by all PEs.",
    "entries": "Entries of all PEs, fillers among them.",
    "fillers": "Filler entries of all PEs.",
    "additions": "Additions of all PEs.",
    "results": "Rows of outputs.",
    "pe_busy": "Cycles in which the PE's issue stage held a column.",
    "pe_starved": "Cycles in which it held none, but got one later in the same layer.",
    "loading": "Cycles in which weights came from the stream, before this layer and those before it.",
}


def data_parts(parameters: ArrayParameters) -> int:
    """Return how many 32-bit parts the data of a word on the load bus has."""
    return -(-Shape.cast(load_layout(parameters)["data"].shape).width // WORD_BITS)


def beat_bytes(parameters: ArrayParameters) -> int:
    """Return the bytes of a row of activations on either stream."""
    return -(-parameters.row_width * parameters.activation_bits // 8)


def counter_words(parameters: ArrayParameters) -> int:
    """Return how many counters a layer has, rounded up to a power of two: words from one layer's counters to the next one's."""
    return 1 << (counters_layout(parameters).size // COUNTER_BITS - 1).bit_length()


def register_map(parameters: ArrayParameters) -> RegisterMap:
    """Return the registers of an accelerator of these ``parameters`` (of ``layers`` at least 1)."""
    return RegisterMap(
        name="qsim",
        description=(
            "Registers of a qsim accelerator. All are of 32 bits, little-endian; the two low bits of an address are ignored. An address "
            "without a register is answered with DECERR. SLVERR: a read of a register that cannot be read, a write to one that cannot be "
            "written, or a write that is refused; it changes nothing."
        ),
        registers=(
            *_identity(parameters),
            *_capacity(parameters),
            *_control(),
            *_interrupts(),
            *_results(),
            *_load(),
            *_counters(parameters),
        ),
    )


def _constant(name: str, low: int, width: int, reset: int, description: str, values: tuple[tuple[str, int], ...] = ()) -> Field:
    return Field(name, low, width, Access.CONSTANT, description, reset, values)


def _identity(p: ArrayParameters) -> tuple[Register, ...]:
    """What was built."""
    kinds = tuple((kind.value, code) for kind, code in KIND_CODES.items())
    return (
        Register("ID", 0x00, "Says that this is a qsim accelerator.", (_constant("magic", 0, 32, MAGIC, "The characters `qsim`."),)),
        Register(
            "VERSION",
            0x04,
            "Version of this register map.",
            (
                _constant("minor", 0, 16, MINOR, "Registers or fields were added."),
                _constant("major", 16, 16, MAJOR, "Something has another meaning: a driver must know this number."),
            ),
        ),
        Register(
            "MACHINE",
            0x08,
            "The array.",
            (
                _constant("pes", 0, 8, p.pes, "Processing elements."),
                _constant("kind", 8, 4, KIND_CODES[p.kind], "Their kind.", kinds),
                _constant("has_codebook", 12, 1, int(p.has_codebook), "Weights are places in a codebook of each layer."),
                _constant("has_gaps", 13, 1, int(p.has_gaps), "Zeros are not stored: entries have gaps, columns have pointers."),
                _constant("has_scales", 14, 1, int(p.has_scales), "Every output has a scale."),
                _constant("streamed", 15, 1, int(p.streamed), "A layer's weights may come from the stream of weights, compressed."),
                _constant("row_width", 16, 8, p.row_width, "Activations in a row, scanned together; a beat of the streams."),
                _constant("queue_depth", 24, 8, min(p.queue_depth, 255), "Activations queued before each PE; 255: or more."),
            ),
        ),
        Register(
            "WIDTHS",
            0x0C,
            "Bits of numbers.",
            (
                _constant("activation", 0, 8, p.activation_bits, "Of an activation."),
                _constant("weight", 8, 8, p.weight_bits, "Of a weight at the multiplier."),
                _constant("accumulator", 16, 8, p.accumulator_bits, "Of a sum."),
                _constant("bias", 24, 8, p.bias_bits, "Of a stored bias."),
            ),
        ),
        Register(
            "ENTRY",
            0x10,
            "A stored weight.",
            (
                _constant("code", 0, 8, p.code_bits, "Bits of a code or pulse."),
                _constant("gap", 8, 8, p.index_bits if p.has_gaps else 0, "Bits of the run of zeros before it, 0: zeros are stored."),
                _constant("per_row", 16, 16, p.entries_per_row, "Entries in a row of the weight memory."),
            ),
        ),
    )


def _capacity(p: ArrayParameters) -> tuple[Register, ...]:
    """What fits, and the widths of what the host writes and streams."""
    layout = load_layout(p)
    address, pe = (Shape.cast(layout[name].shape).width for name in ("address", "pe"))
    return (
        Register("LAYERS", 0x14, "Capacity.", (_constant("layers", 0, 32, p.layers, "Most layers of a network."),)),
        Register("COLUMNS", 0x18, "Capacity.", (_constant("columns", 0, 32, p.columns, "Most inputs, and outputs, of a layer."),)),
        Register("LOCAL_ROWS", 0x1C, "Capacity.", (_constant("rows", 0, 32, p.local_rows, "Most outputs of a PE, of all layers."),)),
        Register("WEIGHT_ROWS", 0x20, "Capacity.", (_constant("rows", 0, 32, p.weight_rows, "Rows of each PE's weight memory."),)),
        Register(
            "POINTERS",
            0x24,
            "Capacity.",
            (_constant("pointers", 0, 32, 2 * p.pointer_pairs if p.has_gaps else 0, "Column pointers of a PE, of all layers."),),
        ),
        Register(
            "LOAD_FORMAT",
            0x28,
            "Widths of a word of the load window.",
            (
                _constant("parts", 0, 8, data_parts(p), "Most parts of 32 bits that its data have."),
                _constant("address_bits", 8, 8, address, "Bits of its address."),
                _constant("pe_bits", 16, 8, pe, "Bits of its PE number."),
            ),
        ),
        Register(
            "BEAT",
            0x2C,
            "A beat of either stream: one row of activations, the first in the low bits.",
            (_constant("bytes", 0, 16, beat_bytes(p), "Bytes of a beat."),),
        ),
        Register(
            "SCRATCH",
            0x30,
            "Keeps what is written, for trying out the bus.",
            (Field("value", 0, 32, Access.READ_WRITE, "Anything."),),
        ),
    )


def _control() -> tuple[Register, ...]:
    """What runs."""
    errors = tuple((code.name, code.value) for code in ErrorCode)
    return (
        Register(
            "CONTROL",
            0x40,
            "What to do. Starting while `STATUS.ready` is 0 is refused.",
            (
                Field("start", 0, 1, Access.PULSE, "Run the network on the next input of the input stream."),
                Field("abort", 1, 1, Access.PULSE, "End the run with error ABORTED; nothing happens if there is none."),
                Field("reset", 2, 1, Access.PULSE, "Abort, and set all registers to their reset values. Memories keep what they hold."),
            ),
        ),
        Register(
            "STATUS",
            0x44,
            "What happens, and how the last run ended.",
            (
                Field("ready", 0, 1, Access.READ, "A run may be started and words may be loaded."),
                Field("busy", 1, 1, Access.READ, "A run is under way."),
                Field("done", 2, 1, Access.READ, "The last run has ended, well or with an error. 0 from `start` on."),
                Field("discarding", 3, 1, Access.READ, "The rest of an input whose run has ended is being taken and dropped."),
                Field("error", 8, 4, Access.READ, "Why the last run ended, valid with `done`.", values=errors),
                Field("layer", 16, 16, Access.READ, "The layer that runs, or in which the last run ended."),
            ),
        ),
        Register(
            "TIMEOUT",
            0x48,
            "Limit of a layer's length.",
            (Field("cycles", 0, 32, Access.READ_WRITE, "Most cycles of a layer; more end the run with error TIMEOUT. 0: no limit."),),
        ),
    )


def _interrupts() -> tuple[Register, ...]:
    """Which events raise the interrupt, and which have happened."""
    causes = (
        ("done", "A run has ended well."),
        ("error", "A run has ended with an error."),
        ("layer", "A layer has ended and its counters can be read."),
    )
    happened = "What has happened. The interrupt is high while a bit is set here and in `IRQ_ENABLE`."
    return tuple(
        Register(name, offset, text, tuple(Field(cause, bit, 1, access, when) for bit, (cause, when) in enumerate(causes)))
        for name, offset, text, access in (
            ("IRQ_ENABLE", 0x4C, "Which events raise the interrupt.", Access.READ_WRITE),
            ("IRQ_STATUS", 0x50, happened, Access.CLEAR),
        )
    )


def _results() -> tuple[Register, ...]:
    """What came of a run, beside the logits."""
    return (
        Register(
            "BEST",
            0x54,
            "The class.",
            (Field("index", 0, 16, Access.READ, "Index of the largest output of the last run, the lowest among equals."),),
        ),
        Register(
            "FINISHED",
            0x58,
            "How much of the counters belongs to this run.",
            (Field("layers", 0, 16, Access.READ, "Layers of this run, or of the last one, that have ended: as many have counters."),),
        ),
    )


def _load() -> tuple[Register, ...]:
    """The window to the load bus, which writes the memories."""
    units = tuple((unit.name, unit.value) for unit in Unit)
    return (
        Register(
            "LOAD_TARGET",
            0x60,
            "Where words go. A write also begins a new word.",
            (
                Field("unit", 0, 4, Access.READ_WRITE, "What is written.", values=units),
                Field("parts", 8, 8, Access.READ_WRITE, "Writes to `LOAD_DATA` that make a word; its higher bits are 0."),
                Field("pe", 16, 16, Access.READ_WRITE, "Of which PE."),
            ),
        ),
        Register(
            "LOAD_ADDRESS",
            0x64,
            "Address within the unit.",
            (Field("address", 0, 32, Access.READ_WRITE, "Of the next word; one more after each word."),),
        ),
        Register(
            "LOAD_DATA",
            0x68,
            "The next 32 bits of a word, low bits first; the last part writes the word and counts the address up. Refused, with nothing "
            "written: all bytes must be written, `STATUS.ready` must be 1, `LOAD_TARGET` must name a unit, PE and number of parts that the "
            "machine has, and `LOAD_ADDRESS` must lie in the unit's memory.",
            (Field("data", 0, 32, Access.WRITE, "Part of a word."),),
        ),
    )


def _counters(p: ArrayParameters) -> tuple[Register, ...]:
    """All counters of every layer, in the order of :func:`rtl.counters.counters_layout`."""
    layers = Dimension("layer", p.layers, WORD_BYTES * counter_words(p))
    pes = Dimension("pe", p.pes, WORD_BYTES)
    found: list[Register] = []
    for name, place in counters_layout(p):
        value = Field("value", 0, COUNTER_BITS, Access.READ, "At the end of the layer, counted from the start of the run, modulo 2^32.")
        dimensions = (layers, pes) if name in OF_PES else (layers,)
        found.append(Register(f"COUNT_{name.upper()}", COUNTERS + place.offset // 8, COUNTER_TEXTS[name], (value,), dimensions))
    return tuple(found)
