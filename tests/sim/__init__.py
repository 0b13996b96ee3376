"""Tests of qsim.sim."""
