"""Tests of qsim.formats."""
