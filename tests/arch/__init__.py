"""Tests of the machine descriptions."""
