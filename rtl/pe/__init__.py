"""The processing elements of the broadcast array: one file each, one line each in this table; and one file each of their units."""

from qsim.arch.architecture import PEKind
from rtl.pe.codebook import CodebookMac
from rtl.pe.dense import DenseMac
from rtl.pe.element import Element
from rtl.pe.pvq import PyramidMac
from rtl.pe.sparse import SparseMac

PE_VARIANTS: dict[PEKind, type[Element]] = {
    PEKind.DENSE: DenseMac,
    PEKind.CODEBOOK: CodebookMac,
    PEKind.SPARSE: SparseMac,
    PEKind.PVQ: PyramidMac,
}
