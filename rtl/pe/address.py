"""Address generation: where a column begins if every column has all its rows."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.parameters import ArrayParameters
from rtl.pe.fetch import segment_layout


class ColumnAddress(wiring.Component):
    """Computes where column ``j`` lies, from ``j * rows`` to ``(j + 1) * rows`` behind the layer's ``weight_base``, with the PE's
    local ``rows``; stands in for the pointers.

    Timing
    ------
    As :class:`~rtl.pe.fetch.PointerFetch`: one slot, ``latency`` 1. ``layer`` must be stable from the second cycle before an item is taken.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        PEs from ``layer.full_pes`` on own one row less than ``layer.drain_rows``.

    Members
    -------
    i : ``In(stream.Signature(parameters.item))``
    o : ``Out(stream.Signature(segment_layout(parameters)))``
    layer : ``In(parameters.layer)``
    busy : ``Out(1)``
        The slot is taken.
    """

    latency = 1

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        super().__init__(
            {
                "i": In(stream.Signature(parameters.item)),
                "o": Out(stream.Signature(segment_layout(parameters))),
                "layer": In(parameters.layer),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the slot; the product is computed as the item is taken, its end from the product."""
        m = Module()
        item, rows = self.i.payload, Signal(range(self.parameters.local_rows + 1), reset_less=True)
        start, value = Signal(self.parameters.pointer, reset_less=True), Signal(self.parameters.activation, reset_less=True)
        m.d.sync += rows.eq(self.layer.drain_rows - (self.pe >= self.layer.full_pes))
        m.d.comb += [
            self.o.valid.eq(self.busy),
            self.i.ready.eq(~self.busy | self.o.ready),
            self.o.payload.places[0].eq(start),
            self.o.payload.places[1].eq(start + rows),
            self.o.payload.begins.eq(0),
            self.o.payload.changes.eq(self.o.payload.places[0] ^ self.o.payload.places[1]),
            self.o.payload.value.eq(value),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.busy.eq(self.i.valid),
                start.eq(item.column * rows + self.layer.weight_base),
                value.eq(item.value),
            ]
        return m
