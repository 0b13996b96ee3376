"""From qsim's number formats to hardware: shapes, saturation and requantisation of Amaranth values."""

from amaranth.hdl import Cat, Mux, Shape, Value, ValueLike

from qsim.errors import MachineError
from qsim.formats.fixed import FixedFormat, Overflow


def fixed_shape(form: FixedFormat) -> Shape:
    """Return the shape of an integer code of ``form``."""
    return Shape(form.width, signed=form.signed)


def require_saturating(form: FixedFormat, path: str) -> None:
    """Refuse a format whose overflow rule the hardware does not have.

    Raises :class:`MachineError` for a wrapping or unsigned format.
    """
    if form.overflow is not Overflow.SATURATE or not form.signed:
        raise MachineError(path=path, rule="a signed, saturating format", value=f"{form} {form.overflow}")


def saturated(value: ValueLike, width: int) -> Value:
    """Return a signed ``value`` saturated to ``width`` bits, as ``FixedFormat.fit`` does.

    It overflows exactly when the bits from the new sign bit up are not all equal; with one spare bit that is one XOR.
    """
    value = Value.cast(value)
    if len(value) <= width:
        return value.as_signed()
    top = value[width - 1 :]
    overflows = top.any() & ~top.all()
    limit = Cat((~value[-1]).replicate(width - 1), value[-1])  # 0111... for a positive value, 1000... for a negative one
    return Mux(overflows, limit, value[:width]).as_signed()
