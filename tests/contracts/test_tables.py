"""Question: is every entry of every visible table sound? A new entry is tested by being entered."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from energy_models import TECHNOLOGIES
from qsim.arch.architecture import PEKind
from qsim.arch.presets import MACHINES
from qsim.arch.timing import TIMINGS
from qsim.cli import VERBS
from qsim.compress.quantizers import QUANTIZERS
from qsim.compress.recipe import RECIPES, load_recipe
from qsim.energy.account import account, memories_of
from qsim.energy.loader import load_technology
from qsim.errors import UnsupportedProgram
from qsim.sim.model import simulate_model
from qsim.sim.pe import PE_VARIANTS
from tests.model.models import tiny_model
from workloads import WORKLOADS
from workloads.weights import load_weights

# Which forms each PE is made for.
FORMS = {PEKind.DENSE: "dense", PEKind.CODEBOOK: "scalar_coded", PEKind.SPARSE: "scalar_coded", PEKind.PVQ: "pyramid"}


@pytest.mark.parametrize("kind", PEKind)
def test_every_pe_has_a_variant_latencies_and_a_preset_machine(kind: PEKind) -> None:
    assert kind in PE_VARIANTS
    assert kind in TIMINGS
    assert any(machine.array.kind is kind for machine in MACHINES.values())


@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_runs_and_is_priced_by_every_technology(name: str, technology: str) -> None:
    machine = MACHINES[name]
    model = tiny_model(FORMS[machine.array.kind])
    inputs = np.arange(model.graph.nodes[0].inputs)[None, :] % 7
    try:
        found = simulate_model(model, machine, inputs)
    except UnsupportedProgram as error:
        pytest.fail(f"{name} refuses a small {FORMS[machine.array.kind]} model: {error}")
    energy = account(found.layers, load_technology(technology), clock_hz=machine.clock_hz, memories=memories_of(machine))
    assert sum(layer[0].cycles for layer in found.layers) > 0
    assert energy.total_pj > 0
    assert all(entry.pj > 0 for entry in energy.entries if entry.count)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_read_named_after_its_file_and_described(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name == Path(RECIPES[name]).stem
    assert recipe.description


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_is_used_by_a_recipe_and_described(name: str) -> None:
    assert (QUANTIZERS[name].__doc__ or "").strip()
    assert any(isinstance(load_recipe(recipe).quantise, QUANTIZERS[name]) for recipe in RECIPES)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_cited_and_its_checkpoint_has_its_published_size(name: str) -> None:
    workload = WORKLOADS[name]
    state = load_weights(workload)
    assert workload.citation
    assert sum(tensor.size for tensor in state.values()) == workload.parameters
    # Published in kilobytes of 1000 or of 1024 bytes, rounded to tens.
    assert workload.float_bytes / 1024 - 10 <= workload.published.reference_kilobytes <= workload.float_bytes / 1000 + 10


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_module(verb: str) -> None:
    assert importlib.util.find_spec(f"qsim.cli.{verb.replace('-', '_')}_verb") is not None
