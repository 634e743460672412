"""Sleep experiment: front end, mask, streaming, split and bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly, welch

torch = pytest.importorskip("torch")

from edge_app.contracts import StreamInfo, Window  # noqa: E402
from edge_app.errors import DatasetError  # noqa: E402
from edge_app.inference.bundle import Bundle, load_bundle, require_golden  # noqa: E402
from edge_app.tasks.sleep import SleepTask  # noqa: E402
from trainer.datasets.sleepedf_bandpower import Night, load_nights  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.experiments.sleep import SleepExperiment, SleepOptions  # noqa: E402
from trainer.experiments.sleep_windows import (  # noqa: E402
    LENGTH,
    LOOKAHEAD,
    streamed_split,
    training_split,
)
from trainer.features.welch import BANDS_HZ, WelchFeatures  # noqa: E402
from trainer.metrics import IGNORE  # noqa: E402
from trainer.models.sleep_gru import SleepGru  # noqa: E402
from trainer.recipe import RECIPES_DIR, load_recipe  # noqa: E402

pytestmark = pytest.mark.torch
BUNDLE = Path(__file__).resolve().parents[1] / "exports" / "sleep"


def expected_features(epoch_uv: np.ndarray) -> np.ndarray:
    """The seven documented values by scipy and numpy in float64."""
    signal = epoch_uv.astype(np.float64)
    bins_hz, density = welch(signal, 100.0, nperseg=256)
    bands = [
        density[(bins_hz >= low) & (bins_hz <= high)].mean()
        for low, high in ((0.5, 4), (4, 8), (8, 13), (13, 30), (30, 50))
    ]
    return np.array([*bands, signal.var(), np.diff(signal).var()])


def encoded(epochs_uv: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return WelchFeatures(100.0)(torch.from_numpy(epochs_uv[:, None])).numpy()


def random_night(n: int, seed: int) -> Night:
    generator = np.random.default_rng(seed)
    features = np.exp(generator.normal(1.0, 1.0, (n, 7))).astype(np.float32)
    return Night(f"SC4{seed:02d}1E0", f"{seed:02d}", features, generator.integers(0, 5, n))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


def model_at_random() -> SleepGru:
    torch.manual_seed(0)
    model = SleepGru(7, 5, hidden=16, layers=1, dropout=0.0)
    model.standardise_by(torch.rand(100, 7) * 50 + 0.1)
    return model.eval()


N = np.arange(3000)
MADE_SIGNALS = {
    "white": lambda g: g.normal(0, 10, 3000),
    "red": lambda g: np.cumsum(g.normal(0, 3, 3000)),
    "offset of 1 mV": lambda g: 1000 + g.normal(0, 5, 3000),
    "faint gamma under large delta": lambda g: 150 * np.sin(N / 16) + g.normal(0, 0.5, 3000),
    "on a band's edge": lambda g: 40 * np.sin(0.25 * np.pi * N) + g.normal(0, 1, 3000),
}


@pytest.mark.parametrize("name", MADE_SIGNALS)
def test_encoder_equals_scipy_on_made_signals(name):
    epoch = MADE_SIGNALS[name](np.random.default_rng(4)).astype(np.float32)
    np.testing.assert_allclose(encoded(epoch[None])[0], expected_features(epoch), rtol=1e-4)


def test_encoder_equals_scipy_on_real_eeg(data_dir):
    raw_uv = np.loadtxt(data_dir / "sleep/raw/excerpt3.txt", skiprows=1)
    epochs = resample_poly(raw_uv, 2, 1)[: 60 * 3000].reshape(60, 3000).astype(np.float32)
    expected = np.stack([expected_features(epoch) for epoch in epochs])
    np.testing.assert_allclose(encoded(epochs), expected, rtol=1e-4)


def test_bands_of_the_documentation():
    assert BANDS_HZ == ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 50.0))


@pytest.mark.parametrize("nonsense", [0.0, 1e9, float("nan"), float("inf"), -5.0])
def test_a_masked_epoch_tells_nothing(nonsense):
    features = torch.rand(2, LENGTH, 7) * 30
    mask = torch.ones(2, LENGTH)
    mask[0, [0, 7, 19]] = 0.0
    mask[1, :13] = 0.0
    spoilt = torch.where(mask[:, :, None] > 0, features, torch.tensor(nonsense))
    with torch.no_grad():
        model = model_at_random()
        clean, other = model(features * mask[:, :, None], mask), model(spoilt, mask)
    assert torch.equal(clean, other)


def test_zero_power_is_finite():
    with torch.no_grad():
        logits = model_at_random()(torch.zeros(1, LENGTH, 7), torch.ones(1, LENGTH))
    assert torch.isfinite(logits).all()


def test_streamed_split_labels_each_epoch_once_where_it_becomes_final():
    night = random_night(30, 1)
    split = streamed_split([night], "one night")
    features, mask = (tensor.numpy() for tensor in split.inputs)
    targets = split.targets.numpy()
    seen = [
        (moment - (LENGTH - 1 - position), targets[moment, position])
        for moment, position in zip(*np.nonzero(targets != IGNORE), strict=True)
    ]
    assert sorted(seen) == list(enumerate(night.stages))
    assert mask.sum(axis=1).tolist() == [min(t + 1, LENGTH) for t in range(30)]
    np.testing.assert_array_equal(features[25], night.features[6:26])
    np.testing.assert_array_equal(features[3, -4:], night.features[:4])
    assert not features[3, :-4].any()


def test_training_windows_stay_within_a_night():
    nights = [random_night(25, 1), random_night(22, 2)]
    split = training_split(nights, "two nights")
    assert split.groups.tolist() == ["01"] * 6 + ["02"] * 3
    np.testing.assert_array_equal(split.inputs[0][6], nights[1].features[:20])
    np.testing.assert_array_equal(split.targets[8], nights[1].stages[2:])


def naive_streaming(bundle: Bundle, night: Night) -> np.ndarray:
    """The final probabilities of each epoch, epoch by epoch as the reference describes it."""
    said: list[list[np.ndarray]] = [[] for _ in night.stages]
    for newest in range(len(night.stages)):
        features = np.zeros((1, LENGTH, 7), np.float32)
        mask = np.zeros((1, LENGTH), np.float32)
        for age in range(min(newest + 1, LENGTH)):
            features[0, LENGTH - 1 - age] = night.features[newest - age]
            mask[0, LENGTH - 1 - age] = 1.0
        out = bundle.runners["sequence"].run({"features": features, "mask": mask})
        for age in range(min(newest, LOOKAHEAD) + 1):
            said[newest - age].append(out["probabilities"][0, LENGTH - 1 - age])
    means = [np.prod(np.array(answers, float), axis=0) ** (1 / len(answers)) for answers in said]
    return np.array([mean / mean.sum() for mean in means])


def test_streamed_score_equals_a_naive_loop_over_epochs(bundle):
    nights = [random_night(31, 1), random_night(9, 2)]
    split = streamed_split(nights, "two nights")
    experiment = load_recipe(BUNDLE / "recipe.yaml").experiment
    scored = experiment.score(lambda role, inputs: bundle.runners[role].run(inputs), split)
    assert scored.shape == (40, LENGTH, 5)
    moments, positions = np.nonzero(split.targets.numpy() != IGNORE)
    epochs = moments - (LENGTH - 1 - positions)
    expected = np.concatenate([naive_streaming(bundle, night) for night in nights])
    np.testing.assert_allclose(scored[moments, positions], expected[epochs], atol=1e-5)


def test_the_bedside_says_what_evaluation_scores(bundle):
    """Raw simulated EEG through the runtime's task equals the offline road, epoch for epoch."""
    generator = np.random.default_rng(6)
    walk = np.cumsum(generator.normal(0, 3, (27, 3000)), axis=1)
    epochs = (walk - walk.mean(axis=1, keepdims=True)).astype(np.float32)
    info = StreamInfo("eeg", "eeg", 100.0, ("Fpz-Cz",), ("uV",), "simulation", simulated=True)
    task = SleepTask(bundle, info)
    said = []
    for i, epoch in enumerate(epochs):
        said += task.push(Window(i, 30.0 * i, 30.0 * (i + 1), 100.0, epoch[:, None]))
    said += task.finish()
    final = {p.start_s: [q for _, q in p.probabilities] for p in said if p.final}

    night = Night("SC4011E0", "01", encoded(epochs), np.zeros(27, dtype=np.int64))
    split = streamed_split([night], "simulated")
    experiment = load_recipe(BUNDLE / "recipe.yaml").experiment
    scored = experiment.score(lambda role, inputs: bundle.runners[role].run(inputs), split)
    moments, positions = np.nonzero(split.targets.numpy() != IGNORE)
    starts_s = 30.0 * (moments - (LENGTH - 1 - positions))
    assert sorted(final) == sorted(starts_s.tolist())
    expected = np.array([final[start_s] for start_s in starts_s])
    np.testing.assert_allclose(scored[moments, positions], expected, atol=1e-4)


def options(**changes: object) -> SleepOptions:
    return SleepOptions(**{"validation_subjects": ("04", "05"), **changes})


def test_no_person_on_both_sides(data_dir):
    train, validation = SleepExperiment(options()).load(data_dir)
    assert set(train.groups) == {"00", "01", "02", "06", "08", "09"}
    assert set(validation.groups) == {"04", "05"}
    assert int((validation.targets != IGNORE).sum()) == 1235 + 1200 + 672 + 1246


def test_evaluation_leaves_out_people_who_were_learnt_from(data_dir):
    split = SleepExperiment(options()).load_evaluation(data_dir / "sleep/sleepedf_bandpower.npz")
    assert set(split.groups) == {"04", "05"}


def test_evaluation_takes_every_night_of_other_people(tmp_path):
    night = random_night(40, 12)
    both = np.concatenate((night.features, night.features), axis=1)
    path = tmp_path / "others.npz"
    np.savez(path, SC4121E0_x=both, SC4121E0_y=night.stages.astype(np.int8))
    split = SleepExperiment(options()).load_evaluation(path)
    assert set(split.groups) == {"12"}
    assert len(split.targets) == 40


@pytest.mark.parametrize("subjects", [("77",), ("00", "01", "02", "04", "05", "06", "08", "09")])
def test_impossible_validation_subjects_are_refused(data_dir, subjects):
    with pytest.raises(DatasetError, match="validation_subjects"):
        SleepExperiment(options(validation_subjects=subjects)).load(data_dir)


def test_unknown_people_are_not_learnt_from(tmp_path):
    """Evaluation counts everybody but the archive's people as new: they must be the same ones."""
    arrays = {}
    for subject in ("00", "01", "02", "04", "05", "06", "08", "09", "12"):
        night = random_night(25, int(subject))
        arrays[f"SC4{subject}1E0_x"] = np.concatenate((night.features, night.features), axis=1)
        arrays[f"SC4{subject}1E0_y"] = night.stages.astype(np.int8)
    path = tmp_path / "nights.npz"
    np.savez(path, **arrays)
    with pytest.raises(DatasetError, match="documented to learn from"):
        SleepExperiment(options()).load(path)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"other": np.zeros(3)}, "holds no night"),
        ({"SC4001E0_x": np.ones((4, 14))}, "another shape"),
        ({"SC4001E0_x": np.ones((4, 7)), "SC4001E0_y": np.zeros(4)}, "another shape"),
        ({"SC4001E0_x": -np.ones((4, 14)), "SC4001E0_y": np.zeros(4)}, "negative"),
        ({"SC4001E0_x": np.ones((4, 14)), "SC4001E0_y": np.full(4, 5)}, "unknown stages"),
    ],
)
def test_other_archives_are_refused(tmp_path, arrays, problem):
    np.savez(tmp_path / "nights.npz", **arrays)
    with pytest.raises(DatasetError, match=problem):
        load_nights(tmp_path / "nights.npz")


@pytest.mark.parametrize("content", [b"", b"no archive at all"])
def test_damaged_archives_are_refused(tmp_path, content):
    (tmp_path / "nights.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_nights(tmp_path / "nights.npz")


def test_augmentation_keeps_truth_and_masks_targets():
    night = random_night(60, 3)
    split = training_split([night], "night")
    generator = torch.Generator().manual_seed(0)
    experiment = SleepExperiment(
        options(gain_db=3.0, tilt_db=0.0, dull_probability=0.0, pad_probability=0.5)
    )
    (features, mask), targets = experiment.augment(split.inputs, split.targets, generator)
    assert torch.equal(targets != IGNORE, mask > 0)
    assert torch.equal(targets[mask > 0], split.targets[mask > 0])
    assert not features[mask == 0].any()
    assert (mask[:, -1] > 0).float().mean() > 0.8  # padding comes from the left only
    # One amplifier a window: every value of a window is changed by the same factor.
    ratio = torch.where(mask[:, :, None] > 0, features / split.inputs[0], torch.nan)
    spread = [float(r[~r.isnan()].max() / r[~r.isnan()].min()) for r in ratio]
    np.testing.assert_allclose(spread, 1.0, rtol=1e-4)


def test_a_slow_amplifier_loses_its_upper_bands_only():
    split = training_split([random_night(60, 3)], "night")
    experiment = SleepExperiment(
        options(gain_db=0.0, tilt_db=0.0, dull_probability=1.0, pad_probability=0.0,
                drop_probability=0.0)
    )  # fmt: skip
    (features, _), _ = experiment.augment(
        split.inputs, split.targets, torch.Generator().manual_seed(0)
    )
    ratio = (features / split.inputs[0])[:, 0]
    for unchanged in (0, 1, 2, 5):  # delta, theta, alpha, variance
        torch.testing.assert_close(ratio[:, unchanged], torch.ones(len(ratio)))
    loss_db = -10 * torch.log10(ratio)
    assert 20 < float(loss_db[:, 4].max()) <= 40
    torch.testing.assert_close(loss_db[:, 3], loss_db[:, 4] * 3 / 40, atol=1e-3, rtol=0)


def test_bundle_keeps_its_contract(bundle):
    require_golden(bundle)
    encoder, sequence = bundle.manifest.graphs
    assert [(t.name, t.shape) for t in encoder.inputs] == [("eeg", (1, 1, 3000))]
    assert [(t.name, t.shape) for t in encoder.outputs] == [("features", (1, 7))]
    assert {t.name: t.shape for t in sequence.inputs} == {
        "features": (1, LENGTH, 7),
        "mask": (1, LENGTH),
    }
    assert bundle.manifest.labels == ("W", "N1", "N2", "N3", "R")
    assert bundle.manifest.rolling.lookahead_windows == LOOKAHEAD
    assert not bundle.manifest.simulated


def test_bundled_encoder_equals_scipy(bundle):
    epoch = np.cumsum(np.random.default_rng(9).normal(0, 3, 3000)).astype(np.float32)
    out = bundle.runners["encoder"].run({"eeg": epoch[None, None]})["features"][0]
    np.testing.assert_allclose(out, expected_features(epoch), rtol=1e-4)


def test_bundle_was_made_by_the_recipe_that_is_shipped():
    shipped = load_recipe(RECIPES_DIR / "sleep_gru.yaml")
    # read back, so that an option that came later counts with its default
    assert load_recipe(BUNDLE / "recipe.yaml").to_yaml() == shipped.to_yaml()


def test_bundle_on_its_validation_people(bundle, data_dir):
    """Well above chance and below what the reference calls suspicious, as metrics.json says."""
    from trainer.evaluate import choose_split, evaluate

    experiment = load_recipe(BUNDLE / "recipe.yaml").experiment
    split: Split = choose_split(experiment, data_dir, "evaluation")
    figures = evaluate(bundle, experiment, split, data_dir)
    stored = {metric.name: metric.value for metric in bundle.manifest.metrics}
    assert figures["n"] == 4353
    assert figures["kappa"] == pytest.approx(stored["kappa"], abs=1e-3)
    assert 0.6 < figures["kappa"] < 0.9
