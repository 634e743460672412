"""DeepConvLSTM: the paper's size, its constants, its first weights, and the exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch.nn import functional  # noqa: E402

from trainer.calibrate import Calibrated  # noqa: E402
from trainer.datasets.simulated_gait import example_windows  # noqa: E402
from trainer.experiment import Graph  # noqa: E402
from trainer.models.deep_conv_lstm import LSTM_UNITS, DeepConvLstm  # noqa: E402
from trainer.onnx_graph import export_graph  # noqa: E402

KERAS_PARAMETERS = 186_545
"""Counted by Keras for mcfly's network: convolution 216, LSTMs 41,064 + 47,500 + 71,440 + 25,944,
dense 141, BatchNorm 24 + 216, running statistics included."""


@pytest.fixture(scope="module")
def windows() -> torch.Tensor:
    return torch.from_numpy(example_windows(12))


@pytest.fixture(scope="module")
def model(windows: torch.Tensor) -> DeepConvLstm:
    torch.manual_seed(1)
    made = DeepConvLstm(3)
    made.standardise_by(windows)
    for _ in range(20):  # fills the running statistics
        made(windows)
    return made.eval()


def test_size_is_the_papers(model: DeepConvLstm) -> None:
    learnt = sum(weights.numel() for weights in model.parameters())
    statistics = 2 * (6 + 54)
    second_biases = 4 * sum(LSTM_UNITS)
    assert second_biases == 1056
    assert learnt + statistics == KERAS_PARAMETERS + second_biases
    assert learnt == 187_481


def test_the_network_sees_203_steps_of_6_channels() -> None:
    model = DeepConvLstm(3).eval()
    seen = []
    model.lstms[0].register_forward_hook(lambda _, given, out: seen.append((given, out)))
    assert model(torch.randn(2, 6, 200)).shape == (2, 3)
    assert seen[0][0][0].shape == (2, 203, 54 * 6)
    assert seen[0][1][0].shape == (2, 203, 29)


def test_convolution_runs_along_the_steps_and_keeps_channels_apart() -> None:
    """An input of one channel moves only the features of that channel, one step to each side."""
    model = DeepConvLstm(3).eval()
    features = []
    model.lstms[0].register_forward_pre_hook(lambda _, given: features.append(given[0]))
    quiet = torch.zeros(1, 6, 200)
    moved = quiet.clone()
    moved[0, 4, 0:2] = torch.tensor([1.0, -1.0])  # one detail of the finest level, no other
    model(quiet)
    model(moved)
    steps, where = torch.nonzero((features[0] != features[1])[0], as_tuple=True)
    assert set(steps.tolist()) <= {102, 103, 104}  # the finest level begins at step 103
    assert {place % 6 for place in where.tolist()} == {4}


def test_first_weights_are_drawn_as_keras_does() -> None:
    model = DeepConvLstm(3)
    limit = float(model.convolution.weight.detach().abs().max())
    assert 0.9 < limit <= 1.0  # LeCun uniform: sqrt(3 / fan-in), fan-in 3
    units = LSTM_UNITS[1]
    lstm = model.lstms[1]
    gates = lstm.bias_ih_l0.detach() + lstm.bias_hh_l0.detach()
    assert torch.equal(gates[units : 2 * units], torch.ones(units))
    assert float(gates.sum()) == units
    recurrent = lstm.weight_hh_l0.detach()
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(units), atol=1e-5, rtol=0)


def test_constants_are_those_of_the_training_windows() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], np.float32)[:, None]
    windows = (rng.normal(size=(200, 6, 200)).astype(np.float32) + 2.0) * scale
    windows[0, 0, 0] = 1e6  # one outlier among 40,000 samples
    model = DeepConvLstm(3)
    model.standardise_by(torch.from_numpy(windows))
    np.testing.assert_allclose(model.mean.numpy(), 2.0 * scale, atol=0.1)
    np.testing.assert_allclose(model.std.numpy(), scale, rtol=0.02)
    assert float(model.highest[0]) < 10.0


def test_an_outlier_counts_no_more_than_the_limit(windows: torch.Tensor) -> None:
    model = DeepConvLstm(3).eval()
    model.standardise_by(windows)
    at_limit, beyond = windows[:1].clone(), windows[:1].clone()
    at_limit[0, 1, 77] = model.highest[1, 0]
    beyond[0, 1, 77] = 1e7
    torch.testing.assert_close(model(beyond), model(at_limit), atol=0, rtol=0)


def test_l2_is_added_to_two_layers_as_keras_adds_it(windows: torch.Tensor) -> None:
    """Its gradient equals that of the loss with the penalty written out."""

    def gradients(l2: float, penalty: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(2)
        model = DeepConvLstm(3, dropout=0.0, l2=l2)
        loss = functional.cross_entropy(model(windows), torch.arange(12) % 3)
        weights = model.convolution.weight.square().sum() + model.head.weight.square().sum()
        (loss + penalty * weights).backward()
        return {name: value.grad for name, value in model.named_parameters()}

    hooked, written = gradients(0.3, 0.0), gradients(0.0, 0.3)
    for name, gradient in written.items():
        torch.testing.assert_close(hooked[name], gradient, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(gradients(0.0, 0.0)["head.weight"], hooked["head.weight"])


def test_logit_prior_counts_while_training_only(windows: torch.Tensor) -> None:
    model = DeepConvLstm(3, dropout=0.0)
    model.train()
    plain = model(windows).detach()
    model.train_as_if_balanced(torch.tensor([0] * 5 + [1] * 3 + [2] * 2))
    expected = plain + torch.log(torch.tensor([0.5, 0.3, 0.2]))
    torch.testing.assert_close(model(windows).detach(), expected, atol=1e-6, rtol=0)
    answers = model.eval()(windows)
    model.train_as_if_balanced(torch.tensor([0, 1, 2]))
    torch.testing.assert_close(model(windows), answers, atol=0, rtol=0)


def test_it_learns_what_tells_two_walks_apart(windows: torch.Tensor) -> None:
    """The same windows at full and at 0.4 of their size: a few steps tell them apart."""
    torch.manual_seed(1)
    both = torch.cat((windows[:8], windows[:8] * 0.4))
    targets = torch.tensor([0] * 8 + [2] * 8)
    model = DeepConvLstm(3, dropout=0.0)
    model.standardise_by(both)
    optimiser = torch.optim.Adam(model.parameters(), 0.003)
    losses = []
    for _ in range(35):
        loss = functional.cross_entropy(model(both), targets)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[1]


def test_exported_graph_answers_alike(
    model: DeepConvLstm, windows: torch.Tensor, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    calibrated = Calibrated(model, 1.3)
    graph = Graph("model", calibrated, {"imu": windows.numpy()}, ("logits", "probabilities"))
    spec = export_graph(graph, tmp_path)
    assert spec.opset == 17
    assert spec.inputs[0].shape == (1, 6, 200)
    session = runtime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    with torch.no_grad():
        logits, probabilities = calibrated(windows)
    assert float(logits.std(dim=0).max()) > 1e-3  # the windows are told apart at all
    for i in range(len(windows)):
        got = session.run(None, {"imu": windows[i : i + 1].numpy()})
        np.testing.assert_allclose(got[0], logits[i : i + 1].numpy(), atol=1e-4)
        np.testing.assert_allclose(got[1], probabilities[i : i + 1].numpy(), atol=1e-4)
