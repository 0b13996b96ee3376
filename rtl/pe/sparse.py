"""The sparse PE: entries of non-zero weights for non-zero activations only, after Han et al., "EIE", ISCA 2016."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.codebook import CodebookLookup
from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.pe.entries import EntryReader, product_layout
from rtl.pe.fetch import PointerFetch


class SparseMac(wiring.Component):
    """Pointer fetch, entry reader, codebook, multiply-accumulate in a row.

    Timing
    ------
    Item ``n`` is taken in ``B[n]`` and begins to issue in ``I[n] = max(B[n] + 1, I[n-1] + s[n-1])``, where ``s`` is its number of
    entries, at least 1; ``B[n] >= I[n-1]``. The last entry is issued in ``I[n] + s[n]``, an entry issued in ``c`` is in its sum after
    ``c + pipeline_latency``, and ``idle`` is high from the cycle after that on.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    i : ``In(stream.Signature(parameters.item))``
    load : ``In(LoadSignature(parameters))``
        Writes units CODEBOOK, POINTERS and WEIGHTS.
    drain, drain_row, sum
        Of the :class:`~rtl.pe.accumulate.Accumulator`.
    idle : ``Out(1)``
        Nothing is held or under way.
    issue, leave : ``Out(1)``
        A column begins to issue (``I``); a column issues its last entry. To observe.
    """

    pipeline_latency = EntryReader.latency + CodebookLookup.latency + Accumulator.latency
    drain_latency = Accumulator.drain_latency

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.fetch = PointerFetch(parameters, pe)
        self.reader = EntryReader(parameters, pe)
        self.codebook = CodebookLookup(parameters.code_bits, parameters.weight_bits, product_layout(parameters))
        self.accumulator = Accumulator(parameters)
        super().__init__(
            {
                "i": In(stream.Signature(parameters.item)),
                "load": In(LoadSignature(parameters)),
                "drain": In(1),
                "drain_row": In(parameters.local_row),
                "sum": Out(parameters.accumulator),
                "idle": Out(1),
                "issue": Out(1),
                "leave": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the units; ``under_way`` follows each issue through the pipeline, entries or none."""
        m = Module()
        m.submodules.fetch, m.submodules.reader = fetch, reader = self.fetch, self.reader
        m.submodules.codebook, m.submodules.accumulator = codebook, accumulator = self.codebook, self.accumulator
        connect(m, flipped(self.i), fetch.i)
        connect(m, fetch.o, reader.i)
        connect(m, codebook.o, accumulator.i)
        # The reader cannot wait, and the codebook never makes it: what follows takes an item every cycle.
        m.d.comb += [codebook.i.valid.eq(reader.o.valid), codebook.i.payload.eq(reader.o.payload)]
        for unit in (fetch, reader):
            connect(m, flipped(self.load), unit.load)
        connect_memory(m, self.load, codebook.write, Unit.CODEBOOK)

        under_way, some_under_way = Signal(self.pipeline_latency), Signal()
        coming = Cat(reader.busy, under_way)[: self.pipeline_latency]
        m.d.sync += [under_way.eq(coming), some_under_way.eq(coming.any())]
        m.d.comb += [
            accumulator.drain.eq(self.drain),
            accumulator.drain_row.eq(self.drain_row),
            self.sum.eq(accumulator.sum),
            self.idle.eq(~(fetch.busy | reader.busy | some_under_way)),
            self.issue.eq(reader.i.valid & reader.i.ready),
            self.leave.eq(reader.leaves),
        ]
        return m
