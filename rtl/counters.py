"""Performance counters: what every unit did and why it waited, for the host and for the comparison with the simulators."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.array import events_layout
from rtl.parameters import ArrayParameters

COUNTER_BITS = 32
TOTALS = (
    "cycles",
    "setup",
    "scan_busy",
    "scan_queue_full",
    "drain_busy",
    "items",
    "activation_reads",
    "weight_reads",
    "pointer_reads",
    "entries",
    "fillers",
    "additions",
    "results",
)
OF_PES = ("pe_busy", "pe_starved")


def counters_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of the counters, each of ``COUNTER_BITS`` bits.

    ``cycles``: of layers; ``setup``: of the run, between and around them. ``scan_busy``: items handed over and rows without an item;
    ``scan_queue_full``: an item waits for a queue; ``drain_busy``. ``items``: activations broadcast; ``activation_reads``: rows read;
    ``weight_reads``: rows read, of all PEs; ``pointer_reads``: of all PEs, two an item; ``entries``, the ``fillers`` among them and
    ``additions``: of all PEs; ``results``: rows drained. For each PE ``pe_busy``: its issue stage holds a column; ``pe_starved``: it does
    not, and will again in this layer. What is left to ``cycles`` a unit was idle. Where weights are streamed ``loading``: the part of
    ``setup`` in which they came.
    """
    each = data.ArrayLayout(COUNTER_BITS, parameters.pes)
    loading = {"loading": COUNTER_BITS} if parameters.streamed else {}
    return data.StructLayout(dict.fromkeys(TOTALS, COUNTER_BITS) | dict.fromkeys(OF_PES, each) | loading)


class Counters(wiring.Component):
    """Sums of the array's events since ``clear``.

    Timing
    ------
    What happens in cycle ``c`` is in ``values`` from ``c + latency`` on; what happened in the cycle of ``clear`` or before is not.

    Parameters
    ----------
    parameters : ArrayParameters

    Members
    -------
    clear : ``In(1)``
    running : ``In(1)``
        A run is under way: cycles outside layers count as ``setup``.
    busy : ``In(1)``
        A layer runs.
    events : ``In(events_layout(parameters))``
    loading : ``In(1)``
        Weights are streamed; only for parameters that say so.
    values : ``Out(counters_layout(parameters))``
    """

    latency = 3

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "busy": In(1),
                "events": In(events_layout(parameters)),
                "values": Out(counters_layout(parameters)),
            }
            | ({"loading": In(1)} if parameters.streamed else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Register the events, then what each adds, then the sums: no path leads from the array through an adder."""
        m = Module()
        p = self.parameters
        events, busy, running = Signal(events_layout(p)), Signal(), Signal()
        m.d.sync += [events.eq(self.events), busy.eq(self.busy), running.eq(self.running)]
        pops = _count(events.pop, p.pes)
        steps: dict[str, Value] = {
            "cycles": busy,
            "setup": running & ~busy,
            "scan_busy": events.broadcast + events.passes_zeros,
            "scan_queue_full": events.queue_full,
            "drain_busy": events.draining,
            "items": events.broadcast,
            "activation_reads": events.row_read,
            "weight_reads": _count(events.weight_read, p.pes),
            "pointer_reads": 2 * pops if p.has_gaps else Value.cast(0),
            "entries": _count(events.entry, p.pes),
            "fillers": _count(events.filler, p.pes),
            "additions": _count(events.addition, p.pes),
            "results": events.result,
        }
        for name, value in steps.items():
            step = Signal(value.shape(), name=f"{name}_step")
            m.d.sync += [step.eq(Mux(busy | (name == "setup"), value, 0)), self.values[name].eq(self.values[name] + step)]
        for pe in range(p.pes):
            self._pe(m, pe, busy, events.busy[pe])
        if p.streamed:
            loading = Signal()
            m.d.sync += [loading.eq(self.loading), self.values.loading.eq(self.values.loading + loading)]
        # As late as the events are, so that those of the cycles before are not counted after it.
        clears = Signal(self.latency - 1)
        m.d.sync += clears.eq(Cat(self.clear, clears))
        with m.If(clears[-1]):
            m.d.sync += self.values.eq(0)
        return m

    def _pe(self, m: Module, pe: int, busy: Value, works: Value) -> None:
        """Cycles without work count as starved as soon as there is work again; those after a layer's last are idle."""
        waited, works_now = Signal(COUNTER_BITS, name=f"waited{pe}"), Signal(name=f"works{pe}")
        add, starved = Signal(name=f"add{pe}"), self.values.pe_starved[pe]
        m.d.comb += works_now.eq(busy & works)
        m.d.sync += [
            add.eq(works_now),
            self.values.pe_busy[pe].eq(self.values.pe_busy[pe] + add),
            waited.eq(Mux(busy & ~works_now, waited + 1, 0)),
        ]
        with m.If(works_now):
            m.d.sync += starved.eq(starved + waited)


def _count(flags: Value, pes: int) -> Value:
    """Return how many of the flags are set."""
    bits = Value.cast(flags)
    total: Value = bits[0]
    for pe in range(1, pes):
        total = total + bits[pe]
    return total
