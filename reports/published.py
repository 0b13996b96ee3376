"""What the papers print, to stand beside our numbers. Never a target: nothing in the project is fitted to these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRow:
    """One layer of a compression table in the columns of Deep Compression's Tables 2 to 5.

    ``P``: pruning, ``Q``: quantisation (weight sharing), ``H``: Huffman coding. ``kept_percent``: weights that pruning leaves; bits are per
    kept weight and per relative index; rates are percent of the float32 size. None where a recipe has no such stage or the paper no number.
    """

    layer: str
    weights: int
    kept_percent: float | None = None
    weight_bits_pq: float | None = None
    weight_bits_pqh: float | None = None
    index_bits_pq: float | None = None
    index_bits_pqh: float | None = None
    rate_pq_percent: float | None = None
    rate_pqh_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCompression:
    """A published table with its citation and remarks; the last row is the total."""

    citation: str
    rows: tuple[CompressionRow, ...]
    remark: str


def _row(layer: str, weights: int, *values: float) -> CompressionRow:
    kept, weight_pq, weight_pqh, index_pq, index_pqh, rate_pq, rate_pqh = values
    return CompressionRow(
        layer=layer,
        weights=weights,
        kept_percent=kept,
        weight_bits_pq=weight_pq,
        weight_bits_pqh=weight_pqh,
        index_bits_pq=index_pq,
        index_bits_pqh=index_pqh,
        rate_pq_percent=rate_pq,
        rate_pqh_percent=rate_pqh,
    )


PUBLISHED_COMPRESSION = {
    "lenet-300-100": PublishedCompression(
        citation="Han, Mao, Dally: Deep Compression, ICLR 2016 (arXiv:1510.00149v5), Tables 1 and 2",
        rows=(
            _row("ip1", 235_000, 8, 6, 4.4, 5, 3.7, 3.1, 2.32),
            _row("ip2", 30_000, 9, 6, 4.4, 5, 4.3, 3.8, 3.04),
            _row("ip3", 1_000, 26, 6, 4.3, 5, 3.2, 15.7, 12.70),
            _row("Total", 266_000, 8, 6, 5.1, 5, 3.7, 3.1, 2.49),
        ),
        remark=(
            "Published: 1,070 KB to 27 KB, a factor of 40, at 1.64 % top-1 error before and 1.58 % after. The paper's total of 5.1 weight "
            "bits after Huffman coding is printed as it stands there, although it exceeds every row."
        ),
    ),
    "lenet-5": PublishedCompression(
        citation="Han, Mao, Dally: Deep Compression, ICLR 2016 (arXiv:1510.00149v5), Tables 1 and 3",
        rows=(
            _row("conv1", 500, 66, 8, 7.2, 5, 1.5, 78.5, 67.45),
            _row("conv2", 25_000, 12, 8, 7.2, 5, 3.9, 6.0, 5.28),
            _row("ip1", 400_000, 8, 5, 4.5, 5, 4.5, 2.7, 2.45),
            _row("ip2", 5_000, 19, 5, 5.2, 5, 3.7, 6.9, 6.13),
            _row("Total", 431_000, 8, 5.3, 4.1, 5, 4.4, 3.05, 2.55),
        ),
        remark=(
            "Published: 1,720 KB to 44 KB, a factor of 39, at 0.80 % top-1 error before and 0.74 % after. The paper's total of 4.1 weight "
            "bits after Huffman coding is printed as it stands there, although every row exceeds it."
        ),
    ),
}
