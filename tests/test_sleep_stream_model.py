"""The streamed stager: one step equals the whole, NaN tells nothing, nothing looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly, welch

torch = pytest.importorskip("torch")

from trainer.experiment import Graph  # noqa: E402
from trainer.features.causal_levels import MAX_LEVEL, STATE_SIZE, CausalLevels  # noqa: E402
from trainer.features.welch import BANDS_HZ, WelchFeatures  # noqa: E402
from trainer.models.sleep_stream import Kind, SleepStep, SleepStream  # noqa: E402
from trainer.models.sleep_trees import SleepTrees  # noqa: E402
from trainer.models.stage_trees import StageTrees  # noqa: E402
from trainer.onnx_graph import export_graph  # noqa: E402

pytestmark = pytest.mark.torch
NAN = float("nan")


def made_night(n: int, seed: int = 0) -> torch.Tensor:
    """(1, n, 7) SIMULATED powers, some values and whole epochs not known."""
    generator = torch.Generator().manual_seed(seed)
    powers = torch.exp(torch.randn((1, n, 7), generator=generator) + 1.0)
    powers[0, n // 3 : n // 3 + 4] = NAN
    powers[0, n // 2 : n // 2 + 5, :5] = NAN
    return powers


def usual_night(n: int) -> torch.Tensor:
    """(1, n, 7) SIMULATED powers, all known."""
    return torch.exp(torch.randn((1, n, 7), generator=torch.Generator().manual_seed(7)))


def made_model(*kinds: tuple[int, int, int], **more: object) -> SleepStream:
    """A small net with weights at random; kinds are members, reach, layers."""
    torch.manual_seed(0)
    chosen = [Kind(*kind) for kind in kinds or ((2, 3, 1),)]
    model = SleepStream(5, kinds=chosen, lift=8, hidden=6, delays=2, **more)
    model.prepare_for(made_night(200, 9)[0], torch.randint(0, 5, (200,)), 0.3)
    return model.eval()


def with_trees() -> SleepStream:
    """The small net beside a few trees that have learnt from SIMULATED stages."""
    forest = SleepTrees(StageTrees(5, rounds=4, leaves=6, max_depth=4))
    model = made_model((2, 3, 1), trees=forest, trees_weight=0.7)
    night = made_night(400, 11)
    stages = (night[0].nan_to_num(1.0).log().sum(dim=1) / 3).round().long().clamp(0, 4)
    grown_on = forest.inputs(model.levels(night))[0].numpy()
    forest.trees.grow(
        grown_on, stages.numpy(), learning_rate=0.3, min_leaf=5, l2=1.0, feature_share=1.0, seed=1
    )
    return model


def stepped(model: SleepStream, night: torch.Tensor) -> torch.Tensor:
    state, said = torch.zeros(1, model.state_size), []
    with torch.no_grad():
        for epoch in night[0]:
            logits, state = model.step(epoch[None], state)
            said.append(logits)
    return torch.stack(said, dim=1)


@pytest.mark.parametrize(
    "kinds", [[(1, 1, 1)], [(2, 3, 1)], [(3, 4, 2), (1, 1, 1)], [(1, 2, 3), (2, 4, 1)]]
)
def test_steps_equal_the_whole_night(kinds):
    model, night = made_model(*kinds, view_share=0.7), made_night(90)
    with torch.no_grad():
        whole = model(night)
    torch.testing.assert_close(stepped(model, night), whole, atol=1e-5, rtol=0)


def test_steps_equal_the_whole_night_with_trees_too():
    model, night = with_trees(), made_night(90)
    with torch.no_grad():
        whole = model(night)
    said = stepped(model, night)
    for delay in range(3):  # the answers about epochs before the start are of no use
        torch.testing.assert_close(
            said[:, delay:, delay], whole[:, delay:, delay], atol=1e-5, rtol=0
        )


def test_trees_add_what_they_said_when_the_epoch_was_the_newest():
    model, night = with_trees(), made_night(40)
    trees, model.trees = model.trees, None
    with torch.no_grad():
        alone = model(night)
        votes = trees(model.levels(night))
        model.trees = trees
        both = model(night)
    for delay in range(3):
        added = both[:, delay:, delay] - alone[:, delay:, delay]
        torch.testing.assert_close(added, 0.7 * votes[:, : 40 - delay], atol=1e-5, rtol=0)


def test_trees_see_the_last_epochs_and_two_fading_means():
    model, night = with_trees(), usual_night(12)
    with torch.no_grad():
        levels = model.levels(night)
        seen = model.trees.inputs(levels)[0].numpy()
    level, own = levels[0, :, :7].numpy(), levels[0, :, 7:14].numpy()
    shown = np.concatenate((level, own, level[:, :5] - level[:, 5:6]), axis=1)
    np.testing.assert_allclose(seen[8, :19], shown[8], atol=1e-6)
    np.testing.assert_allclose(seen[8, 21:78], shown[[7, 6, 5]].ravel(), atol=1e-6)
    np.testing.assert_allclose(seen[1, 21:78], [*shown[0], *[0.0] * 38], atol=1e-6)
    for i, epochs in enumerate((3.0, 9.0)):
        weights = np.exp(-np.arange(8, -1, -1) / epochs)
        expected = (weights[:, None] * shown[:9]).sum(axis=0) / weights.sum()
        np.testing.assert_allclose(seen[8, 78 + 19 * i : 97 + 19 * i], expected, atol=1e-5)


def test_nights_side_by_side_do_not_meet():
    model, one, other = made_model(), made_night(40, 1), made_night(40, 2)
    with torch.no_grad():
        both = model(torch.cat((one, other)))
        torch.testing.assert_close(both[1:], model(other), atol=1e-6, rtol=0)


@pytest.mark.parametrize("make", [made_model, with_trees])
def test_nothing_looks_ahead(make):
    """Another future changes no bit of what has been said, at no delay."""
    model, night = make(), made_night(60)
    other = night.clone()
    other[:, 25:] = made_night(60, 5)[:, 25:] * 1e3
    with torch.no_grad():
        before, after = model(night)[:, :25], model(other)[:, :25]
    assert torch.equal(before, after)


def test_the_twin_for_comparison_does_look_ahead_but_not_into_padding():
    model, night = made_model(two_sided=True), made_night(60)
    other = night.clone()
    other[:, 50:] *= 30.0
    padded = torch.cat((night, torch.full((1, 20, 7), NAN)), dim=1)
    with torch.no_grad():
        said = model(night)
        assert not torch.equal(said[:, :50], model(other)[:, :50])
        torch.testing.assert_close(model(padded)[:, :60], said, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="backwards"):
        SleepStep(model, 1.0)


@pytest.mark.parametrize("epoch", [[0.0] * 7, [1e9] * 7, [float("inf")] * 7, [-5.0] * 7, [NAN] * 7])
def test_no_epoch_makes_a_nan(epoch):
    night = made_night(20)
    night[0, 0] = night[0, 7] = torch.tensor(epoch)
    with torch.no_grad():
        said, levels = made_model()(night), CausalLevels()(night)
    assert torch.isfinite(said).all()
    assert float(levels.abs().max()) <= MAX_LEVEL


def test_an_unknown_epoch_moves_no_mean_but_time_goes_on():
    model, levels = made_model(), CausalLevels()
    night = made_night(30)
    state = torch.zeros(1, STATE_SIZE)
    _, heard = levels.step(night[:, 0], state)
    inputs, after = levels.step(torch.full((1, 7), NAN), heard)
    assert torch.equal(heard[:, :21], after[:, :21])
    assert torch.equal(heard[:, -14:], after[:, -14:])
    assert not inputs[:, :14].any()
    assert not inputs[:, 21:].any()
    first, carried = model.step(night[:, 0], torch.zeros(1, model.state_size))
    second, _ = model.step(torch.full((1, 7), NAN), carried)
    assert not torch.equal(first, second)


def test_own_levels_are_z_scores_with_a_prior_of_twenty_epochs():
    """Against numpy, value by value: mean 0 and variance 1 count as 20 epochs heard before."""
    levels, night = CausalLevels(), usual_night(50)
    logs = np.log(night[0].numpy().astype(float) + 1e-4)
    with torch.no_grad():
        got = levels(night)[0].numpy()
    for t in (0, 7, 49):
        past = logs[: t + 1]
        mean = past.sum(axis=0) / (20 + t + 1)
        variance = (20 + (past**2).sum(axis=0)) / (20 + t + 1) - mean**2
        np.testing.assert_allclose(got[t, :7], logs[t], atol=1e-5)
        np.testing.assert_allclose(got[t, 7:14], (logs[t] - mean) / np.sqrt(variance), atol=1e-4)
        np.testing.assert_allclose(got[t, 14:21], mean, atol=1e-5)


def test_relative_levels_are_standardised_logs_above_the_variance():
    levels, features = CausalLevels(), usual_night(200)[0]
    levels.standardise_by(features)
    logs = np.log(features.numpy().astype(float) + 1e-4)
    relative = logs[:, [0, 1, 2, 3, 4, 6]] - logs[:, [5]]
    expected = (relative - relative.mean(axis=0)) / relative.std(axis=0)
    features[3, 5] = NAN
    with torch.no_grad():
        got = levels(features[None])[0, :, 35:41].numpy()
    np.testing.assert_allclose(np.delete(got, 3, axis=0), np.delete(expected, 3, axis=0), atol=1e-4)
    assert not got[3].any()


def test_distances_from_the_highest_and_lowest_mean_of_three_epochs():
    levels, night = CausalLevels(), usual_night(30)
    logs = np.log(night[0].numpy().astype(float) + 1e-4)
    means = np.stack([logs[max(0, t - 2) : t + 1].mean(axis=0) for t in range(30)])
    with torch.no_grad():
        got = levels(night)[0].numpy()
    for t in (0, 1, 12, 29):
        highest, lowest = means[: t + 1].max(axis=0), means[: t + 1].min(axis=0)
        np.testing.assert_allclose(got[t, 21:28], (logs[t] - highest) / 2, atol=1e-5)
        np.testing.assert_allclose(got[t, 28:35], (logs[t] - lowest) / 2, atol=1e-5)


def test_constants_leave_out_what_is_not_known():
    levels, features = CausalLevels(), usual_night(100)[0]
    features[:50, :5] = NAN
    levels.standardise_by(features)
    logs = np.log(features.numpy().astype(float) + 1e-4)
    np.testing.assert_allclose(levels.log_mean.numpy(), np.nanmean(logs, axis=0), rtol=1e-5)
    np.testing.assert_allclose(levels.log_std.numpy(), np.nanstd(logs, axis=0), rtol=1e-5)


def test_a_gain_fades_from_the_levels_against_the_night():
    levels, night = CausalLevels(), usual_night(400)
    with torch.no_grad():
        usual, loud = levels(night)[0, -1], levels(night * 4.0)[0, -1]
    torch.testing.assert_close(loud[7:14], usual[7:14], atol=0.25, rtol=0)
    assert float((loud[:7] - usual[:7]).min()) > 1.0


def test_members_are_averaged_in_log_space_and_rare_stages_are_lifted():
    model, night = made_model((3, 2, 1)), made_night(20)
    with torch.no_grad():
        agreed = model(night)
        each = torch.log_softmax(model.train()(night), dim=-1)
    assert each.shape == (3, 1, 20, 3, 5)
    torch.testing.assert_close(agreed + model.offset, each.mean(dim=0), atol=1e-5, rtol=0)
    assert bool((model.offset < 0).all())


def test_stretches_equal_the_night_where_the_past_is_short():
    """From the night's start, a stretch is the night."""
    model, night = made_model(), made_night(40)
    with torch.no_grad():
        torch.testing.assert_close(
            model(night, torch.arange(15).expand(2, 1, 15)), model(night)[:, :15], atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("make", [lambda: made_model((2, 4, 1), (2, 2, 2)), with_trees])
def test_exported_steps_over_a_simulated_night(tmp_path, make):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, night = make(), made_night(1000, 3)
    step = SleepStep(model, 1.3)
    inputs = {
        "features": night[:, 0].numpy(),
        "state": np.zeros((1, model.state_size), np.float32),
    }
    export_graph(Graph("sequence", step, inputs, step.outputs), tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "sequence.onnx")
    with torch.no_grad():
        expected = torch.softmax(model(night)[0] / 1.3, dim=-1).numpy()
    state, said = inputs["state"], []
    for epoch in night[0].numpy():
        out = dict(
            zip(
                step.outputs,
                session.run(step.outputs, {"features": epoch[None], "state": state}),
                strict=True,
            )
        )
        state = out["next_state"]
        said.append(np.concatenate((out["probabilities"][:, None], out["revised"]), axis=1)[0])
    for delay in range(3):
        got = np.stack(said)[delay:, delay]
        np.testing.assert_allclose(got, expected[delay:, delay], atol=1e-4)


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
