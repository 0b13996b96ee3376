"""Unit conversion: the only place where factors of ten meet names."""

PJ_PER_J = 1e12
NS_PER_S = 1e9
BITS_PER_BYTE = 8


def si(value: float, unit: str) -> str:
    """Return ``value`` with up to three significant digits and an SI prefix, e.g. ``si(1.5e-6, "J") == "1.5 uJ"``."""
    if value == 0:
        return f"0 {unit}"
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value / 1e-12:.3g} p{unit}"
