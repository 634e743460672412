"""The wavelet inside the graph: by hand, by matrix, by PyWavelets, and in ONNX Runtime."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge_app.errors import TrainingError  # noqa: E402
from trainer.features.wavelet import HaarWavedec, coefficient_lengths  # noqa: E402

ROOT_2 = math.sqrt(2.0)


def test_five_samples_by_hand() -> None:
    """1 5 2 6 9: repeat 9, pairs, then 6 8 18 over root 2, repeat 18, pairs."""
    got = HaarWavedec(5)(torch.tensor([[[1.0, 5.0, 2.0, 6.0, 9.0]]], dtype=torch.float64))
    approximation, coarse, fine = [7.0, 18.0], [-1.0, 0.0], [-4 / ROOT_2, -4 / ROOT_2, 0.0]
    expected = torch.tensor([[approximation + coarse + fine]], dtype=torch.float64)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_lengths_of_the_papers_window() -> None:
    assert coefficient_lengths(200) == (2, 2, 4, 7, 13, 25, 50, 100)
    assert sum(coefficient_lengths(200)) == 203
    assert coefficient_lengths(2) == (1, 1)
    assert coefficient_lengths(3) == (2, 2)


def test_too_short_a_window_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least two samples"):
        HaarWavedec(1)


@given(power=st.integers(1, 9), seed=st.integers(0, 2**16))
def test_energy_is_kept_and_time_is_found_again(power: int, seed: int) -> None:
    """Without odd levels the transform is a rotation: its transpose undoes it."""
    n = 2**power
    matrix = HaarWavedec(n)(torch.eye(n, dtype=torch.float64)[:, None])[:, 0]
    signal = torch.from_numpy(np.random.default_rng(seed).normal(size=n))
    coefficients = HaarWavedec(n)(signal[None, None])[0, 0]
    torch.testing.assert_close(matrix @ coefficients, signal, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_equals_pywavelets(dtype: type[np.floating], tolerance: float) -> None:
    pywt = pytest.importorskip("pywt")
    rng = np.random.default_rng(1)
    for n in (*range(2, 70), 199, 200, 201, 255, 256, 257, 1000):
        signals = rng.normal(size=(2, 6, n)).astype(dtype)
        expected = np.concatenate(pywt.wavedec(signals.astype(np.float64), "db1"), axis=-1)
        got = HaarWavedec(n)(torch.from_numpy(signals)).numpy()
        assert got.dtype == dtype
        assert got.shape[-1] == sum(coefficient_lengths(n))
        # float32: relative to the largest coefficient, which is a sum over the whole window
        assert np.abs(got - expected).max() <= tolerance * max(1.0, np.abs(expected).max()), n


@pytest.mark.parametrize("n", [2, 7, 200])
def test_exported_graph_has_no_loop_and_the_same_answer(tmp_path: Path, n: int) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    module, path = HaarWavedec(n), tmp_path / "haar.onnx"
    example = torch.randn(1, 6, n, generator=torch.Generator().manual_seed(n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), str(path), dynamo=False, opset_version=17, input_names=["x"]
        )
    used = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert not used & {"Loop", "Scan", "If"}
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": example.numpy()})
    np.testing.assert_allclose(got, module(example).numpy(), atol=1e-6)
