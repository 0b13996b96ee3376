"""Pyramid vectors in hardware: ``dot`` multiplies by one without a multiplier, ``index`` finds one from its number."""
