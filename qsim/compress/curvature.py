"""How much the loss minds a change of each weight: what weighted quantisers weigh squared errors with.

A weight moved by d costs about ``h d^2 / 2`` with h the diagonal of the Hessian (Choi et al., arXiv:1612.01543, eq. 5; LeCun et al.,
Optimal brain damage, NIPS 1990). Two estimates:

``hessian`` second-order back-propagation, one pass per batch. With the mean cross-entropy and p the softmax of the logits z,
            ``d2L/dz_i^2 = p_i (1 - p_i)``; through a layer z = W x: ``d2L/dW_ij^2 = d2L/dz_i^2 x_j^2`` and
            ``d2L/dx_j^2 = sum_i W_ij^2 d2L/dz_i^2``; through a ReLU it passes where its input is positive. Off-diagonal terms between
            the units of a layer are left out, so the last layer is exact and those before it are the published approximation. The
            pixels of a convolution are such units: each adds ``d2L/dz^2 x^2`` to the weights that it shares. A max pool passes to
            where the maximum was.
``adam``    the square root of Adam's bias-corrected second moment of the gradients, which Choi et al. (section 3.5) take instead
            where training has it at hand anyway.
"""

from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as f
from torch import Tensor

from qsim.compress.convolution import Window, follow, results_of
from qsim.compress.network import Backpropagation, Layout, Samples, forward
from qsim.compress.train import batches, training_arithmetic

CHUNK = 500  # samples at once
DECAY = 0.999  # of Adam's second moment
PROBES = 8  # random vectors behind an estimated trace
BATCH = 32  # samples behind one gradient of ``adam``
FloatArray = npt.NDArray[np.float32]


class Curvature(StrEnum):
    """Which estimate."""

    HESSIAN = "hessian"
    ADAM = "adam"


def importance(
    curvature: Curvature, layout: Layout, parameters: Tensor, samples: Samples, count: int, generator: torch.Generator
) -> list[FloatArray]:
    """Return each layer's estimate [outputs, inputs], at least 0, over ``count`` of ``samples`` drawn with ``generator``."""
    few = _drawn(samples, count, generator)
    match curvature:
        case Curvature.HESSIAN:
            flat = hessian_diagonal(layout, parameters, few)
        case Curvature.ADAM:
            flat = adam_moments(layout, parameters, few, generator)
        case _:
            assert_never(curvature)
    return [part.numpy() for part in layout.weights(flat)]


def hessian_diagonal(layout: Layout, parameters: Tensor, samples: Samples) -> Tensor:
    """Return the flat diagonal [weights] of the Hessian of the mean cross-entropy over ``samples``, at ``parameters``."""
    total = torch.zeros(layout.weight_count)
    into, weights = layout.weights(total), layout.weights(parameters)
    back = _through_windows if layout.windows else _through_matrices
    for start in range(0, len(samples), CHUNK):
        back(layout, weights, layout.biases(parameters), samples.normalised(slice(start, start + CHUNK)), samples.offset, into)
    return total / len(samples)


def _through_matrices(
    layout: Layout, weights: list[Tensor], biases: list[Tensor], inputs: Tensor, outside: float, into: list[Tensor]
) -> None:
    """Add the second derivatives of the summed loss ``into`` those of a fully connected network."""
    values = [inputs]
    for weight, bias, relu in zip(weights, biases, layout.relu, strict=True):
        values.append(follow(Window(), results_of(Window(), weight, bias, values[-1], outside), relu))
    second = _of_logits(values[-1])
    for layer in reversed(range(len(weights))):
        into[layer].addmm_(second.t(), values[layer].square())
        if layer:
            second = second @ weights[layer].square()
            if layout.relu[layer - 1]:
                second *= values[layer] > 0


def _through_windows(
    layout: Layout, weights: list[Tensor], biases: list[Tensor], inputs: Tensor, outside: float, into: list[Tensor]
) -> None:
    """The same with convolutions and pools, whose transposes are automatic differentiation's: of the layer with squared weights for the
    inputs, with squared inputs for the weights.
    """
    values, results, edges = [inputs], list[Tensor](), [outside, *(0.0 for _ in weights[1:])]
    for window, weight, bias, relu, edge in zip(layout.windows, weights, biases, layout.relu, edges, strict=True):
        results.append(results_of(window, weight, bias, values[-1], edge))
        values.append(follow(window, results[-1], relu))
    second = _of_logits(values[-1])
    with torch.enable_grad():
        for layer in reversed(range(len(weights))):
            window, relu, edge = layout.windows[layer], layout.relu[layer], edges[layer]
            before = results[layer].detach().requires_grad_()
            second = torch.autograd.grad(follow(window, before, relu), before, second)[0]
            weight, value = weights[layer].detach().requires_grad_(), values[layer].detach().square()
            into[layer] += torch.autograd.grad(results_of(window, weight, biases[layer], value, edge**2), weight, second)[0]
            if not layer:
                break
            value = values[layer].detach().requires_grad_()
            squared = results_of(window, weights[layer].detach().square(), biases[layer], value, edge)
            second = torch.autograd.grad(squared, value, second)[0]


def _of_logits(logits: Tensor) -> Tensor:
    chances = torch.softmax(logits, 1)
    return chances * (1 - chances)


def hessian_traces(layout: Layout, parameters: Tensor, samples: Samples, count: int, generator: torch.Generator) -> list[float]:
    """Return the trace of each layer's Hessian, at least 0, over ``count`` of ``samples`` drawn with ``generator``.

    Fully connected networks: the sum of :func:`hessian_diagonal`. Convolutions: Hutchinson's estimate, the mean of ``v^T H v`` over
    :data:`PROBES` vectors v of random signs, with H v by automatic differentiation (HAWQ-V2, arXiv:1911.03852).
    """
    few = _drawn(samples, count, generator)
    if not layout.windows:
        return [float(part.double().sum()) for part in layout.weights(hessian_diagonal(layout, parameters, few))]
    totals = torch.zeros(len(layout.names), dtype=torch.float64)
    for start in range(0, len(few), CHUNK):
        part = slice(start, start + CHUNK)
        totals += _hutchinson(layout, parameters, few.normalised(part), few.labels[part], few.offset, generator)
    return [max(0.0, float(total) / len(few)) for total in totals]


def _hutchinson(layout: Layout, parameters: Tensor, inputs: Tensor, labels: Tensor, outside: float, generator: torch.Generator) -> Tensor:
    """Return the estimated traces [layers] of the Hessian of the summed cross-entropy."""
    traced = parameters.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = f.cross_entropy(forward(layout, traced, inputs, outside)[-1], labels, reduction="sum")
        gradient = torch.autograd.grad(loss, traced, create_graph=True)[0]
    total = torch.zeros(len(layout.names), dtype=torch.float64)
    for _ in range(PROBES):
        signs = torch.randint(0, 2, parameters.shape, generator=generator).float() * 2 - 1
        signs[layout.weight_count :] = 0
        product = torch.autograd.grad(gradient, traced, signs, retain_graph=True)[0] * signs
        total += torch.stack([part.double().sum() for part in layout.weights(product)])
    return total / PROBES


def _drawn(samples: Samples, count: int, generator: torch.Generator) -> Samples:
    chosen = torch.randperm(len(samples), generator=generator)[:count]
    return Samples(samples.raw[chosen], samples.labels[chosen], samples.scale, samples.offset)


def adam_moments(layout: Layout, parameters: Tensor, samples: Samples, generator: torch.Generator) -> Tensor:
    """Return the square root [weights] of Adam's second moment after one pass over ``samples`` at fixed ``parameters``."""
    batch = min(BATCH, len(samples))
    propagate, gradient = Backpropagation(layout, samples, batch), torch.empty(layout.parameter_count)
    moment, steps = torch.zeros(layout.weight_count), 0
    with training_arithmetic():
        for _, chosen in batches(len(samples), batch, 1, generator):
            propagate(parameters, chosen, gradient)
            part = gradient[: layout.weight_count]
            moment.mul_(DECAY).addcmul_(part, part, value=1 - DECAY)
            steps += 1
    return moment.div_(1 - DECAY**steps).sqrt_()
