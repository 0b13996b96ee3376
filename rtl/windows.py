"""Convolutions: the addresses of the activation rows that a window reads, for one output pixel after the other.

Activations lie channels last; the channels of a pixel take whole rows of the activation memory, its *place*. A window reads the places of
its taps, those of a line of the kernel after those of the line above, and zeros where a tap lies in the padding.
"""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.parameters import COORDINATE_BITS, ArrayParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowJob:
    """A convolution in plain integers: an image of ``height`` x ``width`` pixels of ``channels``, and how the window moves on it.

    ``kernel``, ``stride``, ``dilation``, ``output`` (pixels): (vertical, horizontal); ``padding``: (top, left) in pixels.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    output: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.output[0] * self.output[1]

    def place_rows(self, row_width: int) -> int:
        """Rows of ``row_width`` activations that a pixel takes."""
        return -(-self.channels // row_width)

    def rows(self, row_width: int) -> int:
        """Rows of a window: of the padding too."""
        return self.kernel[0] * self.kernel[1] * self.place_rows(row_width)

    def fields(self, parameters: ArrayParameters) -> dict[str, int]:
        """Return the configuration :attr:`ArrayParameters.window`; addresses modulo the memory's size."""
        rows, mask = self.place_rows(parameters.row_width), (1 << parameters.row_address.width) - 1
        y, x = (-before & ((1 << COORDINATE_BITS) - 1) for before in self.padding)
        return {
            "height": self.height,
            "width": self.width,
            "place_rows": rows,
            "taps": self.kernel[1],
            "y": y,
            "x": x,
            "step_y": self.dilation[0],
            "step_x": self.dilation[1],
            "stride_y": self.stride[0],
            "stride_x": self.stride[1],
            "output_width": self.output[1],
            "pixels": self.pixels,
            "first": -(self.padding[0] * self.width + self.padding[1]) * rows & mask,
            "next_tap": (self.dilation[1] * rows - rows + 1) & mask,
            "next_line": self.dilation[0] * self.width * rows & mask,
            "next_pixel": self.stride[1] * rows & mask,
            "next_pixel_line": self.stride[0] * self.width * rows & mask,
        }


class WindowWalk(wiring.Component):
    """Walks over the rows of one window after the other.

    Timing
    ------
    While ``hold``, the first window is the next one; ``advance`` makes it the following one. From the cycle after ``restart``, ``address``
    and ``inside`` are those of the first row of the next window, from the cycle after ``step`` those of the following row.

    Parameters
    ----------
    parameters : ArrayParameters
        With ``windows``.

    Members
    -------
    window : ``In(parameters.window)``
    hold, restart, advance, step : ``In(1)``
        ``advance`` not in the cycle of ``restart``.
    address : ``Out(parameters.row_address)``
    inside : ``Out(1)``
        The row is one of the image.
    last : ``Out(1)``
        The window that ``restart`` began is the last one.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "window": In(parameters.window),
                "hold": In(1),
                "restart": In(1),
                "advance": In(1),
                "step": In(1),
                "address": Out(parameters.row_address),
                "inside": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Keep the corner of the next window, and where the walk over this one is."""
        m = Module()
        window = self.window
        place = data.StructLayout({"y": signed(COORDINATE_BITS), "x": signed(COORDINATE_BITS), "address": self.parameters.row_address})
        corner, line = Signal(place, reset_less=True), Signal(self.parameters.row_address, reset_less=True)
        pixels_left, across = Signal.like(window.pixels, reset_less=True), Signal.like(window.output_width, reset_less=True)
        ends_line = across == 1
        with m.If(self.hold):
            m.d.sync += [corner.y.eq(window.y), corner.x.eq(window.x), corner.address.eq(window.first), line.eq(window.first)]
            m.d.sync += [pixels_left.eq(window.pixels), across.eq(window.output_width)]
        with m.Elif(self.advance):
            next_line = line + window.next_pixel_line
            m.d.sync += [
                pixels_left.eq(pixels_left - 1),
                across.eq(Mux(ends_line, window.output_width, across - 1)),
                corner.x.eq(Mux(ends_line, window.x, corner.x + window.stride_x)),
                corner.address.eq(Mux(ends_line, next_line, corner.address + window.next_pixel)),
            ]
            with m.If(ends_line):
                m.d.sync += [line.eq(next_line), corner.y.eq(corner.y + window.stride_y)]
        m.d.comb += self.last.eq(pixels_left == 1)
        self._walk(m, corner)
        return m

    def _walk(self, m: Module, corner: data.View) -> None:
        """Go through rows of a place, places of a line, lines of the window."""
        window = self.window
        y, x = (Signal(signed(COORDINATE_BITS), name=name, reset_less=True) for name in "yx")
        address, line = (Signal(self.parameters.row_address, name=name, reset_less=True) for name in ("walk", "walk_line"))
        rows_left, taps_left = Signal.like(window.place_rows, reset_less=True), Signal.like(window.taps, reset_less=True)
        with m.If(self.step):
            m.d.sync += [rows_left.eq(rows_left - 1), address.eq(address + 1)]
            with m.If(rows_left == 1):
                m.d.sync += [
                    rows_left.eq(window.place_rows),
                    taps_left.eq(taps_left - 1),
                    x.eq(x + window.step_x),
                    address.eq(address + window.next_tap),
                ]
                with m.If(taps_left == 1):
                    below = line + window.next_line
                    m.d.sync += [taps_left.eq(window.taps), x.eq(corner.x), y.eq(y + window.step_y), address.eq(below), line.eq(below)]
        with m.If(self.restart):
            m.d.sync += [rows_left.eq(window.place_rows), taps_left.eq(window.taps)]
            m.d.sync += [y.eq(corner.y), x.eq(corner.x), address.eq(corner.address), line.eq(corner.address)]
        m.d.comb += [
            self.address.eq(address),
            self.inside.eq((y >= 0) & (y < window.height) & (x >= 0) & (x < window.width)),
        ]
