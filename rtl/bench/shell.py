"""The accelerator as a bench drives it: rows go in, rows come out, and nothing depends on an input within a cycle."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from rtl.bench.player import StreamPlayer
from rtl.counters import counters_layout
from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.top import Accelerator
from rtl.weight_port import WORD

STREAM_WORDS = 1 << 14  # that are kept of a stream of weights


class RunShell(wiring.Component):
    """The accelerator without a reset, its streams flat.

    Parameters
    ----------
    parameters : ArrayParameters

    Members
    -------
    clk : ``In(1)``
        There is no reset: registers begin with their start values.
    load : ``In(LoadSignature(parameters))``
        What a bench writes is a cycle later at the accelerator.
    start, ready, done, layer_done, counters, error, best : as in :class:`~rtl.top.Accelerator`
    row : ``In({"valid", "ready", "values", "last"})``
        The rows of the input.
    result : ``Out({"valid", "values"})``
        The rows of the output; they are taken in every cycle.
    write : ``In({"en", "word"})``
        The next word for the stream of weights, all of which are sent anew in every run; only for parameters that stream weights.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        row_bits = p.row_width * p.activation_bits
        super().__init__(
            {
                "clk": In(1),
                "load": In(LoadSignature(p)),
                "start": In(1),
                "ready": Out(1),
                "done": Out(1),
                "layer_done": Out(1),
                "counters": Out(counters_layout(p).size),
                "error": Out(ErrorCode),
                "best": Out(16),
                "row": In(wiring.Signature({"valid": Out(1), "ready": In(1), "values": Out(row_bits), "last": Out(1)})),
                "result": Out(wiring.Signature({"valid": Out(1), "values": Out(row_bits)})),
            }
            | ({"write": In(wiring.Signature({"en": Out(1), "word": Out(WORD.size)}))} if p.streamed else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the streams."""
        m = Module()
        # A simulator computes what depends on an input directly whenever any input, the clock too, has changed. So there is no reset, on
        # which all next states would depend, and there are registers behind what a bench writes.
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.submodules.accelerator = accelerator = Accelerator(self.parameters)
        load, beat, result = LoadSignature(self.parameters).create(), accelerator.input, accelerator.output
        connect(m, load, accelerator.load)
        m.d.sync += [load.valid.eq(self.load.valid), load.word.eq(self.load.word)]
        m.d.comb += [
            domain.clk.eq(self.clk),
            accelerator.start.eq(self.start),
            beat.valid.eq(self.row.valid),
            beat.payload.values.eq(self.row.values),
            beat.payload.last.eq(self.row.last),
            self.row.ready.eq(beat.ready),
            self.result.valid.eq(result.valid),
            self.result.values.eq(result.payload.values),
            result.ready.eq(1),
        ]
        for name in ("ready", "done", "layer_done", "counters", "error", "best"):
            m.d.comb += getattr(self, name).eq(getattr(accelerator, name))
        if self.parameters.streamed:
            m.submodules.player = player = StreamPlayer(STREAM_WORDS)
            connect(m, player.o, accelerator.weights)
            m.d.sync += [player.write.en.eq(self.write.en), player.write.word.eq(self.write.word)]
            m.d.comb += player.restart.eq(self.start)
        return m
