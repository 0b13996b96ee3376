"""The loader: from the streams of a ``.qsz`` layer, stored by column, to the memories of sparse PEs."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.arch.architecture import PEKind
from qsim.errors import MachineError
from rtl.cursor import LoaderError, MatrixCursor, file_entry, layer_fields
from rtl.huffman import HuffmanDecoder, HuffmanError
from rtl.load import LoadSignature
from rtl.packer import EntryPacker, RowSplitter
from rtl.parameters import ArrayParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What the decoders hold: codes of ``max_length`` bits, also the widest fixed field, gaps of ``gap_bits``; a machine of ``code_bits``.
    ``count_bits``: width of the number of a file's entries, and of the bits of a stream.
    """

    code_bits: int
    max_length: int = 12
    gap_bits: int = 12
    count_bits: int = 24

    @property
    def code_symbols(self) -> int:
        """Symbols of weights: twice as many as the machine has codes, as a file's codebook may hold zeros, and the filler is one more."""
        return min(1 << self.max_length, 2 << self.code_bits)

    @property
    def gap_symbols(self) -> int:
        """Symbols of gaps."""
        return 1 << min(self.max_length, self.gap_bits)


class EntryLoader(wiring.Component):
    """Deals the entries of a file to the PEs and writes their memories: the twin of :func:`qsim.encode.interleave.interleave`.

    Timing
    ------
    A layer takes at most ``columns * (pes + 1) + 2 * pes`` cycles, one for each of the file's entries, one for each filler of the PEs, and
    ``latency``, if entries do not lack. ``load`` has no back-pressure: at most a word a cycle. It begins with ``start`` and ends with
    ``done``, which stays up, with ``error``, until the next ``start``; ``start`` while ``busy`` drops what is under way. After an error
    nothing more is written, and nothing is ever written outside the memories.

    Parameters
    ----------
    parameters : ArrayParameters
        Of sparse PEs.
    gap_bits : int
        Most index bits of a file.
    count_bits : int
        Width of the number of a file's entries.

    Members
    -------
    start : ``In({"en", "layer"})``
        ``layer``: :func:`~rtl.cursor.layer_fields`.
    i : ``In(stream.Signature(file_entry(...)))``
    ended, failed : ``In(1)``
        Of what is in front: all of it was good, which ``done`` waits for; it will not send what is missing, which is an error.
    load : ``Out(LoadSignature(parameters))``
    busy, done : ``Out(1)``
    error : ``Out(LoaderError)``

    Raises
    ------
    MachineError
        For other PEs.
    """

    latency = 8

    def __init__(self, parameters: ArrayParameters, gap_bits: int = 12, count_bits: int = 24) -> None:
        p = self.parameters = parameters
        if p.kind is not PEKind.SPARSE:
            raise MachineError(path="parameters.kind", rule="sparse, for a loader", value=str(p.kind))
        self.layer = data.StructLayout(layer_fields(p, gap_bits, count_bits))
        self.gap_bits, self.count_bits = gap_bits, count_bits
        super().__init__(
            {
                "start": In(wiring.Signature({"en": Out(1), "layer": Out(self.layer)})),
                "i": In(stream.Signature(file_entry(p, gap_bits))),
                "ended": In(1),
                "failed": In(1),
                "load": Out(LoadSignature(p)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(LoaderError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Join cursor, splitter and packer, which stay in reset while no layer is loaded."""
        m = Module()
        layer, error = Signal(self.layer), Signal(LoaderError)
        cursor = MatrixCursor(self.parameters, self.gap_bits, self.count_bits)
        splitter = RowSplitter(self.parameters)
        packer = EntryPacker(self.parameters, layer.columns.shape())
        reset = ~self.busy | self.start.en
        for name, part in (("cursor", cursor), ("splitter", splitter), ("packer", packer)):
            m.submodules[name] = ResetInserter(reset)(part)
        connect(m, flipped(self.i), cursor.i)
        connect(m, cursor.o, splitter.i)
        connect(m, splitter.o, packer.i)
        m.d.comb += [
            cursor.layer.eq(layer),
            packer.columns.eq(layer.columns),
            packer.weight_base.eq(layer.weight_base),
            packer.column_base.eq(layer.column_base),
            self.load.valid.eq(packer.load.valid & self.busy),
            self.load.word.eq(packer.load.word),
            self.i.ready.eq(cursor.i.ready & self.busy),
            error.eq(Mux(self.failed, LoaderError.SOURCE, Mux(packer.error != LoaderError.NONE, packer.error, cursor.error))),
        ]
        with m.If(self.busy):
            with m.If(error != LoaderError.NONE):
                m.d.sync += [self.error.eq(error), self.done.eq(1), self.busy.eq(0)]
            with m.Elif(cursor.finished & ~splitter.busy & ~packer.load.valid & self.ended):
                m.d.sync += [self.done.eq(1), self.busy.eq(0)]
        with m.If(self.start.en):
            m.d.sync += [layer.eq(self.start.layer), self.busy.eq(1), self.done.eq(0), self.error.eq(LoaderError.NONE)]
        return m


class WeightStreamer(wiring.Component):
    """Two Huffman decoders in front of an entry loader: words of a ``.qsz`` in, words of the load bus out.

    The symbol memory of the decoder of weights does not hold the file's symbols but what the machine makes of them, the code and above it
    the ``hole`` bit (:class:`rtl.stream_image.StreamImage`); so any order of the file's codebook, and zeros in it, need no other table.

    Timing
    ------
    As :class:`EntryLoader`; the decoders give an entry a cycle. ``done`` is up at once after an error. ``busy`` falls when also the words
    up to the last one of both streams have been taken. ``start`` while ``busy`` drops what is under way.

    Parameters
    ----------
    parameters : ArrayParameters
    limits : StreamLimits
        With the machine's ``code_bits``; by default those with all else as it comes.

    Members
    -------
    start : ``In({"en", "layer", "code_bits_total", "gap_bits_total"})``
    codes, gaps : ``In(stream.Signature({"bits": 32, "last": 1}))``
        A stream of no bits has no word.
    code_lengths, code_symbols, gap_lengths, gap_symbols : ``In``
        Tables, as ``lengths`` and ``symbols`` of :class:`~rtl.huffman.HuffmanDecoder`; not while ``busy``.
    load : ``Out(LoadSignature(parameters))``
    busy, done : ``Out(1)``
    starved : ``Out(1)``
        One of the decoders has a symbol, the other has none.
    error : ``Out(LoaderError)``
    code_error, gap_error : ``Out(HuffmanError)``
        Behind a SOURCE error: which decoder refused its stream, and why.
    """

    def __init__(self, parameters: ArrayParameters, limits: StreamLimits | None = None) -> None:
        self.limits = limits = limits or StreamLimits(code_bits=parameters.code_bits)
        self.loader = EntryLoader(parameters, limits.gap_bits, limits.count_bits)
        options = {"max_length": limits.max_length, "word_bits": 32, "count_bits": limits.count_bits}
        self.code_decoder = HuffmanDecoder(symbols=limits.code_symbols, symbol_bits=limits.code_bits + 1, **options)
        self.gap_decoder = HuffmanDecoder(symbols=limits.gap_symbols, symbol_bits=limits.gap_bits, **options)
        total = unsigned(limits.count_bits)
        start = {"en": Out(1), "layer": Out(self.loader.layer), "code_bits_total": Out(total), "gap_bits_total": Out(total)}
        codes, gaps = self.code_decoder.signature.members, self.gap_decoder.signature.members
        super().__init__(
            {
                "start": In(wiring.Signature(start)),
                "codes": codes["i"],
                "gaps": gaps["i"],
                "code_lengths": codes["lengths"],
                "code_symbols": codes["symbols"],
                "gap_lengths": gaps["lengths"],
                "gap_symbols": gaps["symbols"],
                "load": Out(LoadSignature(parameters)),
                "busy": Out(1),
                "done": Out(1),
                "starved": Out(1),
                "error": Out(LoaderError),
                "code_error": Out(HuffmanError),
                "gap_error": Out(HuffmanError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Join one symbol of each decoder to an entry."""
        m = Module()
        m.submodules.loader = loader = self.loader
        m.submodules.code_decoder = codes = self.code_decoder
        m.submodules.gap_decoder = gaps = self.gap_decoder
        connect(m, loader.load, flipped(self.load))
        for decoder, name, bits in ((codes, "code", self.start.code_bits_total), (gaps, "gap", self.start.gap_bits_total)):
            connect(m, flipped(getattr(self, f"{name}s")), decoder.i)
            connect(m, flipped(getattr(self, f"{name}_lengths")), decoder.lengths)
            connect(m, flipped(getattr(self, f"{name}_symbols")), decoder.symbols)
            m.d.comb += [
                decoder.start.en.eq(self.start.en),
                decoder.start.count.eq(self.start.layer.count),
                decoder.start.bits.eq(bits),
                getattr(self, f"{name}_error").eq(decoder.error),
            ]
        refused = loader.done & (loader.error != LoaderError.NONE)  # what is left is taken and dropped
        m.d.comb += [
            loader.start.en.eq(self.start.en),
            loader.start.layer.eq(self.start.layer),
            loader.i.valid.eq(codes.o.valid & gaps.o.valid),
            Cat(loader.i.payload.code, loader.i.payload.hole).eq(codes.o.payload),
            loader.i.payload.gap.eq(gaps.o.payload),
            codes.o.ready.eq((loader.i.ready & gaps.o.valid) | refused),
            gaps.o.ready.eq((loader.i.ready & codes.o.valid) | refused),
            loader.ended.eq(codes.done & gaps.done),
            loader.failed.eq((codes.error != HuffmanError.NONE) | (gaps.error != HuffmanError.NONE)),
            self.busy.eq(loader.busy | codes.busy | gaps.busy),
            self.done.eq(loader.done),
            self.starved.eq(codes.o.valid ^ gaps.o.valid),
            self.error.eq(loader.error),
        ]
        return m
