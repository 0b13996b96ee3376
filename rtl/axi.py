"""The accelerator for a system on chip: AXI4-Lite for its registers, AXI4-Stream for inputs and logits, one interrupt."""

from amaranth.hdl import ClockDomain, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from rtl.host import HostedAccelerator
from rtl.parameters import ArrayParameters
from rtl.register import WORD_BITS, WORD_BYTES
from rtl.register_bank import RegisterBus
from rtl.registers import beat_bytes


class AxiLite(wiring.Component):
    """An AXI4-Lite slave that makes accesses of a register bus, one at a time, reads and writes in turn.

    Address and data of a write may come in any order. Every output comes from a register.

    Timing
    ------
    The answer is offered ``latency`` cycles after the (later) part of a request was taken, if the bus is free.

    Members
    -------
    awaddr, awprot, awvalid, awready, wdata, ... rready : as AXI names them, without prefix; ``*prot`` is ignored
    bus : ``Out(RegisterBus(address_bits))``
    """

    latency = 4

    def __init__(self, address_bits: int) -> None:
        super().__init__({**axi_lite_members(address_bits), "bus": Out(RegisterBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        """A register for each request channel, one for each answer."""
        m = Module()
        bus, address, read_address, turn = self.bus, Signal.like(self.awaddr), Signal.like(self.araddr), Signal()
        has_address, has_data, has_read = (Signal(name=name) for name in ("has_address", "has_data", "has_read"))
        live = Signal()  # no READY before the first clock edge after reset
        m.d.sync += live.eq(1)
        for valid, ready, has, kept in (
            (self.awvalid, self.awready, has_address, ((address, self.awaddr),)),
            (self.wvalid, self.wready, has_data, ((bus.data, self.wdata), (bus.strobe, self.wstrb))),
            (self.arvalid, self.arready, has_read, ((read_address, self.araddr),)),
        ):
            m.d.comb += ready.eq(live & ~has)
            with m.If(valid & ready):
                m.d.sync += has.eq(1)
                m.d.sync += [target.eq(source) for target, source in kept]
        m.d.comb += bus.address.eq(Mux(bus.write, address, read_address))
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        may_write, may_read = has_address & has_data & ~self.bvalid, has_read & ~self.rvalid
        with m.If(~bus.valid & (may_write | may_read)):
            m.d.sync += [bus.valid.eq(1), bus.write.eq(may_write & (turn | ~may_read))]
        with m.If(bus.done):
            m.d.sync += [bus.valid.eq(0), turn.eq(~bus.write)]
            with m.If(bus.write):
                m.d.sync += [has_address.eq(0), has_data.eq(0), self.bvalid.eq(1), self.bresp.eq(Value.cast(bus.answer))]
            with m.Else():
                m.d.sync += [has_read.eq(0), self.rvalid.eq(1), self.rresp.eq(Value.cast(bus.answer)), self.rdata.eq(bus.value)]
        return m


def axi_lite_members(address_bits: int) -> dict[str, wiring.Member]:
    """Return the ports of an AXI4-Lite slave of 32 bits."""
    return {
        "awaddr": In(address_bits),
        "awprot": In(3),
        "awvalid": In(1),
        "awready": Out(1),
        "wdata": In(WORD_BITS),
        "wstrb": In(WORD_BYTES),
        "wvalid": In(1),
        "wready": Out(1),
        "bresp": Out(2),
        "bvalid": Out(1),
        "bready": In(1),
        "araddr": In(address_bits),
        "arprot": In(3),
        "arvalid": In(1),
        "arready": Out(1),
        "rdata": Out(WORD_BITS),
        "rresp": Out(2),
        "rvalid": Out(1),
        "rready": In(1),
    }


class AxiAccelerator(wiring.Component):
    """An accelerator with the ports that block designs know.

    Parameters
    ----------
    parameters : ArrayParameters
        With ``layers`` of at least 1.

    Members
    -------
    aclk, aresetn : ``In(1)``
        One clock for everything; the reset is low-active and synchronous.
    s_axi_* : AXI4-Lite slave of 32 bits
        The registers (:func:`rtl.registers.register_map`).
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        Inputs: a beat is a row of activations, the first in the low bits, in whole bytes; the last row of an input is marked.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        Logits, likewise. Places behind the last one are zero.
    s_axis_weights_tdata, s_axis_weights_tvalid, s_axis_weights_tready, s_axis_weights_tlast
        Only for parameters that stream weights: a packet of 32-bit words for each layer that has them streamed.
    irq : ``Out(1)``
        Level, high-active.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        self.host = HostedAccelerator(parameters)
        self.lite = AxiLite(self.host.registers.address_bits)
        lite = {f"s_axi_{name}": member for name, member in axi_lite_members(self.host.registers.address_bits).items()}
        width = 8 * beat_bytes(parameters)
        names = {"tdata": In(WORD_BITS), "tvalid": In(1), "tready": Out(1), "tlast": In(1)}
        weights = {f"s_axis_weights_{name}": member for name, member in names.items()}
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **lite,
                "s_axis_tdata": In(width),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(width),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "irq": Out(1),
            }
            | (weights if parameters.streamed else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Give the ports their names."""
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.host, m.submodules.lite = host, lite = self.host, self.lite
        connect(m, lite.bus, host.bus)
        for name, member in axi_lite_members(host.registers.address_bits).items():
            outside, inside = getattr(self, f"s_axi_{name}"), getattr(lite, name)
            m.d.comb += inside.eq(outside) if member.flow is In else outside.eq(inside)
        given, taken = host.input, host.output
        m.d.comb += [
            Value.cast(given.payload.values).eq(self.s_axis_tdata),
            given.payload.last.eq(self.s_axis_tlast),
            given.valid.eq(self.s_axis_tvalid),
            # A reset may fall into any cycle: nothing is taken in it.
            self.s_axis_tready.eq(given.ready & self.aresetn),
            self.m_axis_tdata.eq(Value.cast(taken.payload.values)),
            self.m_axis_tlast.eq(taken.payload.last),
            self.m_axis_tvalid.eq(taken.valid),
            taken.ready.eq(self.m_axis_tready),
            self.irq.eq(host.irq),
        ]
        if host.parameters.streamed:
            m.d.comb += [
                host.weights.payload.bits.eq(self.s_axis_weights_tdata),
                host.weights.payload.last.eq(self.s_axis_weights_tlast),
                host.weights.valid.eq(self.s_axis_weights_tvalid),
                self.s_axis_weights_tready.eq(host.weights.ready & self.aresetn),
            ]
        return m
