"""A run becomes a bundle that the bedside loads; the shipped emotion bundle scores as it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402

from edge_app.errors import ConfigError, InferenceError, ManifestError, TrainingError  # noqa: E402
from edge_app.inference.bundle import load_bundle, replay_golden, seal  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.toy_experiment import LABELS, ToyExperiment, ToyOptions  # noqa: E402
from trainer import onnx_graph, registry  # noqa: E402
from trainer.bundle_files import replace_folder  # noqa: E402
from trainer.evaluate import bundle_recipe, choose_split, evaluate  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.fit import fit  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

TOY = {"toy": "tests.toy_experiment:ToyExperiment"}
WHENCE = Provenance("toy", "trainer fit toy.yaml", "abc123", "2 cores", "torch 2", "2026-01-01")
FILES = {
    *("model.onnx", "golden.npz", "manifest.json", "manifest.sha256"),
    *("metrics.json", "README.md", "recipe.yaml"),
}


@pytest.fixture
def toy_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setitem(registry.EXPERIMENTS, "emotion", TOY)
    options = FitOptions(passes=3, batch=32, learning_rate=0.1, ema_decay=0.9)
    recipe = Recipe("toy", "emotion", None, 3, options, ToyExperiment(ToyOptions()))
    run = RunDir(tmp_path / "run")
    run.create(recipe.to_yaml(), WHENCE, resume=False)
    train, validation = recipe.experiment.load(tmp_path)
    fit(recipe, train, validation, run, Console(quiet=True))
    return run


def test_a_run_becomes_a_whole_bundle(toy_run: RunDir, tmp_path: Path) -> None:
    bundle = export(toy_run, tmp_path, tmp_path / "exports" / "toy")
    assert {path.name for path in bundle.path.iterdir()} == FILES
    assert [path.name for path in bundle.path.parent.iterdir()] == ["toy"]
    manifest = bundle.manifest
    assert (manifest.name, manifest.labels, manifest.simulated) == ("toy", LABELS, True)
    assert (manifest.training.commit, manifest.training.recipe) == ("abc123", "toy")
    assert all(metric.simulated for metric in manifest.metrics)
    assert all(parity.passed for parity in replay_golden(bundle))
    stored = onnx.load(str(bundle.path / "model.onnx"))
    assert stored.ir_version <= 10
    assert [entry.version for entry in stored.opset_import] == [17]


def test_an_export_needs_no_run_that_was_learnt_from(
    toy_run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: ToyExperiment) -> str:
        raise TrainingError("no such run", source="runs/wide", next_step="Train it first")

    monkeypatch.setattr(ToyExperiment, "story", gone)
    with pytest.raises(TrainingError, match="runs/wide"):  # of before the story was kept
        export(toy_run, tmp_path, tmp_path / "old")
    kept = json.loads((toy_run.path / "run.json").read_text()) | {"story": "Taught by wide."}
    (toy_run.path / "run.json").write_text(json.dumps(kept))
    bundle = export(toy_run, tmp_path, tmp_path / "toy")
    assert "Taught by wide." in (bundle.path / "README.md").read_text()


def test_onnx_equals_torch_on_data_it_was_not_tried_on(toy_run: RunDir, tmp_path: Path) -> None:
    bundle = export(toy_run, tmp_path, tmp_path / "toy")
    experiment = ToyExperiment(ToyOptions())
    validation = experiment.load_evaluation(tmp_path)
    model = experiment.build_model()
    model.load_state_dict(toy_run.load_best().weights)
    with torch.no_grad():
        expected = model.eval()(validation.inputs[0]).numpy()
    session = onnxruntime.InferenceSession(str(bundle.path / "model.onnx"))
    for i in range(100, 150):
        features = validation.inputs[0][i : i + 1].numpy()
        logits, probabilities = session.run(None, {"features": features})
        assert np.allclose(logits, expected[i], atol=1e-5)
        tempered = np.exp(expected[i] / bundle.manifest.calibration.temperature)
        assert np.allclose(probabilities, tempered / tempered.sum(), atol=1e-5)


def test_the_card_says_what_must_be_said(toy_run: RunDir, tmp_path: Path) -> None:
    bundle = export(toy_run, tmp_path, tmp_path / "toy")
    card = (bundle.path / "README.md").read_text()
    for words in (
        "Not a medical device",
        "**simulated**",
        "trainer fit toy.yaml",
        "abc123",
        "2 cores",
        "Everything.",
        "first-half",
        "simulated validation",
    ):
        assert words in card
    figures = json.loads((bundle.path / "metrics.json").read_text())
    assert f"{figures['accuracy']:.4f}" in card
    assert figures["n"] == 150
    assert figures["subsets"]["first_half"]["n"] == 75
    assert np.sum(figures["confusion"]) == 150


def test_evaluate_repeats_the_bundles_own_metrics(toy_run: RunDir, tmp_path: Path) -> None:
    bundle = export(toy_run, tmp_path, tmp_path / "toy")
    experiment = bundle_recipe(bundle).experiment
    split = choose_split(experiment, tmp_path, "validation")
    again = evaluate(bundle, experiment, split, tmp_path)
    stored = json.loads((bundle.path / "metrics.json").read_text())
    exported = stored.pop("exported")
    assert again == stored
    assert exported["parity_max_error"] <= exported["parity_tolerance"] == 1e-4
    assert exported["files_mb"]["model.onnx"] < 0.1


def test_a_bundle_of_other_labels_is_not_scored(toy_run: RunDir, tmp_path: Path) -> None:
    bundle = export(toy_run, tmp_path, tmp_path / "toy")
    text = (bundle.path / "manifest.json").read_text().replace('"middle"', '"mean"')
    (bundle.path / "manifest.json").write_text(text)
    seal(bundle.path)
    experiment = ToyExperiment(ToyOptions())
    split = experiment.load_evaluation(tmp_path)
    with pytest.raises(ConfigError, match="labels"):
        evaluate(load_bundle(bundle.path), experiment, split, tmp_path)


def test_a_failed_export_leaves_the_old_bundle(
    toy_run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = export(toy_run, tmp_path, tmp_path / "toy")
    monkeypatch.setattr(onnx_graph, "TOLERANCE_FP32", 1e-30)
    with pytest.raises(InferenceError, match="strays"):
        export(toy_run, tmp_path, tmp_path / "toy")
    assert load_bundle(tmp_path / "toy").model_id == old.model_id
    assert {path.name for path in tmp_path.iterdir()} == {"run", "toy"}
    monkeypatch.undo()
    monkeypatch.setitem(registry.EXPERIMENTS, "emotion", TOY)
    assert export(toy_run, tmp_path, tmp_path / "toy").model_id == old.model_id


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "manifest.json").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "never made", old)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (old / "manifest.json").read_text() == "old"


def test_a_folder_that_is_no_bundle_is_not_replaced(toy_run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(TrainingError, match="no bundle"):
        export(toy_run, tmp_path, tmp_path / "photos")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="trainer fit"):
        export(RunDir(tmp_path), tmp_path, tmp_path / "toy")


def test_the_shipped_emotion_bundle() -> None:
    bundle = load_bundle(ROOT / "exports" / "emotion")
    assert bundle.manifest.labels == (
        *("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    )
    assert (bundle.path / "model.onnx").stat().st_size <= 6_000_000
    assert not bundle.manifest.simulated
    assert [(t.name, t.dtype, t.shape) for t in bundle.manifest.graphs[0].inputs] == [
        ("face", "uint8", (1, 1, 48, 48))
    ]
    assert all(parity.passed for parity in replay_golden(bundle))
    card = (bundle.path / "README.md").read_text()
    assert "not felt emotion" in card
    assert "Not a medical device" in card


def test_the_shipped_emotion_bundle_scores_as_it_says(data_dir: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from trainer.cli import app

    out = tmp_path / "figures.json"
    done = CliRunner().invoke(
        app,
        ["evaluate", str(ROOT / "exports/emotion"), "--data", str(data_dir), "--json", str(out)],
    )
    assert done.exit_code == 0, done.output
    measured = json.loads(out.read_text())
    shipped = json.loads((ROOT / "exports/emotion/metrics.json").read_text())
    assert measured["n"] == 3_589
    assert measured["subsets"]["duplicate_free"]["n"] == 3_589 - 280
    # Another processor may round a few of the closest answers the other way.
    for name in ("accuracy", "macro_f1", "kappa", "ece"):
        assert measured[name] == pytest.approx(shipped[name], abs=0.002)


def test_an_altered_bundle_is_not_scored(tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "exports" / "emotion", tmp_path / "emotion")
    data = bytearray((copy / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.onnx").write_bytes(data)
    with pytest.raises(ManifestError, match="hash"):
        load_bundle(copy)
