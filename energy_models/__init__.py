"""Prices of hardware actions, one TOML file a technology; every value carries its unit, access width and source.

A file gives each action of :class:`qsim.actions.Action` one or more costs::

    [[int_add]]
    pj = 0.1  # energy of one action
    width_bits = 32  # operand or access width the value was stated for
    scaling = "linear"  # how it carries over to other widths: none, linear, quadratic (qsim.energy.scaling)
    source = "..."  # where the number was read
    derived = true  # only where the value is arithmetic on a published one, which `source` then states

SRAM costs may carry ``capacity_bytes``; the price of other sizes is then interpolated, and ``outside`` says what happens beyond the range.
Instead of SRAM costs a file may name a table (``[sram_table]``) of memory sizes and widths, which also gives leakage.

:data:`TECHNOLOGIES` names the files shipped here. Another technology is one more file and one more line, or any TOML file given by path.
``cacti_sram.csv`` is the output of CACTI 7 (plain RAM, one bank, one read-write port, default optimisation weights): energy in pJ per
access of the whole width, leakage in mW for the bank.
"""

TECHNOLOGIES = {
    "han2015-45nm": "han2015-45nm.toml",
    "horowitz-45nm": "horowitz-45nm.toml",
    "cacti-45nm": "cacti-45nm.toml",
}
