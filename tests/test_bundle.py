"""Only the bundle that was exported is ever run, and a wrong one says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_app.errors import InferenceError, ManifestError
from edge_app.inference.bundle import (
    load_bundle,
    replay_golden,
    require_golden,
    seal,
    sha256_of,
)
from tests.bundles import write_bundle


@pytest.fixture(params=["emotion", "sleep", "frailty"])
def bundle_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_bundle(tmp_path, request.param)


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    seal(folder)


def test_a_bundle_loads_and_meets_its_golden_outputs(bundle_dir: Path) -> None:
    bundle = load_bundle(bundle_dir)
    name, _, digest = bundle.model_id.partition("@")
    assert name == bundle.manifest.name
    assert re.fullmatch("[0-9a-f]{12}", digest)
    results = replay_golden(bundle)
    assert len(results) == sum(len(graph.outputs) for graph in bundle.manifest.graphs)
    assert all(result.passed and result.cases == 3 for result in results)
    require_golden(bundle)


def test_a_flipped_byte_is_refused_wherever_it_is(bundle_dir: Path) -> None:
    names = ["golden.npz", "manifest.json", "manifest.sha256"]
    for path in [*bundle_dir.glob("*.onnx"), *(bundle_dir / name for name in names)]:
        good = path.read_bytes()
        for position in (0, len(good) // 2, len(good) - 2):
            bad = bytearray(good)
            bad[position] ^= 1
            path.write_bytes(bytes(bad))
            with pytest.raises(ManifestError):
                load_bundle(bundle_dir)
        path.write_bytes(good)
    load_bundle(bundle_dir)


def test_labels_that_changed_places_are_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "sleep")
    text = (folder / "manifest.json").read_text()
    swapped = text.replace('"W"', '"?"').replace('"R"', '"W"').replace('"?"', '"R"')
    (folder / "manifest.json").write_text(swapped)
    with pytest.raises(ManifestError, match="hash differs"):
        load_bundle(folder)


def test_a_bundle_without_its_seal_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "sleep")
    (folder / "manifest.sha256").unlink()
    with pytest.raises(ManifestError, match=r"manifest\.sha256"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["golden.npz", "model.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_bundle(tmp_path, "emotion")
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=f"{name}: a file of the bundle is missing"):
        load_bundle(folder)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not a bundle"):
        load_bundle(tmp_path)


def drop(*keys: str) -> Callable[[dict], object]:
    def change(manifest: dict) -> None:
        part = manifest
        for key in keys[:-1]:
            part = part[int(key)] if key.isdigit() else part[key]
        del part[keys[-1]]

    return change


def put(value: object, *keys: str) -> Callable[[dict], object]:
    def change(manifest: dict) -> None:
        part = manifest
        for key in keys[:-1]:
            part = part[int(key)] if key.isdigit() else part[key]
        part[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop("labels"), "labels: Field required"),
        (drop("calibration", "temperature"), "calibration.temperature: Field required"),
        (put(1, "surprise"), "surprise: Extra inputs are not permitted"),
        (put(["W", "N1", "N2"], "labels"), "ending in 3 labels"),
        (put(["W"] * 5, "labels"), "labels must differ"),
        (put(18, "graphs", "0", "opset"), "graphs.0.opset"),
        (put("../../etc/passwd", "graphs", "0", "file"), "graphs.0.file"),
        (put(2, "format_version"), "format_version"),
        (put("volts", "stream", "rate_hz"), "stream.rate_hz"),
        (put(None, "stream", "rate_hz"), "rate_hz may be null for video only"),
        (
            put(
                [{"name": "eeg", "dtype": "float32", "shape": [0, 1, 3000]}],
                "graphs",
                "0",
                "inputs",
            ),
            "must be static",
        ),
    ],
)
def test_every_field_is_required_and_checked(
    tmp_path: Path, change: Callable[[dict], object], says: str
) -> None:
    folder = write_bundle(tmp_path, "sleep")
    edit(folder, change)
    with pytest.raises(ManifestError, match=re.escape(says)):
        load_bundle(folder)


def test_a_graph_with_another_shape_than_the_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "sleep")
    wrong = [{"name": "eeg", "dtype": "float32", "shape": [1, 1, 2999]}]
    edit(folder, put(wrong, "graphs", "0", "inputs"))
    with pytest.raises(ManifestError, match="inputs differ from the manifest") as caught:
        load_bundle(folder)
    assert "3000" in str(caught.value.got)
    assert "2999" in str(caught.value.expected)


def test_a_file_that_is_no_onnx_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "emotion")
    (folder / "model.onnx").write_bytes(b"not a model")
    edit(folder, put(sha256_of(folder / "model.onnx"), "graphs", "0", "sha256"))
    with pytest.raises(ManifestError, match="cannot load it"):
        load_bundle(folder)


def test_an_opset_that_the_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    import onnx

    folder = write_bundle(tmp_path, "emotion")
    model = onnx.load(str(folder / "model.onnx"))
    model.opset_import[0].version = 99
    onnx.save(model, str(folder / "model.onnx"))
    edit(folder, put(sha256_of(folder / "model.onnx"), "graphs", "0", "sha256"))
    with pytest.raises(ManifestError, match="opset"):
        load_bundle(folder)


def test_a_backend_that_strays_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "frailty")
    with np.load(folder / "golden.npz") as stored:
        arrays = dict(stored)
    arrays["model/logits"] = arrays["model/logits"] + np.float32(0.01)
    np.savez(folder / "golden.npz", **arrays)
    edit(folder, put(sha256_of(folder / "golden.npz"), "golden", "sha256"))
    bundle = load_bundle(folder)
    failed = [result.output for result in replay_golden(bundle) if not result.passed]
    assert failed == ["logits"]
    with pytest.raises(InferenceError, match="model/logits strays"):
        require_golden(bundle)


def test_a_golden_file_that_lacks_an_output_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "frailty")
    with np.load(folder / "golden.npz") as stored:
        arrays = {key: stored[key] for key in stored.files if key != "model/logits"}
    np.savez(folder / "golden.npz", **arrays)
    edit(folder, put(sha256_of(folder / "golden.npz"), "golden", "sha256"))
    with pytest.raises(ManifestError, match="needs 'model/logits' with 3 cases"):
        replay_golden(load_bundle(folder))


def test_a_wrong_input_shape_is_an_inference_error(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, "frailty"))
    with pytest.raises(InferenceError, match="the model failed"):
        bundle.runners["model"].run({"imu": np.zeros((1, 6, 199), np.float32)})


def test_windows_of_strides_must_join(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "strides")
    document = json.loads((folder / "manifest.json").read_text())
    document["window"]["hop_samples"] = 50
    (folder / "manifest.json").write_text(json.dumps(document))
    seal(folder)
    with pytest.raises(ManifestError, match="hop must equal"):
        load_bundle(folder)
