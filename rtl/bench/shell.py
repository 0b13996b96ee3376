"""The accelerator as a bench drives it: a whole input goes in at once, everything that a run gave comes out at once.

No Python runs between the two, so a run is as fast as the simulator.
"""

from amaranth.hdl import Cat, ClockDomain, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from rtl.counters import counters_layout
from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode
from rtl.top import Accelerator


class RunShell(wiring.Component):
    """Feeds the rows of ``picture`` to the input stream and keeps the rows of the output stream and the counters at the end of each layer.

    Parameters
    ----------
    parameters : ArrayParameters
    input_rows, output_rows : int
        Rows of the network's input and output.

    Members
    -------
    clk : ``In(1)``
        There is no reset: registers begin with their start values.
    load : ``In(LoadSignature(parameters))``
    go : ``In(1)``
        For one cycle, while ``ready``.
    ready, finished : ``Out(1)``
        ``finished`` from the end of a run until the next ``go``.
    picture : ``In``
        All rows, the first in the low bits.
    outputs : ``Out``
        Likewise.
    snapshots : ``Out``
        The counters at the end of each layer, the first in the low bits.
    error, best : as in :class:`~rtl.top.Accelerator`
    """

    def __init__(self, parameters: ArrayParameters, input_rows: int, output_rows: int) -> None:
        p = self.parameters = parameters
        self.input_rows, self.output_rows = input_rows, output_rows
        self.row_bits = p.row_width * p.activation_bits
        super().__init__(
            {
                "clk": In(1),
                "load": In(LoadSignature(p)),
                "go": In(1),
                "ready": Out(1),
                "finished": Out(1),
                "picture": In(self.row_bits * input_rows),
                "outputs": Out(self.row_bits * output_rows),
                "snapshots": Out(counters_layout(p).size * p.layers),
                "error": Out(ErrorCode),
                "best": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count rows in and out."""
        m = Module()
        # A simulator computes what depends on an input directly whenever any input, the clock too, has changed. So there is no reset, on
        # which all next states would depend, and there are registers behind all other inputs.
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.submodules.accelerator = accelerator = Accelerator(self.parameters)
        row, counters = Signal(range(self.input_rows + 1)), Value.cast(accelerator.counters)
        going, load, beat = Signal(), LoadSignature(self.parameters).create(), accelerator.input
        connect(m, load, accelerator.load)
        m.d.sync += [going.eq(self.go), load.valid.eq(self.load.valid), load.word.eq(self.load.word)]
        m.d.comb += [
            domain.clk.eq(self.clk),
            accelerator.start.eq(going),
            accelerator.output.ready.eq(1),
            self.ready.eq(accelerator.ready),
            self.error.eq(accelerator.error),
            self.best.eq(accelerator.best),
        ]
        with m.If(~beat.valid | beat.ready):
            m.d.sync += [beat.valid.eq(row != self.input_rows), beat.payload.last.eq(row == self.input_rows - 1)]
            m.d.sync += row.eq(row + (row != self.input_rows))
            # A choice, not a variable shift, which would move the whole picture in every cycle.
            with m.Switch(row):
                for number in range(self.input_rows):
                    with m.Case(number):
                        m.d.sync += beat.payload.values.eq(self.picture[number * self.row_bits :])
        with m.If(accelerator.output.valid):
            m.d.sync += self.outputs.eq(Cat(self.outputs, accelerator.output.payload.values)[self.row_bits :])
        with m.If(accelerator.layer_done):
            for layer in range(self.parameters.layers):
                with m.If(accelerator.layer == layer):
                    m.d.sync += self.snapshots[layer * len(counters) : (layer + 1) * len(counters)].eq(counters)
        with m.If(accelerator.done):
            m.d.sync += self.finished.eq(1)
        with m.If(going):
            m.d.sync += [row.eq(0), beat.valid.eq(0), self.finished.eq(0)]
        return m
