"""The activation memory: read in rows by the scan, written in rows by the drain, and by the load bus."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.load import LoadSignature, Unit
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces
from rtl.windows import WindowWalk


class RowReads(wiring.Signature):
    """One row after the other: ``en`` reads the next one, whose ``values`` are there in the cycle after and until the next read;
    ``restart`` makes the next read that of row 0.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        values = data.ArrayLayout(parameters.activation, parameters.row_width)
        super().__init__({"restart": Out(1), "en": Out(1), "values": In(values)})


class ActivationMemory(wiring.Component):
    """Two halves where results are stored (:class:`~rtl.places.ActivationPlaces`): a layer reads one and writes the other at the same time.

    Timing
    ------
    A row of results on ``results`` in cycle ``c`` can be read from ``c + 1`` on. A word of ``load`` likewise.

    Parameters
    ----------
    parameters : ArrayParameters

    Members
    -------
    layer : ``In(parameters.layer)``
        ``source`` and ``store`` are read.
    load : ``In(LoadSignature(parameters))``
        Writes unit ACTIVATIONS.
    scan : ``In(RowReads(parameters))``
        Reads half ``source``.
    unload : ``In(RowReads(parameters))``
        Reads the other half; not while the scan reads.
    restart : ``In(1)``
        The next row of results is row 0.
    results : ``In({"valid", "values"})``
        Written to the half that is not ``source``, if ``store``.
    hold, advance : ``In(1)``
        As in :class:`~rtl.windows.WindowWalk`; only where there are windows: the scan then reads theirs.
    last : ``Out(1)``
        Likewise.
    reads : ``Out(1)``
        The scan reads a row, and not a zero of the padding.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        self.places = ActivationPlaces.of(parameters)
        values = data.ArrayLayout(parameters.activation, parameters.pes)
        super().__init__(
            {
                "layer": In(parameters.layer),
                "load": In(LoadSignature(parameters)),
                "scan": In(RowReads(parameters)),
                "unload": In(RowReads(parameters)),
                "restart": In(1),
                "results": In(wiring.Signature({"valid": Out(1), "values": Out(values)})),
                "reads": Out(1),
            }
            | ({"hold": In(1), "advance": In(1), "last": Out(1)} if parameters.windows else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Build the banks; the group of a row that was read chooses among them a cycle later."""
        m = Module()
        p, places = self.parameters, self.places
        word = data.ArrayLayout(p.activation, places.chunk)
        read_en, restart = self.scan.en | self.unload.en, self.scan.restart | self.unload.restart
        group, address = self._counter(m, restart, read_en, places.groups, "read")
        inside: Value = Const(1)
        if p.windows:
            address, inside = self._windows(m, restart, read_en)
        m.d.comb += self.reads.eq(self.scan.en & inside)
        half = Value.cast(self.layer.source) ^ self.unload.en
        written_group, written = self._counter(m, self.restart, self.results.valid, places.result_groups, "write")
        stored = self.results.valid & self.layer.store
        loaded = self.load.valid & (self.load.word.unit == Unit.ACTIVATIONS)
        load_group = self.load.word.address[: places.group_bits]
        load_address = self.load.word.address[places.group_bits :]

        values: list[Value] = []
        for bank in range(places.banks):
            m.submodules[f"bank{bank}"] = store = memory.Memory(shape=word, depth=places.depth, init=[])
            write, port = store.write_port(), store.read_port()
            lane = bank * places.chunk  # of the bank's first activation
            of_row, of_result = lane % p.row_width, lane % p.pes
            m.d.comb += [
                port.addr.eq(self._placed(address, half)),
                port.en.eq(read_en),
                write.addr.eq(load_address),
                write.data.eq(Value.cast(self.load.word.data)[of_row * p.activation_bits :]),
                write.en.eq(loaded & (load_group == lane // p.row_width)),
            ]
            if places.stores:
                with m.If(self.results.valid):
                    m.d.comb += [
                        write.addr.eq(self._placed(written, ~self.layer.source)),
                        write.data.eq(Cat(self.results.values[of_result + at] for at in range(places.chunk))),
                        write.en.eq(stored & (written_group == lane // p.pes)),
                    ]
            values.append(Value.cast(port.data))

        read_group = Signal.like(group)
        with m.If(read_en):
            m.d.sync += read_group.eq(group)
        row, each = Cat(values), p.row_width * p.activation_bits
        chosen = row.word_select(read_group, each) if places.groups > 1 else row
        if p.windows:
            was_inside = Signal()
            with m.If(read_en):
                m.d.sync += was_inside.eq(inside)
            chosen = Mux(was_inside, chosen, 0)
        m.d.comb += [self.scan.values.eq(chosen), self.unload.values.eq(chosen)]
        return m

    def _counter(self, m: Module, restart: Value, step: Value, groups: int, name: str) -> tuple[Signal, Signal]:
        """Return group and word of the next row, which count on with every ``step``."""
        group, word = Signal(range(groups), name=f"{name}_group"), Signal(self.places.depth_bits, name=f"{name}_word")
        last = group == groups - 1
        with m.If(step):
            m.d.sync += [group.eq(Mux(last, 0, group + 1)), word.eq(word + last)]
        with m.If(restart):
            m.d.sync += [group.eq(0), word.eq(0)]
        return group, word

    def _windows(self, m: Module, restart: Value, step: Value) -> tuple[Value, Value]:
        """Return the address of the next row of a window, and whether it lies in the image."""
        m.submodules.windows = walk = WindowWalk(self.parameters)
        m.d.comb += [
            walk.window.eq(self.layer.window),
            walk.hold.eq(self.hold),
            walk.advance.eq(self.advance),
            walk.restart.eq(restart),
            walk.step.eq(step),
            self.last.eq(walk.last),
        ]
        return walk.address, walk.inside

    def _placed(self, word: Value, half: Value) -> Value:
        return Cat(word, half) if self.places.stores else word
