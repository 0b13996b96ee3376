"""The drain: from the sums of a layer to its outputs, one local row of all PEs a cycle."""

import itertools

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from qsim.formats.fixed import FixedFormat, Rounding
from rtl.load import LoadSignature, Unit, connect_memory
from rtl.near import near
from rtl.parameters import MAX_LEFT_SHIFT, MAX_RIGHT_SHIFT, ArrayParameters
from rtl.pe.accumulate import Accumulator
from rtl.shapes import fixed_shape, require_saturating

COARSE = 16  # requantisation shifts by multiples of this, then by the rest


class DrainLane(wiring.Component):
    """Scale (if the array has scales), bias, requantisation and activation function of one PE's sums.

    ``output = min(limit, relu(requantise(sum * scale + (bias << bias_shift))))`` with ``requantise`` exactly as
    ``FixedFormat.requantise``: a right shift rounds by the format's rule, a left shift is exact, then the value saturates. Saturation
    to the positive side is the limit that every layer has. No intermediate overflows.

    Timing
    ------
    Bias and scale that are stored in ``row`` are read in cycle ``k``; ``sum`` belongs to them in ``k + sum_delay``; ``output`` in
    ``k + latency``.

    Parameters
    ----------
    parameters : ArrayParameters
    form : FixedFormat
        Width, rounding and overflow of the output; its fraction is in the run-time shifts.
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    row : ``In(parameters.local_row)``
    sum : ``In(parameters.accumulator)``
    layer : ``In(parameters.layer)``
        ``bias_shift``, ``left``, ``right``, ``relu`` and ``limit`` are read.
    load : ``In(LoadSignature(parameters))``
        Writes unit BIAS, with scales also SCALE.
    output : ``Out(fixed_shape(form))``

    Attributes
    ----------
    bounds : Signal(4)
        The next ``output`` is bounded: the largest of the format, the least, a smaller limit, ReLU's zero. To observe, not a port.

    Raises
    ------
    MachineError
        If ``form`` is not signed and saturating.
    """

    sum_delay = Accumulator.drain_latency
    scale_latency = 2

    def __init__(self, parameters: ArrayParameters, form: FixedFormat, pe: int) -> None:
        require_saturating(form, "layer.output_format")
        self.parameters = parameters
        self.form = form
        self.pe = pe
        self.bounds = Signal(4)
        self.latency = self.sum_delay + 5 + (self.scale_latency if parameters.has_scales else 0)
        super().__init__(
            {
                "row": In(parameters.local_row),
                "sum": In(parameters.accumulator),
                "layer": In(parameters.layer),
                "load": In(LoadSignature(parameters)),
                "output": Out(fixed_shape(form)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the pipeline, a register after every step."""
        m = Module()
        p, layer = self.parameters, self.layer
        bias = self._stored(m, "biases", signed(p.bias_bits), Unit.BIAS)
        sums = self._delayed(m, self.sum, 1)
        if p.has_scales:
            scale = self._stored(m, "scales", unsigned(p.scale_bits), Unit.SCALE)
            sums = self._delayed(m, sums * self._delayed(m, scale, 1), self.scale_latency)
            bias = self._delayed(m, bias, self.scale_latency)
        aligned = self._delayed(m, bias << near(m, layer.bias_shift), 1)
        self._requantise(m, self._delayed(m, aligned + sums, 1))
        return m

    def _stored(self, m: Module, name: str, shape: Shape, unit: Unit) -> Value:
        """Add a memory of one word a row; return the word of ``row``, two cycles later."""
        m.submodules[name] = words = memory.Memory(shape=shape, depth=self.parameters.local_rows, init=[])
        connect_memory(m, self.load, words.write_port(), unit, self.pe)
        port = words.read_port()
        m.d.comb += port.addr.eq(self.row)
        return self._delayed(m, port.data, 1)

    @staticmethod
    def _delayed(m: Module, value: Value, cycles: int) -> Value:
        for _ in range(cycles):
            register = Signal(value.shape(), reset_less=True)
            m.d.sync += register.eq(value)
            value = register
        return value

    def _requantise(self, m: Module, total: Value) -> None:
        """Shift in two steps, then round, saturate and apply the activation function.

        With one bit more after the point than the output, ``floor(2 * total * 2**(left - right))``, rounding is ``(x + 1) >> 1``: a short
        adder behind the shifter instead of a wide one before it. A right shift by whole ``COARSE`` selects a window of the bits that
        a shift by less than ``COARSE`` can still bring into the output; where the bits above it are not its sign, the output saturates.
        """
        layer, width = self.layer, self.form.width
        shift = (layer.right + MAX_LEFT_SHIFT - layer.left)[: (MAX_RIGHT_SHIFT + MAX_LEFT_SHIFT).bit_length()]
        amount, relu, limit = near(m, shift), near(m, layer.relu), near(m, layer.limit)
        scaled = Cat(Const(0, MAX_LEFT_SHIFT + 1), total).as_signed()  # shifted to the right by ``amount``: the doubled output
        windows = Array(
            _window(scaled >> start, width + 2 + COARSE - 1) for start in range(0, MAX_RIGHT_SHIFT + MAX_LEFT_SHIFT + 1, COARSE)
        )
        window, doubled = (Signal(signed(width + 2 + COARSE - 1), reset_less=True) for _ in range(2))
        exceeds, overflows, output = Signal(reset_less=True), Signal(reset_less=True), Signal(signed(width), reset_less=True)
        rounded = Signal(signed(width + 1))
        chosen = windows[amount >> exact_log2(COARSE)]
        m.d.sync += [
            Cat(window, exceeds).eq(chosen),
            doubled.eq(window >> amount[: exact_log2(COARSE)]),
            overflows.eq(exceeds),
        ]
        half_up, negative = int(self.form.rounding is Rounding.HALF_UP), doubled[-1]
        above = doubled[width:]  # bits that the doubled output has no room for, and its sign
        lowest = -1 << (width - 1)
        m.d.comb += self.output.eq(output)
        m.d.comb += rounded.eq((doubled[: width + 1].as_signed() + half_up) >> 1)
        # Beside the rounding adder, not behind it: (x + 1) >> 1 is above the limit if and only if x is above twice the limit.
        beyond = overflows | (doubled > ((limit << 1) | (1 - half_up)))
        below = overflows | ~above.all()
        limited, is_largest = beyond & ~negative, limit.all()
        m.d.comb += self.bounds.eq(Cat(limited & is_largest, negative & below & ~relu, limited & ~is_largest, negative & relu))
        m.d.sync += output.eq(Mux(negative, Mux(relu, 0, Mux(below, lowest, rounded)), Mux(beyond, limit, rounded)))


def _window(value: Value, width: int) -> Value:
    """Return the low bits of a signed ``value`` with its sign at the top, and above them one bit: whether it does not fit them."""
    value = value if len(value) > width else Cat(value, value[-1].replicate(width - len(value) + 1)).as_signed()
    above = value[width - 1 :]
    return Cat(value[: width - 1], value[-1], above.any() & ~above.all())


class Drain(wiring.Component):
    """Counts through the local rows and passes every PE's sums through its lane.

    Timing
    ------
    ``start`` in cycle ``d - 1`` makes row 0 be asked for in ``d``, row ``r`` in ``d + r``; its outputs are on ``result`` in
    ``d + r + latency``. ``done`` in the cycle of the last result.

    Parameters
    ----------
    parameters : ArrayParameters
    form : FixedFormat
        Format of the outputs (see :class:`DrainLane`).

    Members
    -------
    start : ``In(1)``
        Only while no row is under way, and with ``layer`` stable for two cycles.
    layer : ``In(parameters.layer)``
        ``drain_rows`` (at least 1), ``row_base`` and what :class:`DrainLane` reads.
    loads : ``In(LoadSignature(parameters)).array(pes)``
        Of each lane.
    asked : ``Out({"valid", "row"}).array(pes)``
        To each PE: the local row whose sums are wanted, the same for all.
    sums : ``In(parameters.accumulator).array(pes)``
    result : ``Out({"valid", "row", "values"})``
        ``values[p]`` is output ``row * pes + p`` of the layer.
    done : ``Out(1)``
    """

    def __init__(self, parameters: ArrayParameters, form: FixedFormat) -> None:
        self.parameters = parameters
        self.form = form
        self.lanes = [DrainLane(parameters, form, pe) for pe in range(parameters.pes)]
        self.latency = self.lanes[0].latency
        values = data.ArrayLayout(fixed_shape(form), parameters.pes)
        super().__init__(
            {
                "start": In(1),
                "layer": In(parameters.layer),
                "loads": In(LoadSignature(parameters)).array(parameters.pes),
                "asked": Out(wiring.Signature({"valid": Out(1), "row": Out(parameters.local_row)})).array(parameters.pes),
                "sums": In(parameters.accumulator).array(parameters.pes),
                "result": Out(wiring.Signature({"valid": Out(1), "row": Out(parameters.local_row), "values": Out(values)})),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counter and a delay line of row numbers beside the lanes."""
        m = Module()
        stage = data.StructLayout({"last": 1, "row": self.parameters.local_row})
        stages = [Signal(stage, name=f"stage{number}", reset_less=True) for number in range(self.latency)]
        asked, result, valid = Signal(stage), stages[-1], Signal(self.latency)
        # What is asked next goes to registers of their own at each PE. ``start`` comes late in its cycle and decides one bit only.
        counting, (row, stored) = Signal(), (Signal(self.parameters.local_row, reset_less=True) for _ in range(2))
        counts_next, (row_next, stored_next) = Signal(), (Signal(self.parameters.local_row) for _ in range(2))
        m.d.comb += [
            counts_next.eq(self.start | (counting & ~asked.last)),
            row_next.eq(Mux(counting, row + 1, 0)),
            stored_next.eq(Mux(counting, stored + 1, self.layer.row_base)),
            asked.row.eq(row),
            asked.last.eq(row + 1 == self.layer.drain_rows),
            self.result.valid.eq(valid[-1]),
            self.result.row.eq(result.row),
            self.done.eq(valid[-1] & result.last),
        ]
        for before, after in itertools.pairwise([asked, *stages]):
            m.d.sync += after.eq(before)
        m.d.sync += valid.eq(Cat(counting, valid))
        m.d.sync += [counting.eq(counts_next), row.eq(row_next), stored.eq(stored_next)]
        for pe, lane in enumerate(self.lanes):
            m.submodules[f"lane{pe}"] = lane
            wiring.connect(m, wiring.flipped(self.loads[pe]), lane.load)
            m.d.comb += [
                self.asked[pe].valid.eq(near(m, counts_next, reset_less=False)),
                self.asked[pe].row.eq(near(m, row_next)),
                lane.row.eq(near(m, stored_next)),
                lane.sum.eq(self.sums[pe]),
                lane.layer.eq(self.layer),
                self.result.values[pe].eq(lane.output),
            ]
        return m
