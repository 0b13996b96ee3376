"""The PE variants: one file each, one line each in this table."""

from qsim.arch.architecture import PEKind
from qsim.sim.pe import codebook, dense, pvq, sparse
from qsim.sim.pe.work import PEVariant

PE_VARIANTS: dict[PEKind, PEVariant] = {
    PEKind.DENSE: dense.VARIANT,
    PEKind.CODEBOOK: codebook.VARIANT,
    PEKind.SPARSE: sparse.VARIANT,
    PEKind.PVQ: pvq.VARIANT,
}
