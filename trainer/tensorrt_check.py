"""What TensorRT would refuse in a bundle, said at export; engines are built on the device alone."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper

from edge_app.inference.bundle import load_bundle

QDQ = ("QuantizeLinear", "DequantizeLinear")


def shifted_zero_points(path: Path) -> int:
    """Return how many Q and DQ nodes have a zero point that is not 0, which TensorRT refuses.

    Args:
        path: an ONNX file.

    Returns:
        Their number, 0 for a float graph.
    """
    model = onnx.load(str(path))
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    zeros = [node.input[2] for node in model.graph.node if node.op_type in QDQ and node.input[2:]]
    return sum(bool(constants[name].any()) for name in zeros if name in constants)


def tensorrt_lines(bundle: Path) -> list[str]:
    """Return what to tell of a bundle.

    Args:
        bundle: its folder.

    Returns:
        Lines to print.

    Raises:
        ManifestError: it is no bundle.
    """
    lines = []
    for graph in load_bundle(bundle).manifest.graphs:
        shifted = shifted_zero_points(bundle / graph.file)
        if shifted:
            lines.append(
                f"{bundle.name}/{graph.file}: TensorRT will refuse it: {shifted} Q/DQ nodes have a"
                " zero point other than 0; the device will run it on ONNX Runtime"
            )
    lines.append(
        f"{bundle.name}: an engine fits one GPU and JetPack, so none is written; on the device:"
        f" edge-app build-engines {bundle}"
    )
    return lines
