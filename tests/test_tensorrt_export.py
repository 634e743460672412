"""What the export says of TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from tests.bundles import write_bundle  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from trainer.tensorrt_check import refused_by_tensorrt, tensorrt_lines  # noqa: E402


@pytest.mark.parametrize(
    ("zero", "found"),
    [(np.int8(0), 0), (np.int8(-3), 1), (np.uint8(0), 1), (np.uint8(128), 1)],
)
def test_what_tensorrt_does_not_take_is_counted(
    tmp_path: Path, zero: np.generic, found: int
) -> None:
    path = write_bundle(tmp_path, "frailty") / "model.onnx"
    model = onnx.load(str(path))
    scale = numpy_helper.from_array(np.float32(0.01), "scale")
    model.graph.initializer.extend([scale, numpy_helper.from_array(np.asarray(zero), "zero")])
    model.graph.node.append(helper.make_node("QuantizeLinear", ["logits", "scale", "zero"], ["q"]))
    onnx.save(model, str(path))
    assert refused_by_tensorrt(path) == found


@pytest.mark.parametrize(("kind", "found"), [(np.int8, 0), (np.uint8, 1), (np.int32, 1)])
def test_without_a_zero_point_the_type_counts(tmp_path: Path, kind: type, found: int) -> None:
    path = write_bundle(tmp_path, "frailty") / "model.onnx"
    model = onnx.load(str(path))
    scale = numpy_helper.from_array(np.float32(0.01), "scale")
    bias = numpy_helper.from_array(np.ones(3, kind), "bias")
    model.graph.initializer.extend([scale, bias])
    model.graph.node.append(helper.make_node("DequantizeLinear", ["bias", "scale"], ["dq"]))
    onnx.save(model, str(path))
    assert refused_by_tensorrt(path) == found


def test_a_float_bundle_is_told_where_its_engine_is_made(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "sleep")
    (line,) = tensorrt_lines(folder)
    assert f"edge-app build-engines {folder}" in line


def test_the_8_bit_bundle_for_cpus_is_told_apart() -> None:
    first, _ = tensorrt_lines(ROOT / "exports" / "emotion_int8")
    assert "TensorRT will refuse it" in first
    assert "--int8-symmetric" in first
