"""Proofs about the stream components: ``rules`` says what, ``harnesses`` and ``decoder`` about what, ``prover`` how.

``python -m rtl.formal`` runs them all.
"""
