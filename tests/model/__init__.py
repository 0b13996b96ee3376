"""Tests of qsim.model."""
