"""Energy: counts of accesses times the prices of a technology.

Read in this order: :mod:`qsim.energy.scaling` (how a price carries over to another width), :mod:`qsim.energy.sram` (prices between measured
memory sizes), :mod:`qsim.energy.technology` (a table of prices), :mod:`qsim.energy.loader` (TOML to table, strictly),
:mod:`qsim.energy.account` (the multiplication).
"""
