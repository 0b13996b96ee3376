"""Tests of qsim.energy."""
