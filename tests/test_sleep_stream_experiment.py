"""The streamed sleep experiment: data, draws, loss, leaks, and the whole road on a made archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")

from edge_app.errors import DatasetError, TrainingError  # noqa: E402
from edge_app.inference.bundle import Bundle, require_golden  # noqa: E402
from trainer import fold_run, provenance  # noqa: E402
from trainer.datasets.feature_night import FeatureNight  # noqa: E402
from trainer.datasets.sleep_features import N_COLUMNS  # noqa: E402
from trainer.direct_run import write_direct  # noqa: E402
from trainer.evaluate import evaluate_data  # noqa: E402
from trainer.experiments.sleep_stream import SleepStreamExperiment  # noqa: E402
from trainer.experiments.sleep_stream_nights import (  # noqa: E402
    another_amplifier,
    draw_stretches,
    epochs_of_nights,
    padded_nights,
    without,
)
from trainer.experiments.sleep_stream_options import SleepStreamOptions, StudyOptions  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.losses import cross_entropy  # noqa: E402
from trainer.metrics import IGNORE  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("without_curves")]
SMALL = {
    "kinds": ({"members": 2, "reach": 3, "layers": 1},),
    "lift": 8,
    "hidden": 6,
    "stretch": 12,
    "stretches": 1,
}
QUIET = Console(quiet=True)


def made_night(subject: str, n: int, seed: int, night: int = 1) -> FeatureNight:
    """SIMULATED powers that tell the stage: each stage has its own level."""
    generator = np.random.default_rng(seed)
    stages = np.repeat(generator.integers(0, 5, n), 5)[:n]
    logs = stages[:, None] * np.linspace(-1.0, 1.0, 7) + generator.normal(0, 0.2, (n, 7))
    features = np.exp(logs).astype(np.float32)
    return FeatureNight(f"SC4{subject}{night}E0", subject, features, stages.astype(np.int64))


def write_archive(path: Path, nights: list[FeatureNight]) -> Path:
    arrays = {}
    for night in nights:
        arrays[f"{night.name}_x"] = np.concatenate((night.features, night.features), axis=1)
        arrays[f"{night.name}_y"] = night.stages.astype(np.int8)
    np.savez(path, **arrays)
    return path


def made_recipe(passes: int = 1, **options: object) -> Recipe:
    chosen = SleepStreamOptions(**{**SMALL, "study": {"workers": 1}, **options})
    fit = FitOptions(
        passes=passes, batch=8, optimiser="adamw", learning_rate=0.02, steps_per_pass=5,
        warmup_passes=0.1, ema_decay=0.9,
    )  # fmt: skip
    return Recipe("sleep_stream", "sleep", "stream", 1, fit, SleepStreamExperiment(chosen))


def test_padded_nights_name_the_epoch_that_each_delay_speaks_of():
    nights = [made_night("01", 6, 1), made_night("02", 4, 2)]
    split = padded_nights(nights, 2, "two")
    targets = split.targets.numpy()
    assert targets.shape == (2, 6, 3)
    for night, stages in zip(targets, (nights[0].stages, nights[1].stages), strict=True):
        for t in range(6):
            for k in range(3):
                there = t < len(stages) and t >= k
                assert night[t, k] == (stages[t - k] if there else IGNORE)
    assert split.examples == ("SC4011E0", "SC4021E0")
    assert split.groups.tolist() == ["01", "02"]
    assert epochs_of_nights(split.inputs[0]).tolist() == [6, 4]
    assert bool(split.inputs[0][1, 4:].isnan().all())


def test_stretches_stay_within_their_night():
    n_epochs = torch.tensor([30, 50, 8])
    rows = draw_stretches(n_epochs, 50, 10, 40, 0.2, torch.Generator().manual_seed(0))
    night, epoch = rows // 50, rows % 50
    assert rows.shape == (120, 10)
    assert torch.equal(night, torch.arange(3).repeat(40)[:, None].expand(120, 10))
    assert bool((epoch.diff(dim=1) == 1).all())
    longer = night[:, 0] < 2
    assert bool((epoch[longer, -1] < n_epochs[night[longer, 0]]).all())
    assert len(epoch[night[:, 0] == 1, 0].unique()) > 15
    assert not epoch[~longer, 0].any()


def test_an_amplifier_is_one_for_the_whole_night():
    features = torch.exp(torch.randn(4, 9, 7))
    generator = torch.Generator().manual_seed(0)
    loud = another_amplifier(features, generator, gain_db=3.0, tilt_db=0.0, slow_probability=0.0)
    ratio = loud / features
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio))
    assert len(ratio[:, 0, 0].unique()) == 4
    slow = another_amplifier(features, generator, gain_db=0.0, tilt_db=0.0, slow_probability=1.0)
    lost_db = -10 * torch.log10(slow / features)[:, 0]
    for unchanged in (0, 1, 2, 5):
        torch.testing.assert_close(lost_db[:, unchanged], torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(lost_db[:, 3], lost_db[:, 4] * 3 / 40, atol=1e-3, rtol=0)


def test_what_is_taken_away_is_nan_and_nothing_else_changes():
    features = torch.exp(torch.randn(6, 200, 7))
    generator = torch.Generator().manual_seed(1)
    less = without(features, generator, epoch_probability=0.1, psd_probability=0.5)
    kept = ~less.isnan()
    assert torch.equal(less[kept], features[kept])
    whole = (~kept).all(dim=2)
    assert 0.05 < float(whole.float().mean()) < 0.15
    bare = (~kept[..., :5]).all(dim=(1, 2))
    assert 0 < int(bare.sum()) < 6
    assert bool(kept[bare][..., 5:].any())


def test_targets_before_a_stretch_are_not_learnt():
    split = padded_nights([made_night("01", 40, 1), made_night("02", 40, 2)], 2, "two")
    experiment = made_recipe().experiment
    (features, rows), targets = experiment.augment(
        split.inputs, split.targets, torch.Generator().manual_seed(0)
    )
    assert features.shape == (2, 40, 7)
    assert rows.shape == (2, 2, 12)
    assert targets.shape == (2, 2, 12, 3)
    assert bool((targets[:, :, :2, 2] == IGNORE).all())
    assert bool((targets[:, :, 0, 1] == IGNORE).all())
    stages = split.targets[:, :, 0].flatten()
    assert torch.equal(targets[..., 0], stages[rows])
    assert torch.equal(targets[:, :, 2:, 2], stages[rows[:, :, :-2]])


def test_the_loss_without_gamma_is_the_weighted_cross_entropy_of_the_delays():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 3, 12, 3, 5), generator=generator)
    targets = torch.randint(0, 5, (2, 3, 12, 3), generator=generator)
    loss = made_recipe(revised_weight=0.5).experiment.loss(
        torch.nn.Identity(), logits, targets, 0.0
    )
    by_delay = [cross_entropy(logits[..., k, :], targets[..., k]) for k in range(3)]
    expected = 2 * (by_delay[0] + 0.5 * by_delay[1] + 0.5 * by_delay[2]) / 2.0
    torch.testing.assert_close(loss, expected)


def test_gamma_weighs_what_neighbours_losses_differ_by():
    """By hand: two epochs with losses a and b add gamma * (a - b)^2."""
    logits = torch.tensor([[2.0, 0, 0, 0, 0], [0.0, 1, 0, 0, 0]])[None, None, :, None]
    targets = torch.zeros(1, 1, 2, 1, dtype=torch.long)
    one = made_recipe(lookahead=0, gamma=0.0).experiment.loss
    other = made_recipe(lookahead=0, gamma=0.5).experiment.loss
    a = np.log(np.exp(2) + 4) - 2
    b = np.log(np.exp(1) + 4)
    added = float(other(torch.nn.Identity(), logits, targets, 0.0)) - float(
        one(torch.nn.Identity(), logits, targets, 0.0)
    )
    assert added == pytest.approx(0.5 * (a - b) ** 2, rel=1e-5)


def test_overfits_one_night():
    experiment = made_recipe(
        dropout=0.0, input_dropout=0.0, view_share=1.0, prior_shift=0.0
    ).experiment
    split = padded_nights([made_night("01", 30, 1)], 2, "one")
    experiment.prepare(split)
    torch.manual_seed(0)
    model = experiment.build_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    rows = torch.arange(30).expand(2, 1, 30)
    targets = split.targets.expand(2, 1, 30, 3)
    for _ in range(80):
        loss = experiment.loss(model, model(split.inputs[0], rows), targets, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        said = model.eval()(split.inputs[0]).argmax(dim=-1)
    scored = split.targets != IGNORE
    assert float((said == split.targets)[scored].float().mean()) > 0.97


def test_who_is_answered_for_is_in_nothing_that_is_learnt(tmp_path, monkeypatch):
    nights = [made_night(subject, 30, int(subject)) for subject in ("01", "02", "05")]
    archive = write_archive(tmp_path / "nights.npz", nights)
    seen = []
    usual = fold_run.fit

    def spy(recipe, train, validation, run, console):  # type: ignore[no-untyped-def]
        own = {night.subject: torch.from_numpy(night.features) for night in nights}
        learnt = {who for who, x in own.items() if bool((train.inputs[0] == x[:1]).all(-1).any())}
        constants = recipe.experiment.build_model().levels.log_mean
        seen.append((run.path.name, learnt, set(train.groups), validation, constants))
        return usual(recipe, train, validation, run, console)

    monkeypatch.setattr(fold_run, "fit", spy)
    recipe = made_recipe()
    recipe.experiment.fit_directly(recipe, archive, tmp_path / "run", QUIET)
    assert [name for name, *_ in seen] == [f"repeat_1_{who}" for who in ("01", "02", "05")]
    for name, learnt, groups, validation, constants in seen:
        others = {"01", "02", "05"} - {name[-2:]}
        assert learnt == groups == others
        assert validation is None
        logs = np.concatenate([np.log(n.features + 1e-4) for n in nights if n.subject in others])
        np.testing.assert_allclose(constants.numpy(), logs.mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def road(tmp_path_factory) -> tuple[Bundle, Path]:
    """Fit and export on SIMULATED nights of three people."""
    folder = tmp_path_factory.mktemp("road")
    nights = [made_night(who, 50 + 7 * i, i) for i, who in enumerate(("01", "02", "05"))]
    archive = write_archive(folder / "nights.npz", nights)
    recipe, out = made_recipe(passes=2), folder / "run"
    fitted = recipe.experiment.fit_directly(recipe, archive, out, QUIET)
    run = RunDir(out)
    run.create(recipe.to_yaml(), provenance.collect(recipe.name), resume=False)
    write_direct(out, fitted)
    return export(run, archive, folder / "sleep"), archive


def test_the_bundle_keeps_the_contract(road):
    bundle, _ = road
    require_golden(bundle)
    encoder, sequence = bundle.manifest.graphs
    assert [(t.name, t.shape) for t in encoder.inputs] == [("eeg", (1, 1, 3000))]
    assert [(t.name, t.shape) for t in encoder.outputs] == [("features", (1, 7))]
    size = {t.name: t.shape for t in sequence.inputs}["state"]
    assert {t.name: t.shape for t in sequence.inputs} == {"features": (1, 7), "state": size}
    assert {t.name: t.shape for t in sequence.outputs} == {
        "logits": (1, 5),
        "probabilities": (1, 5),
        "revised": (1, 2, 5),
        "next_state": size,
    }
    assert bundle.manifest.rolling.lookahead_windows == 2
    golden = np.load(bundle.path / "golden.npz")
    features, state = golden["sequence/features"], golden["sequence/state"]
    assert not state[0].any()
    assert state[1:].any(axis=1).all()
    assert np.isnan(features).sum(axis=1).tolist() == [0, 0, 5, 7]


def test_people_learnt_from_are_named_and_others_are_not_touched(road, tmp_path):
    bundle, archive = road
    known = evaluate_data(bundle, archive)
    assert known["learnt_from"] == ["01", "02", "05"]
    assert any("flatter" in note for note in known["notes"])
    strangers = [made_night("12", 45, 12), made_night("14", 30, 14)]
    alone = evaluate_data(bundle, write_archive(tmp_path / "others.npz", strangers))
    assert alone["learnt_from"] == []
    assert not any("flatter" in note for note in alone["notes"])
    assert alone["n"] == 75
    mixed = write_archive(tmp_path / "mixed.npz", [*strangers, made_night("01", 50, 0)])
    together = evaluate_data(bundle, mixed)
    assert together["learnt_from"] == ["01"]
    rows = {row["night"]: row for row in together["per_night"]}
    for row in alone["per_night"]:
        assert rows[row["night"]] == row


def test_evaluation_streams_the_exported_step(road, tmp_path):
    """Every night from a zero state, by the torch model that was shipped."""
    bundle, _ = road
    night = made_night("12", 40, 12)
    archive = write_archive(tmp_path / "one.npz", [night, made_night("14", 25, 3)])
    experiment = made_recipe().experiment
    split = experiment.load_evaluation(archive)
    run = bundle.runners["sequence"].run
    said = experiment.score(lambda _, inputs: run(inputs), split)
    state = np.zeros(bundle.manifest.graphs[1].inputs[1].shape, np.float32)
    for t in range(40):
        out = run({"features": night.features[t][None], "state": state})
        state = out["next_state"]
        np.testing.assert_allclose(said[0, t, 0], out["probabilities"][0], atol=1e-6)
        np.testing.assert_allclose(said[0, t, 1:], out["revised"][0], atol=1e-6)


def test_the_layout_without_band_powers_is_staged_too(road, tmp_path):
    bundle, _ = road
    generator = np.random.default_rng(0)
    values = np.abs(generator.normal(10, 2, (40, N_COLUMNS))).astype(np.float32)
    path = tmp_path / "moments.npz"
    np.savez(path, SC4121E0_x=values, SC4121E0_y=generator.integers(-1, 5, 40).astype(np.int8))
    figures = evaluate_data(bundle, path)
    assert 0 < figures["n"] <= 40
    assert any("band powers are not known" in note for note in figures["notes"])
    assert figures["changes_per_hour"]["model"] is None


def test_epochs_of_which_nothing_is_known_get_no_answer(road, tmp_path):
    """As at the bedside; a night's end too, where the expert went on scoring."""
    bundle, _ = road
    night = made_night("12", 40, 12)
    night.features[[7, 8, 38, 39]] = np.nan
    figures = evaluate_data(bundle, write_archive(tmp_path / "gaps.npz", [night]))
    assert figures["n"] == 36
    assert figures["abstained"]["n"] == 4
    assert figures["delays"]["2"]["abstained"]["n"] == 4


def test_an_archive_of_ones_own_is_not_called_the_published_one(road):
    bundle, _ = road
    (data,) = bundle.manifest.training.data
    assert (data.name.partition(":")[0], data.people) == ("own nights", 3)
    assert "healthy" not in bundle.manifest.limits


def test_a_night_under_two_names_is_refused(tmp_path):
    first = made_night("01", 20, 1)
    copied = replace(first, name="SC4091E0", subject="09")
    archive = write_archive(tmp_path / "nights.npz", [first, made_night("02", 20, 2), copied])
    with pytest.raises(DatasetError, match="identical epoch"):
        made_recipe().experiment.everyone(archive)


def test_trees_say_which_stage_nobody_shows(tmp_path):
    nights = [made_night(who, 40, int(who)) for who in ("01", "02")]
    lacking = [replace(n, stages=np.where(n.stages == 3, 2, n.stages)) for n in nights]
    recipe = made_recipe(trees={"rounds": 2, "min_leaf": 1})
    archive = write_archive(tmp_path / "nights.npz", lacking)
    with pytest.raises(DatasetError, match=r"stage N3.*trees.rounds=0"):
        recipe.experiment.fit_directly(recipe, archive, tmp_path / "run", QUIET)


def test_a_run_goes_on_where_it_was_cut(tmp_path, monkeypatch):
    nights = [made_night(who, 40, int(who)) for who in ("01", "02")]
    archive = write_archive(tmp_path / "nights.npz", nights)
    recipe, out = made_recipe(), tmp_path / "run"
    first = recipe.experiment.fit_directly(recipe, archive, out, QUIET)
    monkeypatch.setattr(fold_run, "fit", lambda *_: pytest.fail("a finished fold was run again"))
    again = made_recipe().experiment.fit_directly(made_recipe(), archive, out, QUIET)
    assert torch.equal(first.logits, again.logits)
    for one, other in zip(
        first.model.state_dict().values(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("network", ["two_sided", "plain_gru"])
def test_what_is_for_comparison_is_not_shipped(network, tmp_path):
    recipe = made_recipe(network=network)
    with pytest.raises(TrainingError, match="only the causal net"):
        recipe.experiment.fit_directly(recipe, tmp_path, tmp_path / "run", QUIET)


def test_nights_with_gaps_are_not_learnt_from(tmp_path):
    path = tmp_path / "moments.npz"
    np.savez(path, SC4121E0_x=np.ones((9, N_COLUMNS)), SC4121E0_y=np.zeros(9, np.int8))
    with pytest.raises(DatasetError, match="cannot learn"):
        made_recipe().experiment.everyone(path)


def test_no_validation_split_is_invented(tmp_path):
    with pytest.raises(DatasetError, match="nobody is held out"):
        made_recipe().experiment.load(tmp_path)


def test_study_options_do_not_name_a_folds_run():
    from trainer.sleep_study.people_left_out import on_its_own

    one = made_recipe(study=StudyOptions(workers=1, repeats=3))
    other = made_recipe(study=StudyOptions(workers=4, repeats=5))
    assert on_its_own(one).to_yaml() == on_its_own(other).to_yaml()
