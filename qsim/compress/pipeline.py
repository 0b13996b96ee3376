"""The whole compression: cut layers in two, prune, order units, quantise, fine-tune, fix the point.

Every random choice comes from the recipe's seed, every decision from the training and validation splits. The same recipe,
weights and data give the same model on the same machine.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from qsim.compress.bias_correction import correct_biases
from qsim.compress.calibrate import chain, fix_point
from qsim.compress.finetune import effective
from qsim.compress.job import Job
from qsim.compress.journal import NO_JOURNAL, Journal
from qsim.compress.network import Layout, Samples, error_count
from qsim.compress.per_layer import PerLayer
from qsim.compress.quality import Errors, integer_errors
from qsim.compress.recipe import Recipe
from qsim.compress.shared import QuantizerInput
from qsim.compress.statistics import statistics_of
from qsim.compress.synthetic import CalibrationData, impressions
from qsim.compress.task import DataLike, FloatState, TaskLike
from qsim.errors import DataError
from qsim.model.compressed import FLOAT_PARAMETERS, CompressedModel
from qsim.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """A compressed model and the errors on the validation split after each stage, in order."""

    model: CompressedModel
    validation: dict[str, Errors]
    density: float


def compress(
    recipe: Recipe, task: TaskLike, state: FloatState, data: DataLike, progress: Progress = silent, *, weight_source: str = "",
    journal: Journal = NO_JOURNAL,
) -> CompressedModel:  # fmt: skip
    """Return the compressed model of ``task`` with float weights ``state``. See :func:`compress_in_stages`."""
    return compress_in_stages(recipe, task, state, data, progress, weight_source=weight_source, journal=journal).model


def compress_in_stages(
    recipe: Recipe, task: TaskLike, state: FloatState, data: DataLike, progress: Progress = silent, *, weight_source: str = "",
    journal: Journal = NO_JOURNAL,
) -> Compression:  # fmt: skip
    """Compress and tell what each stage cost in accuracy.

    Stages reported to ``progress``: "prune", "quantise", "finetune" (as far as the recipe has them) and "fixed point".
    ``weight_source`` is text for the file: where ``state`` came from. Stages that ``journal`` holds are not repeated, and finished ones are
    written to it.
    """
    _check_tensors(task, state)
    whole, original = Layout.of(task.layers), state
    task, state = recipe.low_rank.apply(task, state)
    layout = Layout.of(task.layers)
    if isinstance(recipe.quantise, PerLayer):
        recipe.quantise.chosen(layout.names)  # a pattern without a layer is told before hours of pruning
    samples, validation = Samples.of(data.train, task.normalisation), Samples.of(data.validation, task.normalisation)
    generator, random = torch.Generator().manual_seed(recipe.seed), np.random.default_rng(recipe.seed)
    errors = {"float": Errors(error_count(whole, whole.pack(original), validation), len(validation))}
    if layout != whole:
        errors["low rank"] = Errors(error_count(layout, layout.pack(state), validation), len(validation))

    job = Job(recipe, layout, samples, generator, random, progress, journal)
    pruned = job.prune(layout.pack(state))
    errors["prune"] = Errors(error_count(layout, pruned.parameters, validation), len(validation))
    calibration = _calibration(recipe, task, state, samples, generator, random, progress)
    given = QuantizerInput(
        layout=layout, parameters=pruned.parameters, masks=pruned.masks, samples=samples,
        generator=generator, random=random, progress=progress, validation=validation, calibration=calibration, journal=journal,
    )  # fmt: skip
    quantised = recipe.quantise.quantise(given)
    if recipe.calibration.correct_biases:
        correct_biases(layout, pruned.parameters, quantised, calibration)
    errors["quantise"] = Errors(error_count(layout, effective(layout, quantised), validation), len(validation))
    teacher = recipe.finetune.teacher(layout.pack(state))  # after low rank: a teacher has the student's layers
    errors["finetune"] = Errors(job.finetune(quantised, validation, teacher), len(validation))

    real = recipe.calibration.data is CalibrationData.TRAINING
    layers = fix_point(recipe.fixed_point, task, layout, quantised, data.train.images if real else calibration.raw.numpy())
    model = CompressedModel(
        graph=chain(task, layers),
        layers=layers,
        recipe_text=recipe.text,
        weight_source=weight_source,
        options=recipe.encode,
    )
    errors["fixed point"] = integer_errors(model, data.validation)
    progress("fixed point", 1, 1)
    kept = sum(int(np.count_nonzero(layer.form.reconstruct())) for layer in layers)
    other = {} if layout == whole else {FLOAT_PARAMETERS: whole.parameter_count}
    model = replace(model, notes={"seed": recipe.seed, "validation_errors": errors["fixed point"].wrong, **other})
    return Compression(model=model, validation=errors, density=kept / layout.weight_count)


def _check_tensors(task: TaskLike, state: FloatState) -> None:
    for tensor in (f"{layer.name}.{part}" for layer in task.layers for part in ("weight", "bias")):
        if tensor not in state:
            raise DataError(f"the float weights lack the tensor {tensor!r} of {task.name}")


def _calibration(
    recipe: Recipe,
    task: TaskLike,
    state: FloatState,
    samples: Samples,
    generator: torch.Generator,
    random: np.random.Generator,
    progress: Progress,
) -> Samples:
    """Return the inputs that the recipe calibrates with; synthetic ones come from the float network, before any pruning."""
    how, layout = recipe.calibration, Layout.of(task.layers)
    if how.data is CalibrationData.TRAINING:
        return samples.first(how.samples)
    return impressions(layout, layout.pack(state), samples, how.samples, statistics_of(layout, state), generator, random, progress)
