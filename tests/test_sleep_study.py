"""Comparing ways of staging on people left out: trees, delays, tables, one small study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")

from trainer.datasets.feature_night import FeatureNight  # noqa: E402
from trainer.experiments.sleep_stream import SleepStreamExperiment  # noqa: E402
from trainer.experiments.sleep_stream_nights import padded_nights  # noqa: E402
from trainer.experiments.sleep_stream_options import SleepStreamOptions  # noqa: E402
from trainer.features.causal_levels import CausalLevels  # noqa: E402
from trainer.fold_run import load_answers  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.sleep_evaluation.comparison import signed_interval  # noqa: E402
from trainer.sleep_study import comparison  # noqa: E402
from trainer.sleep_study.people_left_out import folds_of  # noqa: E402
from trainer.sleep_study.plain_gru import PlainGru  # noqa: E402
from trainer.sleep_study.trees import LAGS, READ, TRAILING_EPOCHS, past_context, trees_left_out  # noqa: E402
from trainer.sleep_study.ways import (  # noqa: E402
    gains,
    gains_table,
    people_table,
    way_figures,
    ways_by_delay,
)

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("without_curves")]
QUIET = Console(quiet=True)


def made_night(subject: str, n: int) -> FeatureNight:
    """SIMULATED powers that tell the stage."""
    generator = np.random.default_rng(int(subject))
    stages = np.repeat(generator.integers(0, 5, n), 5)[:n].astype(np.int64)
    logs = stages[:, None] * np.linspace(-1.0, 1.0, 7) + generator.normal(0, 0.2, (n, 7))
    return FeatureNight(f"SC4{subject}1E0", subject, np.exp(logs).astype(np.float32), stages)


NIGHTS = [made_night("01", 90), made_night("02", 70), made_night("05", 80)]


def made_recipe(**study: object) -> Recipe:
    options = SleepStreamOptions(
        kinds=({"members": 1, "reach": 2, "layers": 1},),
        lift=8,
        hidden=6,
        stretch=12,
        stretches=1,
        study={"workers": 1, **study},
    )
    fit = FitOptions(passes=1, steps_per_pass=3, batch=8, optimiser="adamw", learning_rate=0.02)
    return Recipe("sleep_stream", "sleep", "stream", 1, fit, SleepStreamExperiment(options))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The nights with two epochs that nobody scored, and two at an end that were lost."""
    first, second, third = NIGHTS
    stages, features = first.stages.copy(), second.features.copy()
    stages[3:5], features[-2:] = -1, np.nan
    arrays = {}
    for night in (replace(first, stages=stages), replace(second, features=features), third):
        arrays[f"{night.name}_x"] = np.concatenate((night.features, night.features), axis=1)
        arrays[f"{night.name}_y"] = night.stages.astype(np.int8)
    np.savez(tmp_path / "nights.npz", **arrays)
    return tmp_path / "nights.npz"


def test_trees_read_the_past_only():
    split, levels = padded_nights(NIGHTS[:1], 0, "one"), CausalLevels()
    (table,) = past_context(split, levels)
    with torch.no_grad():
        inputs = levels(split.inputs[0])[0, :, READ].numpy()
    assert table.shape == (90, len(READ) * (LAGS + 2))
    for t in (0, 2, 40):
        for lag in range(LAGS + 1):
            expected = inputs[max(t - lag, 0)]
            np.testing.assert_array_equal(
                table[t, lag * len(READ) : (lag + 1) * len(READ)], expected
            )
        mean = inputs[max(0, t + 1 - TRAILING_EPOCHS) : t + 1].mean(axis=0)
        np.testing.assert_allclose(table[t, -len(READ) :], mean, atol=1e-4)


def test_trees_learn_and_are_not_fitted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.sleep_study.trees.ITERATIONS", 40)
    everyone = padded_nights(NIGHTS, 0, "three")
    folds = folds_of(everyone, 1)
    trees_left_out(everyone, folds, tmp_path, QUIET)
    for fold in folds:
        said, truth = load_answers(fold, tmp_path), everyone.targets[fold.test].numpy()
        scored = truth != -1
        assert (said.argmax(axis=-1) == truth)[scored].mean() > 0.7
        np.testing.assert_allclose(said.sum(axis=-1), 1.0, atol=1e-5)
    monkeypatch.setattr("trainer.sleep_study.trees.HistGradientBoostingClassifier", None)
    trees_left_out(everyone, folds, tmp_path, QUIET)


def test_the_plain_gru_does_not_look_ahead():
    torch.manual_seed(0)
    model = PlainGru(5, hidden=6, layers=2, dropout=0.0)
    features = torch.from_numpy(NIGHTS[0].features)
    model.prepare_for(features, torch.from_numpy(NIGHTS[0].stages), 0.0)
    other = features.clone()
    other[50:] *= 100.0
    with torch.no_grad():
        before, after = (model.eval()(x[None])[0, :50] for x in (features, other))
    assert torch.equal(before, after)
    assert before.shape == (50, 1, 5)


def test_answers_are_sorted_by_delay_and_scored():
    """Right at a delay of one, always stage 0 at once: only the last epoch of a night is wrong."""
    split = padded_nights(NIGHTS, 1, "three")
    targets = split.targets.numpy()
    said = np.full((*targets.shape, 5), -20.0, np.float32)
    said[:, :, 0, 0] = 0.0
    for stage in range(5):
        said[:, :, 1, stage][targets[:, :, 1] == stage] = 0.0
    ways = ways_by_delay("made", split, (said, said))
    late, now = way_figures(ways[1]), way_figures(ways[0])
    assert late["pooled"]["accuracy"]["mean"] >= 1 - 3 / 240
    assert late["pooled"]["accuracy"]["sd"] == 0.0
    share = np.mean(np.concatenate([night.stages for night in NIGHTS]) == 0)
    assert now["pooled"]["accuracy"]["mean"] == pytest.approx(share)
    assert now["pooled"]["changes_per_hour"]["mean"] == 0.0
    assert set(now["kappa_of_people"]) == {"01", "02", "05"}
    assert gains(ways[0], ways[1])["kappa"]["low"] > 0.5


def test_a_person_whom_nobody_scored_has_no_figure():
    nights = [replace(NIGHTS[0], stages=np.full(90, -1)), *NIGHTS[1:]]
    split = padded_nights(nights, 0, "three")
    said = np.log(np.full((*split.targets.shape, 5), 0.2, np.float32))
    way = ways_by_delay("made", split, (said,))[0]
    figures = way_figures(way, resamples=20)
    assert figures["kappa_of_people"]["01"] is None
    assert json.loads(json.dumps(figures, allow_nan=False))["pooled"]["kappa"]["mean"] == 0.0
    console = Console(width=200, record=True, quiet=True)
    console.print(people_table({"made": figures}))
    console.print(gains_table({"same": gains(way, way)}))


def test_an_end_of_exactly_zero_is_an_end():
    same = {"value": 0.0, "low": 0.0, "high": 0.0, "p": None}
    assert signed_interval(same) == "+0.000 [+0.000, +0.000]"
    assert signed_interval({**same, "low": None, "high": None}) == "+0.000"
    assert signed_interval({**same, "value": None}) == ""


def test_a_small_comparison_from_end_to_end(archive, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("trainer.sleep_study.trees.ITERATIONS", 2)
    console = Console(width=200)
    figures = comparison.compare(made_recipe(repeats=1), archive, tmp_path / "cv", console)
    assert list(figures["ways"]) == [
        comparison.TREES,
        comparison.PLAIN,
        comparison.OURS,
        f"{comparison.OURS}, 1 later",
        f"{comparison.OURS}, 2 later",
        comparison.AHEAD,
    ]
    for way in figures["ways"].values():
        assert sum(repeat["n"] for repeat in way["per_repeat"]) == 240 - 2 - 2
    assert len(figures["differences"]) == 5
    text = capsys.readouterr().out
    assert "plain causal GRU" in text
    assert "changes/h" in text


def test_a_sweep_stands_beside_the_papers_table(archive, tmp_path, capsys):
    recipe = made_recipe(repeats=1, gammas=(0.0, 1e-4))
    figures = recipe.experiment.cross_validate(recipe, archive, tmp_path / "g", Console(width=200))
    assert list(figures["gammas"]) == ["0", "0.0001"]
    text = capsys.readouterr().out
    assert "0.811 ± 0.003" in text
    assert "Phan et al. 2023" in text
