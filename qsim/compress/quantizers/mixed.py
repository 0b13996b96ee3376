"""Affine quantisation with bits of their own for each layer, chosen under a budget of bytes (:mod:`qsim.compress.mixed`)."""

from dataclasses import dataclass

from torch import Tensor

from qsim.compress.mixed import Budget, Sensitivity, choose_shared
from qsim.compress.quantizers.affine import MAX_BITS, Affine, AffineSettings, quantise_layers
from qsim.compress.shared import Quantised, QuantizerInput, SharedWeights
from qsim.compress.through import Share
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedAffine(AffineSettings):
    """One of ``choices`` bits a layer, so that all weights together take at most a budget in the file's Huffman code.

    The budget is ``budget_bytes``, or ``budget_bits`` a weight, pruned ones counted. It includes codes and codebooks, not biases and
    headers. The choice is made once, before training through the quantiser and fine-tuning. ``by`` says what a layer's bits are worth;
    ``samples`` of the training split are read for the Hessian.
    """

    budget_bytes: int = 0
    budget_bits: float = 0.0
    choices: tuple[int, ...] = (2, 3, 4, 5, 6)
    by: Sensitivity = Sensitivity.HESSIAN
    samples: int = 1_000

    def __post_init__(self) -> None:
        AffineSettings.__post_init__(self)
        if not Budget(self.budget_bytes, self.budget_bits):
            raise RecipeError(path="quantise.budget_bytes", rule="above 0, or quantise.budget_bits", value=self.budget_bytes)
        if not self.choices or not all(2 <= bits <= MAX_BITS for bits in self.choices):
            raise RecipeError(path="quantise.choices", rule=f"some of 2 to {MAX_BITS}", value=list(self.choices))
        if self.samples < 1:
            raise RecipeError(path="quantise.samples", rule="at least 1", value=self.samples)

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Choose the bits, then quantise each layer."""
        return quantise_layers(self, given, [self.with_bits(bits) for bits in self.bits(given)])

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Refuse: the bits are chosen for all layers together."""
        raise RecipeError(path="quantise.layers", rule="left out with mixed, which chooses for all layers", value="patterns")

    def bits(self, given: QuantizerInput) -> tuple[int, ...]:
        """Return the bits of each layer."""
        options = [self.with_bits(bits) for bits in self.choices]
        budget, tried = Budget(self.budget_bytes, self.budget_bits), list[list[SharedWeights]]()
        for place, weight in enumerate(given.layout.weights(given.parameters)):
            tried.append([how.share(given, place, weight) for how in options])
            given.progress("choose", place + 1, len(given.layout.names))
        return tuple(self.choices[option] for option in choose_shared(self.by, given, self.samples, budget, tried))

    def with_bits(self, bits: int) -> Affine:
        """Return the same settings with ``bits`` bits."""
        return Affine(
            symmetric=self.symmetric, granularity=self.granularity, group=self.group, range=self.range, rounding=self.rounding, bits=bits
        )  # fmt: skip
