"""What TensorRT would refuse in a bundle, said at export; engines are built on the device alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edge_app.inference.bundle import load_bundle

QDQ = ("QuantizeLinear", "DequantizeLinear")


def refused_by_tensorrt(path: Path) -> int:
    """Return how many Q and DQ nodes TensorRT does not take on a GPU.

    It takes signed 8-bit integers with a zero point of 0. Unsigned ones it reads as signed, and
    32-bit ones, as ONNX Runtime makes them of biases, it refuses.

    Args:
        path: an ONNX file.

    Returns:
        Their number, 0 for a float graph.
    """
    model = onnx.load(str(path))
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    refused = 0
    for node in model.graph.node:
        if node.op_type in QDQ:
            zero = constants.get(node.input[2]) if node.input[2:] else None
            # Without a zero point the type is that of what is dequantised, or unsigned.
            kind = zero if zero is not None else constants.get(node.input[0])
            refused += (
                kind is None or kind.dtype != np.int8 or bool(zero is not None and zero.any())
            )
    return refused


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
        refused = refused_by_tensorrt(bundle / graph.file)
        if refused:
            lines.append(
                f"{bundle.name}/{graph.file}: TensorRT will refuse it: {refused} Q/DQ nodes are"
                " unsigned, 32-bit, or have a zero point other than 0; the device will run it on"
                " ONNX Runtime. For an engine export with --int8-symmetric, or give the device the"
                " float bundle: its engine is FP16"
            )
    lines.append(
        f"{bundle.name}: an engine fits one GPU and JetPack, so none is written; on the device:"
        f" edge-app build-engines {bundle}"
    )
    return lines
