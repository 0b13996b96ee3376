"""Iterative product quantisation: vectors weighted with what they meet, layer after layer ("And the bit goes down", Stock et al., 2019).

One codebook of ``entries`` vectors of ``length`` neighbouring weights a layer (arXiv:1907.05686, section 3), as ``vq``, but what is
minimised is the error of the layer's *results*, ``|x (W - What)|^2``, not that of its weights (:mod:`qsim.compress.weighted_vectors`). The
inputs x are those that the layer meets once the layers before it are quantised; no label is read. ``sweeps`` go beyond the paper: every
vector is chosen again with what the other errors of its row do (0 for the paper's). Then the vectors are fine-tuned: with
``[finetune] teacher_weight = 1`` by the answers of the float network alone, as in the paper (section 3.3), which also tunes after each
layer; here all layers are tuned together. Under ``[[quantise.layers]]`` and while training through the quantiser, the inputs are those of
the float network.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qsim.compress.layer_inputs import input_moments
from qsim.compress.quantizers.vector import VectorKMeans
from qsim.compress.shared import Quantised, QuantizerInput
from qsim.compress.through import Share, biases_of, train_through
from qsim.compress.vectors import VectorWeights
from qsim.compress.weighted_vectors import Moments, cluster_weighted, settle
from qsim.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class IterativeProductQuantisation(VectorKMeans):
    """One codebook of ``entries`` vectors of ``length`` neighbouring weights, found by the error of the layer's results."""

    sweeps: int = 3

    def __post_init__(self) -> None:
        VectorKMeans.__post_init__(self)
        if self.sweeps < 0:
            raise RecipeError(path="quantise.sweeps", rule="at least 0", value=self.sweeps)

    def quantise(self, given: QuantizerInput) -> Quantised:
        """Quantise each layer with the inputs that the quantised layers before it give."""
        layout, found = given.layout, list[VectorWeights]()
        parameters = train_through(self, given, self.sharing(given))
        effective = parameters.clone()
        for place, weight in enumerate(layout.weights(parameters)):
            gram = input_moments(layout, effective, place, given.unlabelled)
            found.append(self.weighted(given, place, weight, gram))
            layout.weights(effective)[place].copy_(found[-1].weights())
            given.progress("quantise", place + 1, len(layout.names))
        return Quantised(tuple(found), biases_of(layout, parameters))

    def sharing(self, given: QuantizerInput, parameters: Tensor | None = None) -> Share:
        """Return the clustering of one layer with the inputs it has in the float network."""
        origin, known = given.parameters if parameters is None else parameters, dict[int, Tensor]()

        def share(place: int, weight: Tensor) -> VectorWeights:
            if place not in known:
                known[place] = input_moments(given.layout, origin, place, given.unlabelled)
            return self.weighted(given, place, weight, known[place])

        return share

    def weighted(self, given: QuantizerInput, place: int, weight: Tensor, gram: Tensor) -> VectorWeights:
        """Return the shared ``weight`` [rows, columns] of layer ``place``; its inputs have moments ``gram`` [groups, columns, columns]."""
        self.check_kept(given, place)
        (rows, cols), groups, width = weight.shape, len(gram), self.width(weight.shape[1])
        segments = cols // width
        points = weight.numpy().reshape(groups, rows // groups, segments, width).transpose(0, 2, 1, 3).reshape(-1, rows // groups, width)
        found = cluster_weighted(points, segment_moments(gram, width), self.entries, self.iterations, given.random)
        chosen = found.indices.reshape(groups, segments, rows // groups).transpose(0, 2, 1)
        parts = zip(weight.double().numpy().reshape(groups, -1, cols), gram.double().numpy(), chosen, strict=True)
        indices = np.stack([settle(part, moments, found.vectors, before, self.sweeps) for part, moments, before in parts])
        return VectorWeights(found.vectors[None], indices.reshape(1, -1), (rows, cols), 1)


def segment_moments(gram: Tensor, width: int) -> Moments:
    """Return the blocks [groups * segments, width, width] on the diagonal of ``gram`` [groups, columns, columns]."""
    groups, cols = gram.shape[:2]
    blocks = gram.double().view(groups, cols // width, width, cols // width, width).diagonal(dim1=1, dim2=3)
    moments: Moments = blocks.permute(0, 3, 1, 2).reshape(-1, width, width).numpy()
    return moments
