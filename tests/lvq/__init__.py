"""Tests of qsim.lvq."""
