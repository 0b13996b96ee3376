"""Tests of qsim.encode."""
