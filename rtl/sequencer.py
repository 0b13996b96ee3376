"""The sequencer: runs the layers of a descriptor list one after the other, with no host between them."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.cursor import LoaderError
from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters
from rtl.weight_port import WeightControl


class ErrorCode(enum.Enum, shape=4):
    """Why a run ended.

    ILLEGAL_DESCRIPTOR: sizes that contradict each other. TOO_LARGE: a layer that does not fit the memories. INPUT_ENDS_EARLY: the row
    marked last came too soon; INPUT_ENDS_LATE: the last row is not marked. DECODER: a stream of weights that the decoder refused. TIMEOUT:
    a layer, or the load of its weights, took more than ``timeout`` cycles. NO_LAST: no descriptor is marked as the last one. ABORTED: by
    the host. WEIGHTS_END_EARLY, WEIGHTS_END_LATE: a stream of weights that is shorter or longer than it says.
    """

    NONE = 0
    ILLEGAL_DESCRIPTOR = 1
    TOO_LARGE = 2
    INPUT_ENDS_EARLY = 3
    INPUT_ENDS_LATE = 4
    DECODER = 5
    TIMEOUT = 6
    NO_LAST = 7
    ABORTED = 8
    WEIGHTS_END_EARLY = 9
    WEIGHTS_END_LATE = 10


REFUSALS = {  # of streamed weights; any other is DECODER
    LoaderError.CONFIGURATION: ErrorCode.TOO_LARGE,
    LoaderError.WEIGHTS_FULL: ErrorCode.TOO_LARGE,
    LoaderError.ENDS_EARLY: ErrorCode.WEIGHTS_END_EARLY,
    LoaderError.ENDS_LATE: ErrorCode.WEIGHTS_END_LATE,
}


class Sequencer(wiring.Component):
    """Reads a descriptor, checks it, has streamed weights loaded, writes configuration and codebook, runs the layer, and so on to the last;
    then has the output sent.

    Before anything of a layer is written or run its descriptor has been found to be legal. After an error, and after a reset, the array is
    reset and its sums are cleared, so that the next ``start`` finds it as new; memories keep what they hold.

    Timing
    ------
    From ``start`` to the first layer ``setup_latency`` cycles and those in which the input comes, from one layer to the next
    ``between_layers``; and in front of a layer whose weights are streamed two more than :class:`~rtl.weight_port.WeightPort` takes.

    Members
    -------
    load : ``In(LoadSignature(parameters))``
        Writes units DESCRIPTOR and TABLE.
    start : ``In(1)``
    timeout : ``In(32)``
        Most cycles of a layer, 0: any number.
    bus : ``Out(LoadSignature(parameters))``
        To the array.
    array : ``Out({"start", "clear", "reset", "busy"})``
    input, output : ``Out({"start", "done", ...})``
        To :class:`~rtl.transfer.InputWriter` and :class:`~rtl.transfer.OutputReader`.
    weights : ``Out({"start", "stop", "done", "error"})``
        To :class:`~rtl.weight_port.WeightPort`; only for parameters that stream weights.
    descriptor : ``Out(parameters.descriptor)``
        Of the layer that runs.
    ready, busy, done : ``Out(1)``
        ``ready``: ``start`` is seen.
    layer_done : ``Out(1)``
        The counters stand at the end of a layer.
    layer : ``Out``
    error : ``Out(ErrorCode)``
    """

    settle = 4  # cycles from a word on the bus until the array may be started, and from a layer's end until the counters stand

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        number = range(p.layers + 1)
        super().__init__(
            {
                "load": In(LoadSignature(p)),
                "start": In(1),
                "timeout": In(32),
                "bus": Out(LoadSignature(p)),
                "array": Out(wiring.Signature({"start": Out(1), "clear": Out(1), "reset": Out(1), "busy": In(1)})),
                "input": Out(wiring.Signature({"start": Out(1), "done": In(1), "early": In(1), "late": In(1)})),
                "output": Out(wiring.Signature({"start": Out(1), "done": In(1)})),
                "descriptor": Out(p.descriptor),
                "ready": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "layer_done": Out(1),
                "layer": Out(number),
                "error": Out(ErrorCode),
            }
            | ({"weights": Out(WeightControl())} if p.streamed else {})
        )

    @property
    def setup_latency(self) -> int:
        """Cycles between ``start`` and cycle 0 of the first layer, without those in which the input comes."""
        return 6 + self.table_words + self.settle

    @property
    def between_layers(self) -> int:
        """Cycles between the last one of a layer and cycle 0 of the next: the end is seen, the counters settle, setup as for the first."""
        return 1 + self.settle + self.setup_latency

    @property
    def table_words(self) -> int:
        """Words of a layer's codebook."""
        return 1 << self.parameters.code_bits if self.parameters.has_codebook else 0

    def elaborate(self, platform: object) -> Module:
        """Build the memories, the checks and the states."""
        m = Module()
        stored, table = self._memories(m)
        flaw = Signal(ErrorCode)
        m.d.sync += flaw.eq(_flaw(self.parameters, self.descriptor))
        self._states(m, stored, table, flaw)
        return m

    def _memories(self, m: Module) -> tuple[Value, tuple[Signal, Value] | None]:
        """Return the stored descriptor of ``layer``, a cycle later; where there are codebooks also what has one more of their weights
        written to the PEs, and whether it is the last.
        """
        p = self.parameters
        m.submodules.descriptors = descriptors = memory.Memory(shape=p.descriptor, depth=p.layers, init=[])
        connect_memory(m, self.load, descriptors.write_port(), Unit.DESCRIPTOR)
        port = descriptors.read_port()
        m.d.comb += port.addr.eq(self.layer)
        if not p.has_codebook:
            return port.data, None
        m.submodules.tables = tables = memory.Memory(shape=p.weight, depth=p.layers << p.code_bits, init=[])
        connect_memory(m, self.load, tables.write_port(), Unit.TABLE)
        weights, code, step = tables.read_port(), Signal(p.code_bits), Signal()
        written, valid, word = Signal.like(code), Signal(), self.bus.word
        m.d.comb += weights.addr.eq(Cat(code, self.layer))
        m.d.sync += [code.eq(code + step), written.eq(code), valid.eq(step)]
        with m.If(valid):
            m.d.comb += [self.bus.valid.eq(1), word.unit.eq(Unit.CODEBOOK), word.address.eq(written), word.data.eq(weights.data)]
        return port.data, (step, code.all())

    def _states(self, m: Module, stored: Value, table: tuple[Signal, Value] | None, flaw: Signal) -> None:
        wait, spent = Signal(range(8)), Signal(32)
        with m.FSM(init="CLEAR"):
            self._clearing(m, wait)
            with m.State("IDLE"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += self.layer.eq(0)
                with m.If(self.start):
                    m.d.sync += [self.busy.eq(1), self.error.eq(ErrorCode.NONE)]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.sync += self.descriptor.eq(stored)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(flaw != ErrorCode.NONE):
                    self._fail(m, flaw)
                with m.Elif(self.layer == 0):
                    m.d.comb += self.input.start.eq(1)
                    m.next = "INPUT"
                with m.Else():
                    self._prepare(m)
            with m.State("INPUT"), m.If(self.input.done):
                with m.If(self.input.early):
                    self._fail(m, ErrorCode.INPUT_ENDS_EARLY)
                with m.Elif(self.input.late):
                    self._fail(m, ErrorCode.INPUT_ENDS_LATE)
                with m.Else():
                    self._prepare(m)
            if self.parameters.streamed:
                self._loading(m, spent)
            self._configuring(m, wait, table)
            with m.State("START"):
                m.d.comb += self.array.start.eq(1)
                m.d.sync += spent.eq(0)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += [spent.eq(spent + 1), wait.eq(self.settle)]
                with m.If((self.timeout != 0) & (spent > self.timeout)):
                    self._fail(m, ErrorCode.TIMEOUT)
                with m.Elif((spent != 0) & ~self.array.busy):
                    m.next = "FINISH"
            self._finishing(m, wait)

    def _fail(self, m: Module, error: object) -> None:
        m.d.sync += self.error.eq(error)
        m.next = "CLEAR"

    def _prepare(self, m: Module) -> None:
        m.next = "CONFIGURE"
        if self.parameters.streamed:
            with m.If(self.descriptor.streamed):
                m.next = "LOAD"

    def _loading(self, m: Module, spent: Signal) -> None:
        """Have the weights read from their stream."""
        weights = self.weights
        m.d.comb += weights.stop.eq(self.array.reset)
        with m.State("LOAD"):
            m.d.comb += weights.start.eq(1)
            m.d.sync += spent.eq(0)
            m.next = "LOADING"
        with m.State("LOADING"):
            m.d.sync += spent.eq(spent + 1)
            with m.If(weights.done):
                m.next = "CONFIGURE"
                for error in (error for error in LoaderError if error is not LoaderError.NONE):
                    with m.If(weights.error == error):
                        self._fail(m, REFUSALS.get(error, ErrorCode.DECODER))
            with m.Elif((self.timeout != 0) & (spent > self.timeout)):
                self._fail(m, ErrorCode.TIMEOUT)

    def _clearing(self, m: Module, wait: Signal) -> None:
        """Reset the array and have it drain all its rows, to nowhere; the end of a run that failed."""
        p = self.parameters
        with m.State("CLEAR"):
            m.d.comb += [self.array.reset.eq(1)]
            m.d.sync += wait.eq(self.settle + 1)
            m.next = "CLEARING"
        with m.State("CLEARING"):
            every_row = p.layer.const({"drain_rows": p.local_rows, "scan_rows": 1, "full_pes": p.pes})
            m.d.comb += [
                self.bus.valid.eq(wait == self.settle + 1),
                self.bus.word.unit.eq(Unit.LAYER),
                self.bus.word.data.eq(every_row.as_bits()),
                self.array.clear.eq(wait == 1),
            ]
            with m.If(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            with m.Elif(~self.array.busy):
                m.d.comb += self.done.eq(self.busy)
                m.d.sync += self.busy.eq(0)
                m.next = "IDLE"

    def _configuring(self, m: Module, wait: Signal, table: tuple[Signal, Value] | None) -> None:
        """Write the layer's configuration and codebook, then wait until they are there."""
        word = self.bus.word
        with m.State("CONFIGURE"):
            m.d.comb += [
                self.bus.valid.eq(1),
                word.unit.eq(Unit.LAYER),
                word.data.eq(Value.cast(self.descriptor.layer)),
            ]
            m.d.sync += wait.eq(self.settle)
            m.next = "SETTLE" if table is None else "TABLE"
        if table is not None:
            step, is_last = table
            with m.State("TABLE"):
                m.d.comb += step.eq(1)
                with m.If(is_last):
                    m.next = "SETTLE"
        with m.State("SETTLE"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 1):
                m.next = "START"

    def _finishing(self, m: Module, wait: Signal) -> None:
        """Let the counters settle, then go on to the next layer or the output."""
        with m.State("FINISH"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 1):
                m.d.comb += self.layer_done.eq(1)
                with m.If(self.descriptor.last):
                    m.d.comb += self.output.start.eq(1)
                    m.next = "OUTPUT"
                with m.Elif(self.layer == self.parameters.layers - 1):
                    self._fail(m, ErrorCode.NO_LAST)
                with m.Else():
                    m.d.sync += self.layer.eq(self.layer + 1)
                    m.next = "FETCH"
        with m.State("OUTPUT"), m.If(self.output.done):
            m.d.comb += self.done.eq(1)
            m.d.sync += self.busy.eq(0)
            m.next = "IDLE"


def _flaw(p: ArrayParameters, descriptor: data.View) -> Value:
    """Return what is wrong with a descriptor; the sums are as wide as they can get."""
    layer, outputs = descriptor.layer, descriptor.outputs
    columns, rows = layer.columns, layer.drain_rows
    illegal = [
        layer.scan_rows == 0,
        columns == 0,
        columns > layer.scan_rows * p.row_width,
        columns + p.row_width <= layer.scan_rows * p.row_width,
        rows == 0,
        layer.full_pes == 0,
        layer.full_pes > p.pes,
        outputs + p.pes != rows * p.pes + layer.full_pes,
        ~layer.store,
    ]
    large = [layer.scan_rows > p.activation_rows, columns > p.columns, rows > p.local_rows, outputs > p.columns]
    large.append(layer.row_base + rows > p.local_rows)
    if p.has_gaps:
        illegal.append(layer.column_base[0])
        large.append(layer.column_base + columns + 1 > 2 * p.pointer_pairs)
    else:
        # Their places are counted from the column number itself.
        illegal.append(layer.column_base != 0)
        large.append(layer.weight_base + columns * rows > p.weight_rows * p.entries_per_row)
    return Mux(Cat(illegal).any(), ErrorCode.ILLEGAL_DESCRIPTOR, Mux(Cat(large).any(), ErrorCode.TOO_LARGE, ErrorCode.NONE))
