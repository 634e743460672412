"""The benchmark's model: Flatten, Linear 16, ReLU, Linear 5, softmax; random weights, opset 17."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

from edge_app.inference.bundle import sha256_of
from edge_app.inference.manifest import GraphSpec, TensorSpec

WINDOW, HOP = 200, 50
LABELS = ("a", "b", "c", "d", "e")


def write_tiny_model(folder: Path, channels: int) -> tuple[Path, GraphSpec]:
    """Write the model for a number of channels and return it with its description."""
    rng = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> TensorProto:
        bound = shape[0] ** -0.5
        return numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        f"tiny_{channels}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, WINDOW, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, len(LABELS)])],
        [
            weights("w1", WINDOW * channels, 16),
            weights("b1", 16),
            weights("w2", 16, len(LABELS)),
            weights("b2", len(LABELS)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    path = folder / f"tiny_{channels}.onnx"
    save(model, str(path))
    spec = GraphSpec(
        role="model",
        file=path.name,
        sha256=sha256_of(path),
        opset=17,
        inputs=(TensorSpec(name="x", dtype="float32", shape=(1, WINDOW, channels)),),
        outputs=(TensorSpec(name="probabilities", dtype="float32", shape=(1, len(LABELS))),),
    )
    return path, spec
