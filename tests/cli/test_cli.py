"""Question: does every verb do its stage from the command line, and does a mistake get one clear line and status 2?"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qsim.build import build
from qsim.cli import VERBS
from qsim.formats.container import seal, unseal
from qsim.model.compressed import CompressedModel
from qsim.progress import silent
from qsim.results import load_runs
from tests.cli.conftest import Command

QSIM = Path(sys.executable).parent / "qsim"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, qsim: Command) -> None:
    status, out, _ = qsim(verb, "--help")
    assert status == 0
    assert f"\n    qsim {verb}" in out.split("Example", 1)[1]  # on a line of its own, to be copied
    assert "\\b" not in out


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'numba', 'rich'}"
    code = f"import sys, qsim.cli\ntry: qsim.cli.main(['--help'])\nexcept SystemExit: print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run([str(QSIM), "list", "machines"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 2
    assert "No space left" in found.stderr
    assert "Traceback" not in found.stderr


def test_completion_knows_the_verbs() -> None:
    environment = {**os.environ, "_QSIM_COMPLETE": "bash_complete", "COMP_WORDS": "qsim sim", "COMP_CWORD": "1"}
    found = subprocess.run([str(QSIM)], env=environment, capture_output=True, text=True, check=False)
    assert "plain,simulate" in found.stdout


def test_inspect_accounts_for_every_byte(qsim: Command, workplace: Path) -> None:
    status, out, _ = qsim("inspect", workplace / "quick.qsz", "--json")
    facts = json.loads(out)
    size = (workplace / "quick.qsz").stat().st_size
    assert status == 0
    assert facts["bytes"] == size == sum(facts["split_bytes"].values()) == facts["layers"][-1]["bytes_pqh"]
    assert facts["ratio"] == 4 * 266_610 / size


def test_inspect_prints_the_table(qsim: Command, workplace: Path) -> None:
    status, out, _ = qsim("inspect", workplace / "quick.qsz")
    assert status == 0
    assert all(word in out for word in ("ip1", "ip2", "ip3", "total", "file on disk"))


def test_inspect_shows_the_entropy_of_every_stream(qsim: Command, workplace: Path) -> None:
    facts = json.loads(qsim("inspect", workplace / "quick.qsz", "--json")[1])
    assert {item["layer"] for item in facts["streams"]} == {"ip1", "ip2", "ip3"}
    weights = [item for item in facts["streams"] if item["kind"] in ("weight", "index")]
    assert all(0 < item["entropy_bits"] <= item["bits"] for item in weights)
    assert "bits a symbol" in qsim("inspect", workplace / "quick.qsz")[1]


def test_inspect_prints_the_recipe(qsim: Command, workplace: Path) -> None:
    assert 'name = "quick"' in qsim("inspect", workplace / "quick.qsz", "--recipe")[1]


def test_simulate_compare_and_report_work_one_after_the_other(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    file, run = workplace / "quick.qsz", tmp_path / "run.json"
    words = ("simulate", file, "-m", "dense-16b-dram", "-m", "sparse-sram", "--images", "0:2", "--trace", "--out", run, "--json")
    status, out, _ = qsim(*words)
    assert status == 0
    rows = json.loads(out)
    assert [row["machine"] for row in rows] == ["dense-16b-dram", "sparse-sram"]
    assert rows[0]["energy_saving"] == 1.0
    assert rows[1]["energy_saving"] == rows[0]["energy_pj"] / rows[1]["energy_pj"] > 10
    assert [result.cycles for result in load_runs(run)] == [row["cycles"] for row in rows]

    status, out, _ = qsim("compare", run, "--baseline", "sparse-sram", "--json")
    assert json.loads(out)[1]["energy_saving"] == 1.0

    status, out, _ = qsim("report", run, "--compression", file, "--out", tmp_path / "report")
    assert status == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "sparse-sram" in page
    assert (tmp_path / "report" / "trace.json").is_file()


def test_both_engines_give_the_same_run(qsim: Command, workplace: Path) -> None:
    words = ("simulate", workplace / "quick.qsz", "-m", "sparse-huffman-dram", "--images", "3", "--json")
    assert json.loads(qsim(*words, "--engine", "fast")[1]) == json.loads(qsim(*words, "--engine", "event")[1])


def test_a_machine_field_is_changed_from_the_command_line(qsim: Command, workplace: Path) -> None:
    words = ("simulate", workplace / "quick.qsz", "-m", "sparse-sram", "--images", "0", "--json")
    deep, shallow = (json.loads(qsim(*words, "--set", f"array.queue.depth={depth}")[1])[0]["cycles"] for depth in (8, 1))
    assert shallow > deep


def test_a_sweep_survives_an_impossible_point(qsim: Command, workplace: Path) -> None:
    words = ("sweep", workplace / "quick.qsz", "-m", "sparse-sram", "--set", "array.pes=64,0", "--images", "0", "--workers", "1", "--json")
    status, out, _ = qsim(*words)
    good, bad = json.loads(out)
    assert status == 0
    assert good["cycles"] > 0
    assert bad["reason"].startswith("array.pes must be 1 to 4096, not 0")


def test_compress_reuses_by_content_and_tells_so(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    words = ("compress", "--recipe", workplace / "quick.toml", "--cache", workplace / "cache", "--out", tmp_path / "again.qsz", "--json")
    status, out, _ = qsim(*words)
    facts = json.loads(out)
    assert status == 0
    assert facts["reused"]
    assert (tmp_path / "again.qsz").read_bytes() == (workplace / "quick.qsz").read_bytes()
    assert facts["float_test_error_percent"] <= 1.64


def test_compress_by_column_stores_the_same_network_as_a_loader_reads_it(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    words = ("compress", "--recipe", workplace / "quick.toml", "--cache", workplace / "cache", "--out", tmp_path / "columns.qsz")
    status, out, _ = qsim(*words, "--by-column", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["by_column"]
    stored, plain = CompressedModel.load(tmp_path / "columns.qsz"), CompressedModel.load(workplace / "quick.qsz")
    assert stored.options.by_column and not plain.options.by_column
    for one, other in zip(stored.layers, plain.layers, strict=True):
        np.testing.assert_array_equal(one.form.reconstruct(), other.form.reconstruct())
        np.testing.assert_array_equal(one.bias, other.bias)


def test_a_damaged_cache_entry_is_made_again(workplace: Path, tmp_path: Path) -> None:
    recipe = str(workplace / "quick.toml")
    first = build("lenet-300-100", recipe, cache=tmp_path, progress=silent)
    good = first.path.read_bytes()
    first.path.write_bytes(good[:-1])
    again = build("lenet-300-100", recipe, cache=tmp_path, progress=silent)
    assert not again.reused
    assert again.path.read_bytes() == good


def test_list_names_what_can_be_named(qsim: Command) -> None:
    status, out, _ = qsim("list", "--json")
    found = json.loads(out)
    assert status == 0
    assert {"dense-16b-dram", "codebook-dram", "sparse-sram", "pvq-sram"} <= {row["machine"] for row in found["machines"]}
    assert {"smallest", "deep-compression"} <= {row["recipe"] for row in found["recipes"]}
    assert all(row["description"] for topic in ("machines", "technologies", "recipes", "quantizers") for row in found[topic])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("simulat",), "did you mean 'simulate'?"),
        (("inspect", "missing.qsz"), "missing.qsz"),
        (("simulate", "{file}", "-m", "sparse-sramm"), "did you mean 'sparse-sram'?"),
        (("simulate", "{file}", "-m", "pvq-sram"), "Pyramid"),
        (("simulate", "{file}", "-m", "sparse-sram", "--set", "array.queue.dept=3"), "did you mean 'depth'?"),
        (("simulate", "{file}", "-m", "sparse-sram", "--set", "array.pes=-1"), "array.pes must be 1 to 4096, not -1"),
        (("simulate", "{file}", "-m", "sparse-sram", "--images", "10000"), "0 to 9999"),
        (("simulate", "{file}", "-m", "sparse-sram", "--images", "x"), "--images must be"),
        (("simulate", "{file}", "-m", "sparse-sram", "--images", "0:1000000000000"), "--images must be indices up to 100,000"),
        (("simulate", "{file}", "-m", "sparse-sram", "--set", "dram=abc"), "dram must be a table"),
        (("simulate", "{file}", "-m", "sparse-sram", "--set", "clock_hz=inf"), "clock_hz must be 1 to 1e15, not inf"),
        (("sweep", "missing.qsz", "-m", "sparse-sram", "--set", "array.pes=1,2"), "missing.qsz"),
        (("sweep", "{file}", "-m", "sparse-sram", "--set", "array.pes=1,2", "--images", "99999"), "0 to 9999"),
        (("sweep", "{file}", "-m", "sparse-sram", "--set", "array.pes=1,2", "-t", "han"), "technology"),
        (("simulate", "{file}", "-t", "han"), "technology"),
        (("simulate", "{file}", "--data", "nowhere"), "nowhere"),
        (("compress", "lenet-300"), "did you mean 'lenet-300-100'?"),
        (("compress", "--recipe", "smalest"), "did you mean 'smallest'?"),
        (("compress", "--weights", "{file}"), "safetensors"),
        (("report", "{file}"), "a network, not results"),
        (("sweep", "{file}", "-m", "sparse-sram", "--set", "array.pes"), "--set must be like"),
        (("sweep", "{file}", "-m", "sparse-sram", "--set", "array.pes=1", "--set", "array.pes=2"), "one list of values for array.pes"),
        (("sweep", "{file}", "-m", "sparse-sram", "--set", "array.pess=1,2", "--workers", "1"), "none of the 2 points can be simulated"),
        (("simulate", "{file}", "-m", "sparse-sram", "--out", "{file}/run.json"), "is not a folder"),
    ],
)
def test_a_mistake_gets_one_clear_line_and_status_2(words: tuple[str, ...], told: str, qsim: Command, workplace: Path) -> None:
    status, out, err = qsim(*(word.format(file=workplace / "quick.qsz") for word in words))
    assert status == 2
    assert told in " ".join(err.split())
    assert "Traceback" not in err + out


def test_an_empty_list_of_runs_is_refused(qsim: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    status, _, err = qsim("compare", tmp_path / "empty.json")
    assert (status, err) == (2, "qsim: files must be at least one run, not 'none'\n")


def test_texts_of_a_hostile_file_are_neither_markup_nor_commands_to_the_terminal(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    model = CompressedModel.load(workplace / "quick.qsz")
    node = dataclasses.replace(model.graph.nodes[0], name="[/red]\x1b[31m")
    graph = dataclasses.replace(model.graph, name="[/g]", nodes=(node, *model.graph.nodes[1:]))
    layers = (dataclasses.replace(model.layers[0], node=node), *model.layers[1:])
    notes = {"seed": float("nan"), "note": "\x1b]0;title\x07"}
    dataclasses.replace(model, graph=graph, layers=layers, notes=notes, recipe_text='name = "[/x]"').save(tmp_path / "[/a].qsz")
    for verb in (("inspect",), ("simulate", "-m", "sparse-sram", "--images", "0")):
        status, out, err = qsim(verb[0], tmp_path / "[/a].qsz", *verb[1:])
        assert status == 0
        assert "\x1b" not in out + err
        assert ("[/red]" if verb[0] == "inspect" else "[/x]") in out


def test_runs_on_different_images_are_not_called_comparable(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    for image in ("0", "1"):
        words = ("simulate", workplace / "quick.qsz", "-m", "sparse-sram", "--images", image, "--out", tmp_path / f"{image}.json")
        assert qsim(*words)[0] == 0
    assert "not comparable" in qsim("compare", tmp_path / "0.json", tmp_path / "1.json")[1]
    assert "not comparable" not in qsim("compare", tmp_path / "0.json", tmp_path / "0.json")[1]


def test_a_truncated_file_is_refused(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.qsz").write_bytes((workplace / "quick.qsz").read_bytes()[:1000])
    status, _, err = qsim("inspect", tmp_path / "cut.qsz")
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "cut.qsz: file.hash" in err


def test_a_name_in_an_error_is_no_command_to_the_terminal(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    metadata, payload = unseal((workplace / "quick.qsz").read_bytes())
    assert isinstance(metadata, list)
    metadata[3][0][0] = "\x1b[31m"
    (tmp_path / "x.qsz").write_bytes(seal(metadata, payload[:-1]))
    status, _, err = qsim("inspect", tmp_path / "x.qsz")
    assert status == 2
    assert "\x1b" not in err


def test_a_result_that_cannot_be_written_loses_nothing(qsim: Command, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    status, _, err = qsim(
        "simulate", workplace / "quick.qsz", "-m", "sparse-sram", "--images", "0", "--out", tmp_path / "file" / "run.json"
    )
    assert status == 2
    assert "cannot write" in err
    assert (tmp_path / "file").read_text() == "in the way"
