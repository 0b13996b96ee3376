"""The accelerator: a broadcast array with everything that it needs to run a whole network alone."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.errors import MachineError
from rtl.array import BroadcastArray, events_layout
from rtl.counters import Counters, counters_layout
from rtl.load import LoadSignature
from rtl.parameters import ArrayParameters
from rtl.sequencer import ErrorCode, Sequencer
from rtl.transfer import InputWriter, OutputReader, row_layout
from rtl.weight_port import WORD, WeightPort


class Accelerator(wiring.Component):
    """Runs the layers of a descriptor list: input stream, layer after layer between the halves of the activation memory, output stream.

    Load weights, pointers, biases, codebooks and descriptors over ``load`` while ``ready``, give ``start``, send the input, take the
    output. The same network then runs again with the next ``start``.

    Timing
    ------
    Every layer takes the cycles of docs/timing.md; what lies between is ``setup`` in the counters (:class:`~rtl.sequencer.Sequencer`).
    ``done`` for one cycle at the end of a run, good or bad. After power-up and after an error all sums are cleared first, which
    takes ``local_rows`` cycles and some; a ``start`` in that time is not seen, so ``ready`` says when.

    Parameters
    ----------
    parameters : ArrayParameters
        With ``layers`` of at least 1.

    Members
    -------
    load : ``In(LoadSignature(parameters))``
    start, abort : ``In(1)``
        ``abort`` ends a run with error ABORTED and resets everything but the memories.
    timeout : ``In(32)``
        Most cycles a layer may take; 0: any number.
    input : ``In(stream.Signature(row_layout(parameters)))``
        As many rows as the first layer scans, the last one marked.
    output : ``Out(stream.Signature(row_layout(parameters)))``
    weights : ``In(stream.Signature({"bits": 32, "last": 1}))``
        Only for parameters that stream weights: of every layer that has them streamed the words of
        :meth:`rtl.stream_image.StreamImage.packet`, anew in every run.
    ready, busy, done, layer_done : ``Out(1)``
        ``layer_done``: the counters stand at the end of a layer.
    layer : ``Out``
    error : ``Out(ErrorCode)``
        Until the next ``start``.
    best : ``Out(16)``
        Index of the largest output, the lowest among equals.
    counters : ``Out(counters_layout(parameters))``
        Of this run, or of the last one.
    events : ``Out(events_layout(parameters))``
        To observe.

    Raises
    ------
    MachineError
        For parameters without layers.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        if p.layers < 1:
            raise MachineError(path="parameters.layers", rule="at least 1", value=p.layers)
        self.array = BroadcastArray(p)
        self.sequencer = Sequencer(p)
        super().__init__(
            {
                "load": In(LoadSignature(p)),
                "start": In(1),
                "abort": In(1),
                "timeout": In(32),
                "input": In(stream.Signature(row_layout(p))),
                "output": Out(stream.Signature(row_layout(p))),
                "ready": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "layer_done": Out(1),
                "layer": Out(self.sequencer.layer.shape()),
                "error": Out(ErrorCode),
                "best": Out(16),
                "counters": Out(counters_layout(p)),
                "events": Out(events_layout(p)),
            }
            | ({"weights": In(stream.Signature(WORD))} if p.streamed else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the units; host, sequencer and input share the array's load bus."""
        m = Module()
        p, array, sequencer = self.parameters, self.array, self.sequencer
        writer, reader, counters = InputWriter(p), OutputReader(p), Counters(p)
        m.submodules.array = ResetInserter(self.abort | sequencer.array.reset)(array)
        m.submodules.sequencer = ResetInserter(self.abort)(sequencer)
        m.submodules.input = ResetInserter(self.abort | sequencer.array.reset)(writer)
        m.submodules.output = ResetInserter(self.abort)(reader)
        m.submodules.counters = counters
        connect(m, flipped(self.input), writer.i)
        connect(m, reader.o, flipped(self.output))
        connect(m, reader.unload, array.unload)

        host = self.load.valid & ~self.busy
        valid: Value = host | sequencer.bus.valid | writer.bus.valid
        word: Value = self.load.word
        if p.streamed:
            weights = self._weights(m, counters)
            valid, word = valid | weights.valid, Mux(weights.valid, weights.word, word)
        word = Mux(writer.bus.valid, writer.bus.word, Mux(sequencer.bus.valid, sequencer.bus.word, word))
        m.d.comb += [
            sequencer.load.valid.eq(host),
            sequencer.load.word.eq(self.load.word),
            sequencer.start.eq(self.start),
            sequencer.timeout.eq(self.timeout),
            array.load.valid.eq(valid),
            array.load.word.eq(word),
            array.start.eq(sequencer.array.start),
            array.clear.eq(sequencer.array.clear),
            sequencer.array.busy.eq(array.busy),
            writer.start.eq(sequencer.input.start),
            writer.rows.eq(sequencer.descriptor.layer.scan_rows),
            sequencer.input.done.eq(writer.done),
            sequencer.input.early.eq(writer.early),
            sequencer.input.late.eq(writer.late),
            reader.start.eq(sequencer.output.start),
            reader.count.eq(sequencer.descriptor.outputs),
            sequencer.output.done.eq(reader.done),
            counters.clear.eq(self.start & self.ready),
            counters.running.eq(self.busy),
            # Clearing after an error is no layer.
            counters.busy.eq(array.busy & self.busy & (sequencer.error == ErrorCode.NONE)),
            counters.events.eq(array.events),
        ]
        self._status(m, reader, counters)
        return m

    def _weights(self, m: Module, counters: Counters) -> wiring.PureInterface:
        """Join the reader of the stream of weights; return its load bus."""
        descriptor = self.sequencer.descriptor
        port = WeightPort(self.parameters)
        m.submodules.weights = ResetInserter(self.abort)(port)
        connect(m, flipped(self.weights), port.i)
        connect(m, self.sequencer.weights, port.control)
        m.d.comb += [
            port.rows.eq(descriptor.outputs),
            port.columns.eq(descriptor.layer.columns),
            port.weight_base.eq(descriptor.layer.weight_base),
            port.column_base.eq(descriptor.layer.column_base),
            counters.loading.eq(port.busy),
        ]
        return port.load

    def _status(self, m: Module, reader: OutputReader, counters: Counters) -> None:
        """Drive what the host sees."""
        sequencer, aborted, abort_done = self.sequencer, Signal(), Signal()
        cut = self.abort & self.busy
        with m.If(cut):
            m.d.sync += aborted.eq(1)
        with m.Elif(self.start & self.ready):
            m.d.sync += aborted.eq(0)
        m.d.sync += abort_done.eq(cut)
        m.d.comb += [
            self.ready.eq(sequencer.ready),
            self.busy.eq(sequencer.busy),
            self.done.eq((sequencer.done & ~cut) | abort_done),
            self.layer_done.eq(sequencer.layer_done),
            self.layer.eq(sequencer.layer),
            self.error.eq(Mux(aborted, ErrorCode.ABORTED, sequencer.error)),
            self.best.eq(reader.best),
            self.counters.eq(counters.values),
            self.events.eq(self.array.events),
        ]
