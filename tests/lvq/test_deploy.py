"""Asks whether a classifier's file answers as the classifier does, in the integer reference and on the machines."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qsim.arch.presets import MACHINES
from qsim.cli import cli
from qsim.compress.quality import integer_errors
from qsim.compress.recipe import load_recipe, parse_recipe
from qsim.errors import FieldError, QsimError
from qsim.lvq import CLASSIFIERS, PrototypeClassifier
from qsim.lvq.deploy import dot_products, to_model
from qsim.model.compressed import CompressedModel
from qsim.run import measure
from qsim.sim.model import simulate_model
from qsim.sim.semantics import infer
from workloads.lenet_300_100 import WORKLOAD
from workloads.mnist import Split, load_mnist

KMEANS = 'method = "kmeans"\nentries = 16\nzero = true'
DEPLOYED = ("glvq", "rslvq", "grlvq", "gmlvq")


@pytest.fixture(scope="module")
def digits() -> Split:
    return load_mnist().train.part(0, 1200)


def normalised(split: Split) -> np.ndarray:
    scale = WORKLOAD.normalisation.gain * WORKLOAD.normalisation.input_format.lsb
    return split.images * scale + WORKLOAD.normalisation.offset


@pytest.fixture(scope="module", params=DEPLOYED)
def fitted(request: pytest.FixtureRequest, digits: Split) -> PrototypeClassifier:
    extra = {"rank": 12} if request.param == "gmlvq" else {}
    classifier = CLASSIFIERS[request.param](prototypes_per_class=2, epochs=4, random_state=0, **extra)
    return classifier.fit(normalised(digits), digits.labels)


def test_the_largest_product_is_that_of_the_nearest_prototype(fitted: PrototypeClassifier, digits: Split) -> None:
    values = normalised(digits)
    answers = fitted.predict(values)
    for weight, bias in dot_products(fitted):
        values = values @ weight.T + bias
    assert (fitted.prototype_labels_[values.argmax(axis=1)] == answers).all()


def test_the_file_answers_as_the_classifier(fitted: PrototypeClassifier, digits: Split) -> None:
    model = to_model(fitted, load_recipe("dense-16b"), WORKLOAD.normalisation, digits, "lvq")
    again = CompressedModel.from_bytes(model.data)
    test = load_mnist().test.part(0, 500)
    answers = again.output_classes[infer(again, test.images.astype(np.int64)).classes]
    # 16 bits move few of the digits that lie between two prototypes.
    assert (answers == fitted.predict(normalised(test))).mean() >= 0.99
    wrong = int((answers != test.labels).sum())
    assert integer_errors(again, test).wrong == wrong
    assert measure(again, test).test_error == pytest.approx(wrong / 5)


@pytest.mark.parametrize("machine", ["dense-rtl-4", "codebook-rtl-4", "sparse-rtl-4", "pvq-rtl-4"])
def test_every_machine_runs_it(machine: str, digits: Split) -> None:
    method = {"dense": 'method = "fixed"', "pvq": 'method = "pvq"\npulses = [1.0]\nepochs = 0'}
    text = f'name = "lvq"\n[quantise]\n{method.get(machine.split("-")[0], KMEANS)}\n'
    classifier = CLASSIFIERS["glvq"](epochs=2, random_state=0).fit(normalised(digits), digits.labels)
    model = to_model(classifier, parse_recipe(text), WORKLOAD.normalisation, digits, "lvq")
    images = digits.images[:2].astype(np.int64)
    simulated = [simulate_model(model, MACHINES[machine], images, engine=engine) for engine in ("fast", "event")]
    fast, event = ([layer.cycles for results in run.layers for layer in results] for run in simulated)
    assert fast == event and min(fast) > 0


@pytest.mark.parametrize(
    ("method", "why"), [("lgrlvq", "a metric for each"), ("lgmlvq", "a metric for each"), ("krslvq", "a kernel's space")]
)
def test_what_is_no_dot_product_is_told(method: str, why: str) -> None:
    inputs = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(QsimError, match=why):
        dot_products(CLASSIFIERS[method](epochs=1).fit(inputs, [0, 1] * 10))


def test_a_note_that_names_no_classes_is_told(fitted: PrototypeClassifier, digits: Split) -> None:
    model = to_model(fitted, load_recipe("dense-16b"), WORKLOAD.normalisation, digits, "lvq")
    with pytest.raises(FieldError, match=r"model\.notes\.output_classes must be 20 numbers, one an output"):
        CompressedModel(graph=model.graph, layers=model.layers, notes={"output_classes": "0 1 x"})


def test_the_verb_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_mnist()
    small = type(whole)(train=whole.train.part(0, 600), validation=whole.validation, test=whole.test, source="MNIST, 600 digits")
    monkeypatch.setattr("qsim.lvq_file.load_mnist", lambda folder: small)
    path = tmp_path / "glvq.qsz"
    done = CliRunner().invoke(cli, ["lvq", "--per-class", "2", "--epochs", "2", "--out", str(path), "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["bytes"] == path.stat().st_size and facts["prototypes"] == 20
    assert facts["test_error"] == pytest.approx(facts["float_test_error"], abs=2.0)
    assert measure(CompressedModel.load(path), small.test).test_error == facts["test_error"]


@pytest.mark.parametrize(
    ("given", "told"),
    [(["--method", "lgmlvq"], "a method that becomes dot products"), (["--rank", "3"], "left out but for gmlvq")],
)
def test_what_cannot_be_is_told(given: list[str], told: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["lvq", *given, "--out", str(tmp_path / "no.qsz")])
    assert isinstance(done.exception, QsimError) and told in str(done.exception)
    assert not list(tmp_path.iterdir())
