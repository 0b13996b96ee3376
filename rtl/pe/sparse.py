"""The sparse PE: entries of non-zero weights for non-zero activations only, after Han et al., "EIE", ISCA 2016."""

from rtl.pe.codebook import CodebookMac


class SparseMac(CodebookMac):
    """Pointer fetch, entry reader with gaps, codebook, multiply-accumulate in a row; slot 0 of the codebook is the fillers' zero.

    A column costs its entries, fillers included; its place is read from the pointer memory. Otherwise as
    :class:`~rtl.pe.codebook.CodebookMac`, timing as :class:`~rtl.pe.element.Element`.
    """
