"""Bugs planted in the RTL, one at a time, and the tests that must catch them: ``make mutate``."""

from mutation.table_of_array import OF_ARRAY
from mutation.table_of_elements import OF_ELEMENTS
from mutation.table_of_top import OF_TOP
from mutation.table_of_units import OF_UNITS

MUTATIONS = {mutation.name: mutation for mutation in (*OF_UNITS, *OF_ELEMENTS, *OF_ARRAY, *OF_TOP)}
