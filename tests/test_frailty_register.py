"""Frailty by gait parameters: the road from a register to a bundle and its figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnxruntime  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from edge_app.errors import ConfigError, DatasetError, TrainingError  # noqa: E402
from edge_app.inference.bundle import load_bundle, replay_golden  # noqa: E402
from tests.gstride_tables import TITLES, crowd, write  # noqa: E402
from trainer.cli import app  # noqa: E402
from trainer.datasets import gstride  # noqa: E402
from trainer.datasets.gait_parameters import gait_table  # noqa: E402
from trainer.datasets.gstride import LABELS, read_table  # noqa: E402
from trainer.evaluate import bundle_recipe, evaluate  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.learnt_people import fingerprints, remarks  # noqa: E402
from trainer.models.gait_bayes import (  # noqa: E402
    ExplainedGait,
    centres,
)
from trainer.recipe import RECIPES_DIR, load_recipe  # noqa: E402
from trainer.register import comparison  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

RECIPE = RECIPES_DIR / "frailty_register.yaml"
COUNTS = (12, 14, 8)
QUICK = ("experiment.repeats=2", "experiment.outer_folds=3", "experiment.inner_folds=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("register")


@pytest.fixture(scope="module")
def register(folder: Path) -> Iterator[Path]:
    """A made-up register that training takes for the published one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gstride, "COUNTS", dict(zip(LABELS, COUNTS, strict=True)))
        yield write(folder / "register.csv", crowd(COUNTS, seed=1))


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def bundle_path(register: Path, folder: Path) -> Path:
    changes = [word for change in QUICK for word in ("--set", change)]
    run("fit", RECIPE, "--data", register, "--out", folder / "run", *changes)
    run("export", folder / "run", "--data", register, "--out", folder / "frailty")
    return folder / "frailty"


def test_fit_export_evaluate_in_a_row(bundle_path: Path, register: Path, tmp_path: Path):
    bundle = load_bundle(bundle_path)
    manifest = bundle.manifest
    recipe = load_recipe(RECIPE)
    assert manifest.conditioning.parameters == recipe.experiment.options.parameters
    assert manifest.conditioning.min_strides == 20
    graph = manifest.graphs[0]
    assert [(t.name, t.shape) for t in graph.inputs] == [("gait", (1, 8))]
    assert {t.name: t.shape for t in graph.outputs} == {
        "logits": (1, 3),
        "probabilities": (1, 3),
        "contributions": (1, 8, 3),
        "familiar": (1, 8),
    }
    assert all(parity.passed for parity in replay_golden(bundle))
    assert {metric.split[:11] for metric in manifest.metrics} == {"out of fold"}
    shipped = json.loads((bundle_path / "metrics.json").read_text())
    by_name = {metric.name: metric.value for metric in manifest.metrics}
    assert by_name["balanced_accuracy"] == shipped["balanced_accuracy"]
    assert not manifest.simulated

    out = tmp_path / "figures.json"
    shown = run("evaluate", bundle_path, "--data", register, "--json", out)
    figures = json.loads(out.read_text())
    assert figures["learnt_from"] is True
    assert figures["people_learnt_from"] == figures["n"] == sum(COUNTS)
    assert figures["nested"]["balanced_accuracy"] == shipped["balanced_accuracy"]
    assert "learnt from" in " ".join(shown.split())
    for key in (
        *("accuracy", "balanced_accuracy", "macro_f1", "per_class", "n", "auc_frail", "ece"),
        *("brier", "auc_robust", "recall_frail", "confusion", "kappa", "intervals", "subsets"),
        *("ece_data_shares", "people_left_out", "notes"),
    ):
        assert key in figures
    assert figures["subsets"]["indoors"]["n"] == sum(COUNTS)
    assert "outdoors" not in figures["subsets"]


def test_strangers_are_not_said_to_be_learnt_from(bundle_path: Path, tmp_path: Path):
    """Other people, some of the same name, with blanks and a row that nobody can class."""
    rows = crowd((5, 5, 5), seed=99)
    rows[0][TITLES.index("Stride time - STD (s)")] = "-"
    for one in rows:
        one[31:34] = [""] * 3
        one[16:19] = [""] * 3
    rows[1][18:25] = [""] * 7
    path = write(tmp_path / "others.csv", rows)
    out = tmp_path / "figures.json"
    run("evaluate", bundle_path, "--data", path, "--json", out)
    figures = json.loads(out.read_text())
    assert figures["learnt_from"] is False
    assert figures["n"] == 14
    assert figures["people_left_out"] == ["X002"]
    assert figures["people_lacking_a_parameter"] == 1


def test_the_same_people_renamed_or_blanked_are_known_again(bundle_path: Path, tmp_path: Path):
    rows = crowd(COUNTS, seed=1)
    for i, one in enumerate(rows):
        if i % 3 == 0:
            one[1] = f"renamed{i}"
        elif i % 3 == 1:
            one[TITLES.index("Stride time - Avg. (s)")] = ""
        else:  # only two parameters are left under the same name
            first = TITLES.index("Stride time - Avg. (s)")
            one[first : first + 14] = ["", one[first + 1], *[""] * 8, one[first + 10], *[""] * 3]
    bundle = load_bundle(bundle_path)
    experiment = bundle_recipe(bundle).experiment
    path = write(tmp_path / "again.csv", rows)
    figures = evaluate(bundle, experiment, experiment.load_evaluation(path), path)
    assert figures["people_learnt_from"] == sum(COUNTS)


def test_a_bundle_that_does_not_say_whom_it_learnt_from_is_not_believed():
    people = torch.ones(2, 3)
    split = Split((people,), torch.zeros(2, dtype=torch.int64), np.array(["A", "B"]), "two")
    for shipped in ({}, {"learnt_people": {"values": [], "people": []}}):
        said = remarks(shipped, split)
        assert said["learnt_from"] is None
        assert "is not known" in " ".join(said["notes"])
    stranger = Split((people + 1.0,), split.targets, split.groups, "others")
    assert remarks({"learnt_people": fingerprints(stranger)}, split)["learnt_from"] is False


def test_nobody_is_answered_for_without_any_gait_parameter(bundle_path: Path, tmp_path: Path):
    rows = crowd((5, 5, 5), seed=99)
    rows[3][34:] = [""] * len(rows[3][34:])
    out = tmp_path / "figures.json"
    shown = run("evaluate", bundle_path, "--data", write(tmp_path / "r.csv", rows), "--json", out)
    figures = json.loads(out.read_text())
    assert (figures["n"], figures["people_left_out"]) == (14, ["X004"])
    assert "1 person left out" in " ".join(shown.split())
    for one in rows:
        one[34:] = [""] * len(one[34:])
    experiment = bundle_recipe(load_bundle(bundle_path)).experiment
    with pytest.raises(DatasetError, match="nobody has a gait parameter"):
        experiment.load_evaluation(write(tmp_path / "blank.csv", rows))


def test_onnx_equals_torch_also_where_values_are_unknown(bundle_path: Path, folder: Path):
    experiment = bundle_recipe(load_bundle(bundle_path)).experiment
    model = experiment.build_model()
    state = torch.load(folder / "run" / "direct.pt", weights_only=True)
    model.load_state_dict(state["weights"])
    temperature = load_bundle(bundle_path).manifest.calibration.temperature
    module = ExplainedGait(model.eval(), temperature)
    rng = np.random.default_rng(8)
    gait = centres(model)[0] * rng.normal(1.0, 0.5, (60, 8)).astype(np.float32)
    gait[rng.random(gait.shape) < 0.3] = np.nan
    gait[0, 3], gait[1, 4], gait[2] = np.inf, -np.inf, np.nan
    session = onnxruntime.InferenceSession(str(bundle_path / "model.onnx"))
    for one in gait:
        answers = session.run(None, {"gait": one[None]})
        with torch.no_grad():
            expected = module(torch.from_numpy(one[None]))
        for answer, wanted in zip(answers, expected, strict=True):
            assert np.isfinite(answer).all()
            assert np.allclose(answer, wanted.numpy(), atol=1e-4)


def test_no_person_is_in_the_bundle(bundle_path: Path, register: Path):
    golden = np.load(bundle_path / "golden.npz")
    people = gait_table(
        read_table(register).people, load_recipe(RECIPE).experiment.options.parameters
    )
    for case in golden["model/gait"]:
        known = np.isfinite(case)
        if known.any():
            assert np.abs(people - case)[:, known].max(axis=1).min() > 1e-3
    text = "".join(path.read_text() for path in bundle_path.glob("*.json"))
    assert "X001" not in text


def test_the_card_says_what_must_be_said(bundle_path: Path):
    card = (bundle_path / "README.md").read_text()
    for words in (
        "Not a medical device",
        "Gait speed is itself one of the five Fried items",
        "4.8 points of frail recall",
        "Device shift",
        "equal class shares",
        "SIMULATED draws",
        "`stride_time_s_mean`",
        "indoors",
        "Tried.",
        "Read this first",
        "none before 20 strides and 30 s",
        "standard deviation over the repeats",
        "trainer cross-validate frailty_register",
        "nobody was held out",
    ):
        assert words in card.replace("\n", " "), words
    assert card.index("## Limits") < card.index("## Measured")
    assert card.count("half to frail") <= 5


def test_cross_validate_compares_and_draws(register: Path, tmp_path: Path, monkeypatch):
    quick = comparison.rival_families
    monkeypatch.setattr(comparison, "rival_families", lambda table: quick(table)[:2])
    changes = [word for change in QUICK for word in ("--set", change)]
    out = tmp_path / "cv"
    shown = run("cross-validate", RECIPE, "--data", register, "--out", out, *changes)
    figures = json.loads((out / "cross_validation.json").read_text())
    assert set(figures["families"]) >= {"naive Bayes", "family chosen by inner folds"}
    assert figures["baselines"]["always prefrail"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert figures["baselines"]["always prefrail"]["accuracy"] == pytest.approx(14 / 34)
    assert all(row["tuned"] for row in figures["families"].values())
    assert "SIMULATED" in shown
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {
        *("reliability.png", "per_class.png", "confusion.png", "contributions.png"),
        "families.png",
    }
    again = tmp_path / "run"
    run("fit", RECIPE, "--data", register, "--out", again, *changes)
    fitted = json.loads((again / "figures.json").read_text())
    assert fitted["balanced_accuracy"] == figures["families"]["naive Bayes"]["balanced_accuracy"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("experiment.parameters=[tug_s_mean]", "tug_s_mean"),
        ("experiment.parameters=[stride_speed_mps_sd]", "stride_speed_mps_sd"),
        ("experiment.parameters=[load_fraction_sd, load_fraction_sd]", "doubled"),
        ("experiment.parameters=[]", "parameters"),
    ],
)
def test_what_is_not_offered_is_refused(change: str, named: str):
    with pytest.raises(ConfigError, match=named):
        load_recipe(RECIPE, (change,))


def test_there_is_no_validation_split(register: Path):
    experiment = load_recipe(RECIPE).experiment
    with pytest.raises(DatasetError, match="nobody is held out"):
        experiment.load(register)


def test_a_run_without_its_model_is_refused(bundle_path: Path, register: Path, tmp_path: Path):
    run_folder = shutil.copytree(bundle_path.parent / "run", tmp_path / "run")
    (run_folder / "direct.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        export(RunDir(run_folder), register, tmp_path / "again")
    (run_folder / "direct.pt").unlink()
    with pytest.raises(TrainingError, match="no fitted model"):
        export(RunDir(run_folder), register, tmp_path / "again")
