"""Does ``qsim estimate`` take real weights and pictures, and report the size of a file that exists?"""

import numpy as np
from safetensors.numpy import save_file

from qsim.model.network_file import NetworkFile
from qsim.model.reference import run
from qsim.results import Quality, load_runs
from workloads import NETWORKS
from workloads.images import SCALES


def test_weights_and_pictures_of_the_user(tmp_path, qsim) -> None:
    """Labels are what the float network says of all but one picture, so its error is known: 25 % of four."""
    network = NETWORKS["resnet-32"].build(0)
    save_file({name: np.array(network.constants[name]) for name in network.weights}, tmp_path / "w.safetensors")
    records = np.random.default_rng(0).integers(0, 256, (6, 3073), dtype=np.uint8)
    for place, record in enumerate(records[:4]):
        image = SCALES["cifar-10"].apply(record[1:].reshape(3, 32, 32))
        found = int(np.argmax(run(network, {"image": image})[network.outputs[0]]))
        record[0] = (found + 1) % 10 if place == 2 else found
    records[4:, 0] = 0
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    words = ("--weights", tmp_path / "w.safetensors", "--data", tmp_path, "--images", "0:4", "--keep", "1")
    status, _, errors = qsim(
        "estimate", "resnet-32", *words, "-m", "dense-16b-layer-dram", "--save", tmp_path / "n.qsn", "--out", tmp_path / "r.json"
    )
    assert status == 0, errors
    (result,) = load_runs(tmp_path / "r.json")
    assert result.quality == Quality(test_error=25.0, float_test_error=25.0, test_images=4)
    assert "SYNTHETIC" not in result.weight_source
    assert result.file_bytes == (tmp_path / "n.qsn").stat().st_size
    assert result.model.hash == (tmp_path / "n.qsn").read_bytes()[4:36].hex()
    assert NetworkFile.load(tmp_path / "n.qsn").network.source == "weights of w.safetensors (resnet-32)"
    for rest, message in (
        (("resnet-18", "--weights", tmp_path / "w.safetensors"), "is missing"),
        (("resnet-32", "--data", tmp_path, "--density", "0.5"), "one of them"),
        (("ese-lstm", "--data", tmp_path), "[1, 3, height, width]"),
    ):
        status, _, errors = qsim("estimate", *rest)
        assert status == 2
        assert message in errors
