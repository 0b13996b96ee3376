"""The activation memory under proof, against one flat list of activations a half."""

from types import ModuleType

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Signal, Value
from amaranth.lib import wiring

from rtl.formal.harnesses import Harness
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces


def activation_memory(source: ModuleType, pes: int, width: int, columns: int) -> Harness:
    """Whatever was read, loaded and stored before, every row that is read (by the scan from half ``source``, for the output from the other)
    holds in the cycle after, and until the next read, what was last written to these activations: result ``k`` to ``pes * k`` on in
    the half that is not read, a loaded row to its place.
    """
    p = ArrayParameters(
        pes=pes, columns=columns, local_rows=-(-columns // pes), weight_rows=1, entries_per_row=1, activation_bits=1, weight_bits=1,
        row_width=width, layers=1,
    )  # fmt: skip
    places = ActivationPlaces.of(p)

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        size = places.lanes << places.depth_bits
        halves = [[Signal(name=f"half{half}_{at}", reset_less=True) for at in range(size)] for half in range(2)]
        scans, unloads = unit.scan, unit.unload
        reads, restart = scans.en | unloads.en, scans.restart | unloads.restart
        reading, storing = Signal(range(p.activation_rows + 1)), Signal(range(p.local_rows + 1))
        for count, step, again in ((reading, reads, restart), (storing, unit.results.valid, unit.restart)):
            with m.If(step):
                m.d.sync += count.eq(count + 1)
            with m.If(again):
                m.d.sync += count.eq(0)
        _assume_use(m, unit, p)
        m.d.comb += [
            Assume(~reads | (reading < p.activation_rows)),
            Assume(~unit.results.valid | (storing < p.local_rows)),
        ]
        _write(m, unit, p, halves, storing)

        expected, valid, now = Signal(width), Signal(), Signal(width)
        for half, cells in enumerate(halves):
            with m.If((unit.layer.source ^ unloads.en) == half), m.Switch(reading):
                for row in range(p.activation_rows):
                    with m.Case(row):
                        m.d.comb += now.eq(Cat(cells[row * width : (row + 1) * width]))
        with m.If(reads):
            m.d.sync += [expected.eq(now), valid.eq(1)]
        m.d.comb += [
            Assert(~valid | ((Value.cast(scans.values) == expected) & (Value.cast(unloads.values) == expected))),
            Cover(valid & (expected == (1 << width) - 1) & (storing == p.local_rows) & (reading == p.activation_rows)),
            Cover(unloads.en & now[0] & (reading == p.activation_rows - 1)),
        ]

    return Harness(source.ActivationMemory(p), rules)


def _assume_use(m: Module, unit: wiring.Component, p: ArrayParameters) -> None:
    """The scan and the output do not read together, and nothing is loaded while results come; words are loaded to places there are."""
    word, places = unit.load.word, ActivationPlaces.of(p)
    known = [places.address(row, half) for half in range(2) for row in range(places.groups << places.depth_bits)]
    m.d.comb += [
        Assume(~(unit.scan.en & unit.unload.en)),
        Assume(~(unit.load.valid & unit.results.valid)),
        Assume(Cat(word.address == place for place in known).any()),
    ]


def _write(m: Module, unit: wiring.Component, p: ArrayParameters, halves: list[list[Signal]], storing: Signal) -> None:
    """Write loaded rows and results to the list."""
    word, places = unit.load.word, ActivationPlaces.of(p)
    for half, cells in enumerate(halves):
        with m.If(unit.load.valid & (word.unit == Unit.ACTIVATIONS)):
            for row in range(places.groups << places.depth_bits):
                with m.If(word.address == places.address(row, half)):
                    m.d.sync += Cat(cells[row * p.row_width : (row + 1) * p.row_width]).eq(word.data)
        with m.If(unit.results.valid & unit.layer.store & (unit.layer.source != half)), m.Switch(storing):
            for row in range(p.local_rows):
                with m.Case(row):
                    m.d.sync += Cat(cells[row * p.pes : (row + 1) * p.pes]).eq(Value.cast(unit.results.values))
