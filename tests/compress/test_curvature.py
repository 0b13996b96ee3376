"""Is the Hessian's diagonal exact where second-order back-propagation is, and the other estimate what Adam would hold?"""

from dataclasses import replace

import numpy as np
import torch

from qsim.compress.convolution import Window, follow, results_of
from qsim.compress.curvature import Curvature, adam_moments, hessian_diagonal, hessian_traces, importance
from qsim.compress.network import Layout, Samples, forward
from qsim.model.geometry import ImageGeometry
from tests.compress.test_convolution import LAYERS as CONVOLUTIONS
from tests.compress.test_network import LAYOUT, initial_parameters, loss, small_samples


def exact_diagonal(parameters: torch.Tensor) -> torch.Tensor:
    samples = small_samples()
    every = torch.arange(len(samples))
    hessian = torch.autograd.functional.hessian(lambda flat: loss(flat, samples, every), parameters)
    return torch.diagonal(hessian)


def test_the_last_layer_is_exact() -> None:
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
    found = LAYOUT.weights(hessian_diagonal(LAYOUT, parameters, small_samples()))[-1]
    expected = LAYOUT.weights(exact_diagonal(parameters))[-1]
    assert torch.allclose(found, expected, atol=1e-5)


def test_earlier_layers_are_close_and_never_negative() -> None:
    parameters = initial_parameters(LAYOUT, torch.Generator().manual_seed(1))
    flat = hessian_diagonal(LAYOUT, parameters, small_samples())
    expected = exact_diagonal(parameters)[: LAYOUT.weight_count]
    assert float(flat.min()) >= 0
    assert np.corrcoef(flat.numpy(), expected.numpy())[0, 1] > 0.9


def test_adam_moments_of_one_batch_are_its_gradients() -> None:
    parameters, samples = initial_parameters(LAYOUT, torch.Generator().manual_seed(1)), small_samples(count=30)  # one batch
    variable = parameters.clone().requires_grad_()
    torch.nn.functional.cross_entropy(forward(LAYOUT, variable, samples.normalised(slice(0, len(samples))))[-1], samples.labels).backward()
    found = adam_moments(LAYOUT, parameters, samples, torch.Generator().manual_seed(0))
    # Bias-corrected, the second moment after one step is the squared gradient.
    assert torch.allclose(found, variable.grad[: LAYOUT.weight_count].abs(), atol=1e-4)


def test_a_thousand_samples_say_what_more_say() -> None:
    """Choi et al., figure 2: few samples are enough."""
    parameters, samples = initial_parameters(LAYOUT, torch.Generator().manual_seed(1)), small_samples(count=600)
    few, all_ = (
        np.concatenate([part.ravel() for part in importance(Curvature.HESSIAN, LAYOUT, parameters, samples, count, torch.Generator())])
        for count in (200, 600)
    )
    assert np.corrcoef(few, all_)[0, 1] > 0.95


def test_the_estimated_trace_of_convolutions_is_that_of_the_whole_hessian() -> None:
    """Hutchinson's estimate, 8 probes, against the trace that automatic differentiation finds entry by entry."""
    layout, parameters, samples, diagonal = convolutions()
    exact = [float(part.sum()) for part in layout.weights(diagonal)]
    found = np.mean([hessian_traces(layout, parameters, samples, 24, torch.Generator().manual_seed(seed)) for seed in range(8)], axis=0)
    assert np.allclose(found, np.maximum(exact, 0), rtol=0.25)


def convolutions() -> tuple[Layout, torch.Tensor, Samples, torch.Tensor]:
    """A small network with convolutions and pools, parameters, samples, and the exact diagonal by automatic differentiation."""
    layout, generator = Layout.of(CONVOLUTIONS), torch.Generator().manual_seed(0)
    parameters = initial_parameters(layout, generator)
    raw = torch.randint(0, 256, (24, 36), generator=generator, dtype=torch.uint8)
    samples = Samples(raw, torch.randint(0, 3, (24,), generator=generator), 0.01, -0.4)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        logits = forward(layout, flat, samples.normalised(slice(None)), samples.offset)[-1]
        return torch.nn.functional.cross_entropy(logits, samples.labels)

    return layout, parameters, samples, torch.diagonal(torch.autograd.functional.hessian(loss, parameters))


def test_convolutions_propagate_squared_jacobians() -> None:
    """The definition, sample by sample: the Jacobian of each step, every entry squared, its transpose applied to the second derivatives."""
    layout, parameters, samples, exact = convolutions()
    wanted = torch.zeros(layout.weight_count)
    jacobian = torch.autograd.functional.jacobian
    for chosen in range(6):
        value, steps, edge = samples.normalised(slice(chosen, chosen + 1)), [], samples.offset
        for window, weight, bias, relu in zip(
            layout.windows, layout.weights(parameters), layout.biases(parameters), layout.relu, strict=True
        ):
            result = results_of(window, weight, bias, value, edge)
            of_result = jacobian(lambda z, window=window, relu=relu: follow(window, z, relu).flatten(), result)
            of_value = jacobian(lambda x, window=window, w=weight, b=bias, e=edge: results_of(window, w, b, x, e).flatten(), value)
            of_weight = jacobian(lambda w, window=window, x=value, b=bias, e=edge: results_of(window, w, b, x, e).flatten(), weight)
            steps.append([part.flatten(1).square() for part in (of_result, of_value, of_weight)])
            value, edge = follow(window, result, relu), 0.0
        chances = torch.softmax(value, 1)[0]
        second = chances * (1 - chances)
        for target, (of_result, of_value, of_weight) in zip(reversed(layout.weights(wanted)), reversed(steps), strict=True):
            second = second @ of_result
            target += (second @ of_weight).view_as(target)
            second = second @ of_value
    few = replace(samples, raw=samples.raw[:6], labels=samples.labels[:6])
    found = hessian_diagonal(layout, parameters, few)
    assert torch.allclose(found, wanted / 6, rtol=1e-4, atol=1e-6)
    last = slice(layout.weight_count - layout.sizes[-1], layout.weight_count)
    assert torch.allclose(hessian_diagonal(layout, parameters, samples)[last], exact[last], atol=1e-5), "the last layer is exact"


def test_a_convolution_of_one_pixel_is_a_fully_connected_layer() -> None:
    """Both ways through the code give the same second derivatives."""
    parameters, samples = initial_parameters(LAYOUT, torch.Generator().manual_seed(1)), small_samples()
    geometries = [ImageGeometry(height=1, width=1, channels=columns, kernel=(1, 1)) for _, columns in LAYOUT.shapes]
    windows = replace(LAYOUT, windows=tuple(Window(convolution=geometry) for geometry in geometries))
    assert torch.allclose(hessian_diagonal(windows, parameters, samples), hessian_diagonal(LAYOUT, parameters, samples), rtol=1e-4)
