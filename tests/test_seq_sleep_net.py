"""SeqSleepNet: spectrogram, net, loss. All EEG here is SIMULATED but for one real recording."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


from trainer.experiments.seq_sleep_net_bundle import (  # noqa: E402
    simulated_epochs,
)
from trainer.features.stft import LogStft  # noqa: E402
from trainer.losses import (  # noqa: E402
    cross_entropy,
    epoch_losses,
    smooth_sequence_loss,
    squared_norm,
    temporal_smoothness,
)
from trainer.metrics import IGNORE  # noqa: E402
from trainer.models.recurrent_batch_norm import EPS, MOMENTUM, BatchNormBiLstm  # noqa: E402
from trainer.models.seq_sleep_net import (  # noqa: E402
    GatedAttention,
    SeqSleepNet,
    bin_statistics,
    triangles,
)

KINDS = ("recurrent_batch", "layer")
N = np.arange(3000)


def expected_image(epoch_uv: np.ndarray) -> np.ndarray:
    """The documented spectrogram in float64, frame by frame."""
    signal = epoch_uv.astype(np.float64) - epoch_uv.mean(dtype=np.float64)
    frames = [signal[start : start + 200] * np.hamming(200) for start in range(0, 2801, 100)]
    amplitudes = np.abs(np.fft.rfft(frames, n=256, axis=1))
    return np.log(np.sqrt(amplitudes**2 + 1.0))


def images(epochs_uv: np.ndarray) -> np.ndarray:
    return LogStft()(torch.from_numpy(epochs_uv[:, None])).numpy()


MADE_SIGNALS = {
    "white": lambda g: g.normal(0, 10, 3000),
    "red": lambda g: np.cumsum(g.normal(0, 3, 3000)),
    "offset of 1 mV": lambda g: 1000 + g.normal(0, 5, 3000),
    "faint gamma under large delta": lambda g: 150 * np.sin(N / 16) + g.normal(0, 0.5, 3000),
    "silence": lambda g: 0 * g.normal(0, 1, 3000),
}


@pytest.mark.parametrize("name", MADE_SIGNALS)
def test_the_spectrogram_equals_numpy_on_made_signals(name):
    epoch = MADE_SIGNALS[name](np.random.default_rng(4)).astype(np.float32)
    image = images(epoch[None])[0]
    assert image.shape == (29, 129)
    np.testing.assert_allclose(image, expected_image(epoch), atol=1e-4)


def test_the_spectrogram_equals_numpy_on_real_eeg(data_dir):
    raw_uv = np.loadtxt(data_dir / "sleep/raw/excerpt3.txt", skiprows=1)
    epochs = resample_poly(raw_uv, 2, 1)[: 60 * 3000].reshape(60, 3000).astype(np.float32)
    expected = np.stack([expected_image(epoch) for epoch in epochs])
    np.testing.assert_allclose(images(epochs), expected, atol=1e-4)


def test_a_rhythm_lies_in_its_bin_and_a_gain_is_a_shift():
    epoch = 30 * np.sin(2 * np.pi * 10.0 * N / 100).astype(np.float32)  # bin 25.6
    image = images(np.stack([epoch, 4 * epoch]))
    assert set(image[0].argmax(axis=1)) == {26}
    loud = image[0] > np.log(100.0)  # far above the floor of 1 uV
    assert loud.any()
    np.testing.assert_allclose((image[1] - image[0])[loud], np.log(4.0), atol=1e-3)


def test_filters_are_triangles_that_overlap_by_half():
    shapes = triangles()
    assert shapes.shape == (129, 32)
    corners = np.floor(257 * np.linspace(0, 50, 34) / 100)
    for filter_, low, peak, high in zip(
        shapes.T, corners[:-2], corners[1:-1], corners[2:], strict=True
    ):
        wanted = np.interp(np.arange(129), [low, peak, high], [0.0, 1.0, 0.0])
        np.testing.assert_allclose(filter_, wanted, atol=1e-6)
    np.testing.assert_allclose(shapes[4:125].sum(axis=1), 1.0, atol=1e-6)


def test_the_parameters_are_as_many_as_published():
    net = SeqSleepNet(5)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_modules()}
    assert counts["encoder.filterbank"] == 129 * 32
    assert counts["encoder.lstm"] == 2 * (32 * 256 + 64 * 256) + 2 * 896
    assert counts["encoder.attention"] == 128 * 64 + 64 + 64
    assert counts["sequence.lstm"] == 2 * (128 * 256 + 64 * 256) + 2 * 896
    assert counts["sequence.head"] == 128 * 5 + 5
    assert counts[""] == 164_133
    assert counts[""] == pytest.approx(1.64e5, rel=0.02)
    layer = SeqSleepNet(5, normalisation="layer")
    assert sum(p.numel() for p in layer.parameters()) == 163_429


@pytest.mark.parametrize("kind", KINDS)
def test_every_position_of_every_sequence_gets_logits(kind):
    net = SeqSleepNet(5, length=4, normalisation=kind)
    eeg = torch.from_numpy(simulated_epochs()[:, 0])
    rows = torch.tensor([[0, 1, 2, 3], [-1, 0, 1, 2], [-1, -1, -1, 3]])
    assert net(eeg, rows).shape == (3, 4, 5)
    assert net.encoder(eeg[:, None]).shape == (4, 128)


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_means_the_same_wherever_it_is_stored(kind):
    net = trained_a_little(kind)
    eeg = torch.from_numpy(simulated_epochs()[:, 0])
    with torch.no_grad():
        shared = net(eeg, torch.tensor([[0, 1, 2, 3], [-1, 0, 1, 2]]))
        apart = net(eeg[[0, 1, 2, 3, 2, 1, 0]], torch.tensor([[0, 1, 2, 3], [-1, 6, 5, 4]]))
    torch.testing.assert_close(shared, apart, atol=1e-5, rtol=0)


@pytest.mark.parametrize("nonsense", [0.0, 1e9, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_epoch_tells_nothing(kind, nonsense):
    net = trained_a_little(kind).sequence
    features, mask = torch.randn(2, 4, 128), torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 1]])
    spoilt = torch.where(mask[:, :, None] > 0, features, torch.tensor(nonsense))
    with torch.no_grad():
        assert torch.equal(net(features, mask), net(spoilt, mask))


def test_attention_weighs_frames_and_no_more():
    attention = GatedAttention()
    frame = torch.randn(1, 1, 128)
    torch.testing.assert_close(attention(frame.expand(1, 29, 128)), frame[:, 0])
    frames = torch.randn(1, 29, 128)
    by_hand = torch.tanh(frames[0] @ attention.lift.weight.T + attention.lift.bias)
    weights = torch.exp(by_hand @ attention.context)
    torch.testing.assert_close(
        attention(frames)[0], (weights / weights.sum()) @ frames[0], atol=1e-5, rtol=1e-5
    )


def test_bins_are_standardised_by_what_was_learnt_from():
    epochs = torch.from_numpy(simulated_epochs()[:, 0])
    mean, std = bin_statistics([epochs[:1], epochs[1:]])
    frames = np.concatenate([expected_image(epoch) for epoch in epochs.numpy()])
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(std, frames.std(axis=0), atol=1e-3)


# recurrent batch normalisation -------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def lstm_by_hand(lstm: BatchNormBiLstm, x: np.ndarray, direction: int, normalise) -> np.ndarray:
    """One direction of Cooijmans' equations in float64; ``normalise(values, name, step)``."""
    hidden = lstm.hidden
    own = {name: value.detach().double().numpy() for name, value in lstm.state_dict().items()}
    gates = slice(direction * 4 * hidden, (direction + 1) * 4 * hidden)
    units = slice(direction * hidden, (direction + 1) * hidden)
    h = c = np.zeros((len(x), hidden))
    out = []
    for step in range(x.shape[1]):
        from_x = normalise(x[:, step] @ own["weight_x"][direction], "x", step, gates)
        from_h = normalise(h @ own["weight_h"][direction], "h", step, gates)
        mixed = own["gain_x"][gates] * from_x + own["gain_h"][gates] * from_h + own["offset"][gates]
        f, i, o, g = np.split(mixed, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        shown = own["gain_c"][units] * normalise(c, "c", step, units) + own["offset_c"][units]
        h = sigmoid(o) * np.tanh(shown)
        out.append(h)
    return np.stack(out, axis=1)


def small_lstm() -> BatchNormBiLstm:
    torch.manual_seed(3)
    lstm = BatchNormBiLstm(6, 4, steps=5, dropout=0.0)
    with torch.no_grad():
        for name in ("gain_x", "gain_h", "gain_c", "offset", "offset_c"):
            getattr(lstm, name).copy_(torch.randn_like(getattr(lstm, name)))
        for name in ("x", "h", "c"):
            lstm.get_buffer(f"mean_{name}").normal_()
            lstm.get_buffer(f"var_{name}").uniform_(0.5, 2.0)
    return lstm


def test_in_training_each_step_is_normalised_over_the_batch():
    lstm, x = small_lstm(), np.random.default_rng(1).normal(size=(8, 5, 6))

    def over_batch(values, name, step, where):
        del name, step, where
        return (values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + EPS)

    out = lstm.train()(torch.from_numpy(x).float()).detach().numpy()
    np.testing.assert_allclose(out[:, :, :4], lstm_by_hand(lstm, x, 0, over_batch), atol=1e-4)
    back = lstm_by_hand(lstm, x[:, ::-1], 1, over_batch)[:, ::-1]
    np.testing.assert_allclose(out[:, :, 4:], back, atol=1e-4)


def test_afterwards_each_step_is_normalised_by_its_own_kept_statistics():
    lstm, x = small_lstm(), np.random.default_rng(2).normal(size=(3, 5, 6))

    def kept(values, name, step, where):
        mean = lstm.get_buffer(f"mean_{name}")[step, where].double().numpy()
        var = lstm.get_buffer(f"var_{name}")[step, where].double().numpy()
        return (values - mean) / np.sqrt(var + EPS)

    with torch.no_grad():
        out = lstm.eval()(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(out[:, :, :4], lstm_by_hand(lstm, x, 0, kept), atol=1e-4)
    back = lstm_by_hand(lstm, x[:, ::-1], 1, kept)[:, ::-1]
    np.testing.assert_allclose(out[:, :, 4:], back, atol=1e-4)


def test_kept_statistics_follow_those_of_the_batches_and_only_in_training():
    torch.manual_seed(0)
    lstm, x = BatchNormBiLstm(6, 4, steps=5, dropout=0.0), torch.randn(50, 5, 6)
    before = {name: value.clone() for name, value in lstm.named_buffers()}
    lstm.eval()(x)
    assert all(torch.equal(value, before[name]) for name, value in lstm.named_buffers())
    lstm.train()(x)
    mixed = (x[:, 2] @ lstm.weight_x[0]).detach()
    kept_mean, kept_var = lstm.get_buffer("mean_x")[2, :16], lstm.get_buffer("var_x")[2, :16]
    torch.testing.assert_close(kept_mean, MOMENTUM * mixed.mean(dim=0))
    torch.testing.assert_close(kept_var, 1 - MOMENTUM + MOMENTUM * mixed.var(dim=0))
    for name in ("mean_h", "var_h", "mean_c", "var_c"):
        changed = (lstm.get_buffer(name) != before[name]).any(dim=1)
        assert changed[1:].all()  # at the first step h is zero
    trained, run = lstm.train()(x), lstm.eval()(x)
    assert (trained - run).abs().max() > 0.01
    for _ in range(300):
        lstm.train()(x)
    torch.testing.assert_close(lstm.train()(x), lstm.eval()(x), atol=0.02, rtol=0)


def test_an_lstm_starts_as_its_paper_says():
    lstm = BatchNormBiLstm(32, 64, steps=3, dropout=0.0)
    for gain in (lstm.gain_x, lstm.gain_h, lstm.gain_c):
        assert (gain == 0.1).all()
    assert lstm.offset.view(2, 4, 64).sum(dim=2).tolist() == [[64.0, 0, 0, 0]] * 2
    for weights in (*lstm.weight_x.detach(), *lstm.weight_h.detach()):
        torch.testing.assert_close(weights @ weights.T, torch.eye(len(weights)), atol=1e-4, rtol=0)


# the loss ----------------------------------------------------------------------------------------


def test_equation_two_by_hand():
    """Two sequences of three epochs; probabilities whose cross-entropies can be written down."""
    probabilities = torch.tensor([[0.5, 0.25, 0.125], [0.5, 0.5, 0.25]])
    logits = torch.log(torch.stack([probabilities, 1 - probabilities], dim=2))
    targets = torch.zeros(2, 3, dtype=torch.int64)
    bit = np.log(2.0)  # losses are 1, 2, 3 and 1, 1, 2 bits
    cross = bit * ((1 + 2 + 3) / 3 + (1 + 1 + 2) / 3) / 2
    smooth = bit**2 * ((1 + 1) / 2 + (0 + 1) / 2) / 2
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([3.0])]
    loss = smooth_sequence_loss(logits, targets, weights, l2=0.01, gamma=0.5)
    assert loss.item() == pytest.approx(cross + 0.5 * smooth + 0.01 * 14.0)
    plain = smooth_sequence_loss(logits, targets, l2=0.0, gamma=0.0)
    assert plain.item() == pytest.approx(cross_entropy(logits, targets).item())
    assert squared_norm(weights).item() == 14.0


def test_equal_losses_are_smooth():
    losses = torch.tensor([[0.7] * 20, [3.1] * 20])
    assert temporal_smoothness(losses, torch.ones(2, 20, dtype=torch.bool)).item() == 0.0


def test_swapping_the_last_two_epochs_changes_it_as_by_hand():
    valid = torch.ones(1, 4, dtype=torch.bool)
    before = temporal_smoothness(torch.tensor([[1.0, 2.0, 4.0, 7.0]]), valid)
    after = temporal_smoothness(torch.tensor([[1.0, 2.0, 7.0, 4.0]]), valid)
    assert before.item() == pytest.approx((1 + 4 + 9) / 3)
    assert after.item() == pytest.approx((1 + 25 + 9) / 3)


def test_an_unlabelled_epoch_drops_both_its_pairs():
    losses = torch.tensor([[1.0, 2.0, 99.0, 4.0, 7.0], [0.0, 1.0, 3.0, 3.0, 3.0]])
    valid = torch.tensor([[True, True, False, True, True], [True] * 5])
    first, second = (1 + 9) / 2, (1 + 4) / 4
    assert temporal_smoothness(losses, valid).item() == pytest.approx((first + second) / 2)


def test_sequences_without_a_pair_or_a_label_do_not_count():
    losses = torch.tensor([[1.0, 2.0, 5.0], [8.0, 0.0, 9.0], [0.0, 0.0, 0.0]])
    valid = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    assert temporal_smoothness(losses, valid).item() == pytest.approx((1 + 9) / 2)
    logits = torch.zeros(3, 3, 5)
    targets = torch.where(valid, 2, IGNORE)
    loss = smooth_sequence_loss(logits, targets, l2=0.0, gamma=1.0)
    assert loss.item() == pytest.approx(np.log(5.0))


def test_a_batch_without_any_label_has_a_loss_of_zero_and_a_finite_gradient():
    logits = torch.randn(2, 4, 5, requires_grad=True)
    targets = torch.full((2, 4), IGNORE)
    loss = smooth_sequence_loss(logits, targets, l2=0.0, gamma=1.0)
    loss.backward()
    assert loss.item() == 0.0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_gradients_are_finite_where_the_net_is_sure_and_wrong(scale):
    torch.manual_seed(0)
    logits = (torch.randn(3, 6, 5) * scale).requires_grad_()
    targets = torch.randint(0, 5, (3, 6))
    targets[0, 2] = IGNORE
    smooth_sequence_loss(logits, targets, l2=0.0, gamma=1.0).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[0, 2] == 0).all()
    assert (logits.grad[1] != 0).any()


def test_label_smoothing_is_that_of_cross_entropy():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 6, 5), torch.randint(0, 5, (2, 6))
    losses, valid = epoch_losses(logits, targets, 0.1)
    assert valid.all()
    assert losses.mean().item() == pytest.approx(cross_entropy(logits, targets, 0.1).item())


# training and export -----------------------------------------------------------------------------


def simulated_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four SIMULATED sequences of four epochs: each stage has a rhythm of its own."""
    rng = np.random.default_rng(0)
    stages = rng.integers(0, 5, 16)
    rhythms_hz = np.array([20.0, 10.0, 13.0, 1.0, 6.0])[stages, None]
    phase = rng.uniform(0, 2 * np.pi, (16, 1))
    eeg = 20 * np.sin(2 * np.pi * rhythms_hz * N / 100 + phase) + rng.normal(0, 5, (16, 3000))
    rows = torch.arange(16).view(4, 4)
    return torch.from_numpy(eeg.astype(np.float32)), rows, torch.from_numpy(stages).view(4, 4)


def train(net: SeqSleepNet, steps: int) -> list[float]:
    eeg, rows, targets = simulated_batch()
    net.encoder.standardise_by(*bin_statistics([eeg]))
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    losses = []
    for _ in range(steps):
        loss = smooth_sequence_loss(net.train()(eeg, rows), targets, l2=0.0, gamma=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


_KEPT: dict[str, SeqSleepNet] = {}


def trained_a_little(kind: str) -> SeqSleepNet:
    if kind not in _KEPT:
        torch.manual_seed(1)
        _KEPT[kind] = SeqSleepNet(5, length=4, normalisation=kind)
        train(_KEPT[kind], 5)
    return _KEPT[kind].eval()


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_one_small_batch_by_heart(kind):
    torch.manual_seed(0)
    net = SeqSleepNet(5, length=4, normalisation=kind, dropout=0.0)
    losses = train(net, 60)
    assert losses[0] > 1.0
    assert losses[-1] < 0.05
    eeg, rows, targets = simulated_batch()
    with torch.no_grad():  # by the batch's own statistics: four sequences are few to keep any of
        assert torch.equal(net(eeg, rows).argmax(dim=2), targets)
