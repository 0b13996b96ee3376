"""The sequencer under proof: whatever the descriptors say, nothing out of range is configured, and an error ends the run."""

from types import ModuleType

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from qsim.arch.architecture import PEKind
from rtl.formal.harnesses import Harness
from rtl.formal.rules import assert_soon
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces

CLEARS = 3  # most cycles that the array takes for draining all its rows, here
TIMEOUT = 3


def sequencer(source: ModuleType, kind: PEKind, *, streamed: bool = False) -> Harness:
    """Any descriptors, any input, an array that takes any time: the array only gets configurations that lie inside its memories, is
    started only with the one of this layer in place (and its whole codebook), and not after an error. With an error the run is over,
    all sums cleared, within a bounded number of cycles, ``done`` once; a run waits for nothing but input, output and, without a
    timeout, the array.
    """
    p = ArrayParameters(
        pes=2, kind=kind, columns=4, local_rows=3, weight_rows=2, entries_per_row=2, activation_bits=2, weight_bits=1, code_bits=1,
        index_bits=1, row_width=2, layers=2, pointers=4 if kind is PEKind.SPARSE else 0, bias_bits=1,
        streamed=streamed,
    )  # fmt: skip

    def rules(m: Module, unit: wiring.Component, choose: Signal) -> None:
        running, clearing = _assume_array(m, unit)
        waits, refused = _assume_transfers(m, unit, p)
        codes = source.ErrorCode
        failed = unit.error != codes.NONE
        word, written = unit.bus.word, unit.bus.valid
        layer = data.View(p.layer, word.data[: p.layer.size])
        configures = written & (word.unit == Unit.LAYER)
        in_run = unit.busy & ~failed
        m.d.comb += [
            Assume(~(unit.load.valid & unit.busy)),
            Assert(~written | (word.unit == Unit.LAYER) | ((word.unit == Unit.CODEBOOK) & (word.address < 1 << p.code_bits) & in_run)),
            Assert(~configures | _inside(p, layer, unit.descriptor.outputs, clears=~in_run)),
            Assert(~(written | _starts(unit, p)) | ~running),
            Assert(~_starts(unit, p) | in_run),
            Assert(~unit.input.start | (unit.descriptor.layer.scan_rows <= p.activation_rows)),
        ]
        _assert_configured(m, unit, p, configures, layer)
        was_refused = Signal()
        m.d.sync += was_refused.eq(refused)
        m.d.comb += Assert(~was_refused | failed)
        _assert_ends(m, unit, codes, failed, waits, running & ~clearing)

    return Harness(source.Sequencer(p), rules)


def _inside(p: ArrayParameters, layer: data.View, outputs: Value, clears: Value) -> Value:
    """Return whether nothing that a layer reads or writes lies outside its memory; what only clears must store nothing."""
    words = 1 << ActivationPlaces.of(p).depth_bits
    reads = [layer.scan_rows <= p.activation_rows, layer.columns <= layer.scan_rows * p.row_width]
    drains = [layer.drain_rows <= p.local_rows, layer.row_base + layer.drain_rows <= p.local_rows, layer.full_pes <= p.pes]
    runs = [layer.scan_rows > 0, layer.columns > 0, layer.drain_rows > 0, layer.full_pes > 0]
    stores = [layer.columns <= p.columns, layer.drain_rows <= words * ActivationPlaces.of(p).result_groups, outputs <= p.columns]
    stores.append(outputs == (layer.drain_rows - 1) * p.pes + layer.full_pes)
    if p.has_gaps:
        weights = (layer.column_base + layer.columns < 2 * p.pointer_pairs) & ~layer.column_base[0]
    else:
        places = layer.weight_base + layer.columns * layer.drain_rows
        weights = (layer.column_base == 0) & (places <= p.weight_rows * p.entries_per_row)
    return Cat(*reads, *drains).all() & Mux(clears, ~layer.store, Cat(*runs, *stores, weights).all())


def _starts(unit: wiring.Component, p: ArrayParameters) -> Value:
    """Return whether something is begun for a layer."""
    starts = unit.array.start | unit.input.start | unit.output.start
    return starts | unit.weights.start if p.streamed else starts


def _assume_array(m: Module, unit: wiring.Component) -> tuple[Signal, Signal]:
    """The array runs from the cycle after ``start`` or ``clear`` until a cycle of its choice, soon after ``clear``, or until it is reset.
    Return whether it runs, and whether it only clears.
    """
    array, running, clearing, since = unit.array, Signal(), Signal(), Signal(range(CLEARS + 1))
    m.d.comb += [
        Assume(array.busy <= running),
        Assume(~(running & clearing & (since == CLEARS)) | ~array.busy),
    ]
    m.d.sync += [running.eq(array.busy), since.eq(Mux(since == CLEARS, since, since + 1))]
    with m.If(array.start | array.clear):
        m.d.comb += Assert(~running)
        m.d.sync += [running.eq(1), clearing.eq(array.clear), since.eq(0)]
    with m.If(array.reset):
        m.d.sync += running.eq(0)
    first = Signal()
    m.d.sync += first.eq((array.start | array.clear) & ~array.reset)
    m.d.comb += Assume(~first | array.busy)
    return running, clearing


def _assume_transfers(m: Module, unit: wiring.Component, p: ArrayParameters) -> tuple[Value, Value]:
    """Input and output end only after they began, streamed weights at any time after, and their end stays; return whether one of them
    is waited for, and whether it was bad.
    """
    waits, refused = [], unit.input.done & (unit.input.early | unit.input.late)
    for name in ("input", "output", *(("weights",) if p.streamed else ())):
        part, active = getattr(unit, name), Signal(name=f"{name}_active")
        with m.If(part.done):
            m.d.sync += active.eq(0)
        with m.If(part.start):
            m.d.sync += active.eq(1)
        if name != "weights":
            m.d.comb += Assume(active | ~part.done)
        waits.append(active)
    if p.streamed:
        refused |= waits[-1] & unit.weights.done & Value.cast(unit.weights.error).any()
        with m.If(unit.weights.stop):
            m.d.sync += waits[-1].eq(0)
        waits[-1] = waits[-1] & (unit.timeout == 0)
        m.d.comb += Cover(unit.weights.start & (unit.layer == 1))
    return Cat(waits).any(), refused


def _assert_configured(m: Module, unit: wiring.Component, p: ArrayParameters, configures: Value, layer: data.View) -> None:
    """The array starts ``settle`` cycles after the last word of its configuration and its codebook."""
    present, codes, since = Signal(), Signal(1 << p.code_bits), Signal(range(unit.settle + 1))
    configured = unit.descriptor.layer.as_value() == layer.as_value()
    written = unit.bus.valid & (unit.bus.word.unit == Unit.CODEBOOK)
    m.d.sync += since.eq(Mux(since == unit.settle, since, since + 1))
    with m.If(configures):
        m.d.sync += [present.eq(configured), codes.eq(0), since.eq(0)]
    with m.If(written):
        m.d.sync += [codes.eq(codes | (1 << unit.bus.word.address)), since.eq(0)]
    with m.If(unit.array.start):
        m.d.sync += present.eq(0)
    whole = codes.all() if p.has_codebook else 1
    m.d.comb += [
        Assert(~unit.array.start | (present & whole & (since >= unit.settle - 1))),
        Assert(~written | present),
        Cover(unit.array.start & (unit.layer == 1)),
    ]


def _assert_ends(m: Module, unit: wiring.Component, codes: type, failed: Value, waits: Value, runs: Value) -> None:
    """A run with an error ends soon; one without waits only for others; ``done`` comes once, with the end of ``busy``."""
    was_busy, was_done, was, limit = Signal(), Signal(), Signal(codes), Signal(32)
    m.d.sync += [was_busy.eq(unit.busy), was_done.eq(unit.done), was.eq(unit.error), limit.eq(unit.timeout)]
    m.d.comb += [
        Assume(~unit.busy | (unit.timeout == limit)),
        Assume(unit.timeout <= TIMEOUT),
        Assert((was_busy & ~unit.busy) == was_done),
        Assert(~unit.done | unit.busy),
        Assert(~was_busy | (was == codes.NONE) | (unit.error == was)),
        Assert(~(unit.ready & unit.busy)),
    ]
    clear = unit.settle + 3 + CLEARS
    assert_soon(m, unit.busy & failed, clear + 1, "halt")
    assert_soon(m, ~unit.busy & ~unit.ready, clear + 2, "ready")
    layer = unit.busy & ~waits & ~unit.layer_done & ~failed & ~(runs & (unit.timeout == 0))
    assert_soon(m, layer, unit.setup_latency + 2 * TIMEOUT + unit.settle + 6, "layer")
    assert_soon(m, runs & (unit.timeout != 0) & ~failed, TIMEOUT + 3, "run")
    for error in (codes.ILLEGAL_DESCRIPTOR, codes.TOO_LARGE, codes.INPUT_ENDS_EARLY, codes.INPUT_ENDS_LATE, codes.TIMEOUT):
        m.d.comb += Cover(unit.done & (unit.error == error))
    m.d.comb += Cover(unit.done & ~failed)
