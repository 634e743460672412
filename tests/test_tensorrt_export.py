"""What the export says of TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from tests.bundles import write_bundle  # noqa: E402
from trainer.tensorrt_check import shifted_zero_points, tensorrt_lines  # noqa: E402


@pytest.mark.parametrize(("zero", "found"), [(0, 0), (-3, 1)])
def test_a_shifted_zero_point_is_counted(tmp_path: Path, zero: int, found: int) -> None:
    path = write_bundle(tmp_path, "frailty") / "model.onnx"
    model = onnx.load(str(path))
    scale = numpy_helper.from_array(np.float32(0.01), "scale")
    model.graph.initializer.extend([scale, numpy_helper.from_array(np.int8(zero), "zero")])
    model.graph.node.append(helper.make_node("QuantizeLinear", ["logits", "scale", "zero"], ["q"]))
    onnx.save(model, str(path))
    assert shifted_zero_points(path) == found


def test_a_float_bundle_is_told_where_its_engine_is_made(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "sleep")
    (line,) = tensorrt_lines(folder)
    assert f"edge-app build-engines {folder}" in line
