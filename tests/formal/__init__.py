"""Tests of rtl.formal."""
