"""The accelerator behind its registers: what every host interface, AXI or UART, has in common."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl.counter_store import CounterStore
from rtl.packets import InputGate, OutputGate
from rtl.parameters import ArrayParameters
from rtl.register_bank import RegisterBank, RegisterBus
from rtl.registers import register_map
from rtl.sequencer import ErrorCode
from rtl.top import Accelerator
from rtl.transfer import row_layout
from rtl.weight_port import WORD
from rtl.window import LoadWindow


class HostedAccelerator(wiring.Component):
    """An accelerator with the registers of :func:`rtl.registers.register_map`, its input and its output as packets of rows.

    Timing
    ------
    An access takes two cycles (:class:`~rtl.register_bank.RegisterBank`); a read of a counter waits while a layer's counters are copied. A
    run begins in the cycle in which ``CONTROL.start`` is written.

    Parameters
    ----------
    parameters : ArrayParameters
        With ``layers`` of at least 1.

    Members
    -------
    bus : ``In(RegisterBus)``
    input : ``In(stream.Signature(row_layout(parameters)))``
    output : ``Out(stream.Signature(row_layout(parameters)))``
    weights : ``In(stream.Signature(WORD))``
        Only for parameters that stream weights, as in :class:`~rtl.top.Accelerator`.
    irq : ``Out(1)``
        While a bit of ``IRQ_STATUS`` is set that ``IRQ_ENABLE`` lets through.
    reset : ``Out(1)``
        ``CONTROL.reset`` was written: what waits for ``input`` is dropped.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        p = self.parameters = parameters
        self.registers = register_map(p)
        rows = stream.Signature(row_layout(p))
        weights = {"weights": In(stream.Signature(WORD))} if p.streamed else {}
        bus = In(RegisterBus(self.registers.address_bits))
        super().__init__({"bus": bus, "input": In(rows), "output": Out(rows), **weights, "irq": Out(1), "reset": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Wire the units."""
        m = Module()
        p = self.parameters
        m.submodules.accelerator = accelerator = Accelerator(p)
        m.submodules.bank = bank = RegisterBank(self.registers)
        m.submodules.window = window = LoadWindow(p)
        m.submodules.store = store = CounterStore(p, accelerator.sequencer.setup_latency)
        m.submodules.input = entry = InputGate(row_layout(p))
        m.submodules.output = leaving = OutputGate(p)
        connect(m, flipped(self.bus), bank.bus)
        connect(m, flipped(self.input), entry.i)
        connect(m, entry.o, accelerator.input)
        connect(m, accelerator.output, leaving.i)
        connect(m, leaving.o, flipped(self.output))
        connect(m, window.load, accelerator.load)

        clear, ready, failed = Signal(), Signal(), Signal()
        m.d.sync += clear.eq(bank.control_reset)
        m.d.comb += [
            # Copying is over before a run can end, but for a very short output.
            ready.eq(accelerator.ready & ~store.busy & ~clear),
            failed.eq(accelerator.done & (accelerator.error != ErrorCode.NONE)),
            accelerator.start.eq(bank.control_start),
            accelerator.abort.eq((bank.control_abort & accelerator.busy) | bank.control_reset),
            accelerator.timeout.eq(bank.timeout_cycles.value),
            bank.clear.eq(clear),
            self.reset.eq(clear),
            bank.control_refused.eq(self.bus.data[0] & self.bus.strobe[0] & ~ready),
            entry.failed.eq(failed),
            entry.reset.eq(clear),
            leaving.failed.eq(failed),
            store.layer_done.eq(accelerator.layer_done),
            store.layer.eq(accelerator.layer),
            store.counters.eq(accelerator.counters),
            store.en.eq(bank.window.en),
            store.block.eq(bank.window.block),
            store.word.eq(bank.window.word),
            bank.window.wait.eq(store.busy),
            bank.window.value.eq(store.value),
        ]
        self._load(m, bank, window, ready)
        self._status(m, bank, accelerator, clear, failed)
        discarding = entry.discarding
        if p.streamed:
            discarding = discarding | self._weights(m, accelerator, clear)
        m.d.comb += [bank.status_ready.eq(ready), bank.status_discarding.eq(discarding)]
        return m

    def _weights(self, m: Module, accelerator: Accelerator, clear: Signal) -> Signal:
        """Hand weights on; return whether some are dropped. A run that fails takes the rest of a packet itself, but for an aborted one."""
        m.submodules.weights = gate = InputGate(WORD)
        connect(m, flipped(self.weights), gate.i)
        connect(m, gate.o, accelerator.weights)
        m.d.comb += [gate.failed.eq(accelerator.done & (accelerator.error == ErrorCode.ABORTED)), gate.reset.eq(clear)]
        return gate.discarding

    def _load(self, m: Module, bank: RegisterBank, window: LoadWindow, ready: Signal) -> None:
        m.d.comb += [
            window.unit.eq(bank.load_target_unit.value),
            window.parts.eq(bank.load_target_parts.value),
            window.pe.eq(bank.load_target_pe.value),
            window.address.eq(bank.load_address_address.value),
            window.restart.eq(bank.load_target_written | bank.clear),
            window.written.eq(bank.load_data_written),
            window.data.eq(bank.load_data_data),
            window.strobe.eq(self.bus.strobe),
            window.ready.eq(ready),
            bank.load_data_refused.eq(window.refused),
            bank.load_address_address.update.eq(window.step),
            bank.load_address_address.next.eq(bank.load_address_address.value + 1),
        ]

    def _status(self, m: Module, bank: RegisterBank, accelerator: Accelerator, clear: Signal, failed: Signal) -> None:
        """Keep how the last run ended, and raise the interrupt."""
        ended, layer, layers = Signal(), Signal.like(accelerator.layer), Signal.like(accelerator.layer)
        with m.If(accelerator.busy):
            m.d.sync += layer.eq(accelerator.layer)
        with m.If(accelerator.layer_done):
            m.d.sync += layers.eq(layers + 1)
        with m.If(accelerator.done):
            m.d.sync += ended.eq(1)
        with m.If(bank.control_start | clear):
            m.d.sync += [ended.eq(0), layer.eq(0), layers.eq(0)]
        m.d.comb += [
            bank.status_busy.eq(accelerator.busy),
            bank.status_done.eq(ended),
            bank.status_layer.eq(layer),
            bank.best_index.eq(accelerator.best),
            bank.finished_layers.eq(layers),
            bank.irq_status_done.set.eq(accelerator.done & ~failed),
            bank.irq_status_error.set.eq(failed),
            bank.irq_status_layer.set.eq(accelerator.layer_done),
        ]
        with m.If(ended):
            m.d.comb += bank.status_error.eq(accelerator.error.as_value())
        names = ("done", "error", "layer")
        raised = [getattr(bank, f"irq_status_{name}").value & getattr(bank, f"irq_enable_{name}").value for name in names]
        m.d.sync += self.irq.eq(raised[0] | raised[1] | raised[2])
