"""Bias correction: quantised weights shift the mean of each result; the bias takes it back.

With x the inputs of a layer in the original network and y those in the quantised one, the mean result moves by
``E[W' y] - E[W x] = (W' - W) E[y] + W (E[y] - E[x])``, which is subtracted from the bias (Nagel et al., Data-free quantization, ICCV 2019,
section 4.2: empirical bias correction). Layers are corrected one after the other, so that each sees the corrected ones before it. It
reads inputs without labels.
"""

import torch
from torch import Tensor

from qsim.compress.finetune import effective
from qsim.compress.layer_inputs import means
from qsim.compress.network import Layout, Samples
from qsim.compress.shared import Quantised


def correct_biases(layout: Layout, original: Tensor, quantised: Quantised, samples: Samples) -> None:
    """Change the biases of ``quantised`` in place so that mean results over ``samples`` are those of the flat parameters ``original``."""
    before, biases = layout.weights(original), layout.biases(original)
    current = effective(layout, quantised)
    after, corrected = layout.weights(current), layout.biases(current)
    for place in range(len(layout.names)):
        wanted = biases[place] + _mean_products(before[place], means(layout, original, place, samples))
        corrected[place].copy_(wanted - _mean_products(after[place], means(layout, current, place, samples)))
    quantised.biases.copy_(torch.cat(corrected))


def _mean_products(weight: Tensor, mean: Tensor) -> Tensor:
    """Return W E[x] [rows], each row with the means [groups, columns] of its group."""
    return torch.einsum("grc,gc->gr", weight.view(len(mean), -1, weight.shape[1]), mean).reshape(-1)
