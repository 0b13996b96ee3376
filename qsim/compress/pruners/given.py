"""No pruning: every weight is kept, or those that are not zero already."""

from dataclasses import dataclass

from qsim.compress.prune import Pruned, PruningInput


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPruning:
    """Keep every weight."""

    def prune(self, given: PruningInput) -> Pruned:
        """Return the network as it is."""
        return Pruned(given.parameters, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepZeros:
    """Take the zeros of the given weights as pruned: for a network that was pruned before."""

    def prune(self, given: PruningInput) -> Pruned:
        """Return the network as it is, with the masks of what is not zero."""
        return Pruned(given.parameters, tuple(weight.numpy() != 0 for weight in given.layout.weights(given.parameters)))
