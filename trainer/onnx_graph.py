"""One module becomes one ONNX file with static shapes; its example cases become ``golden.npz``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn
from torch.jit._trace import TracerWarning  # torch.jit has it, but does not export its name

from edge_app.errors import TrainingError
from edge_app.inference.bundle import sha256_of
from edge_app.inference.manifest import MAX_OPSET, Golden, GraphSpec, TensorSpec
from trainer.experiment import Graph

MAX_IR_VERSION = 10
"""onnxruntime 1.23.2 and later load it."""
TOLERANCE_FP32 = 1e-4
TOLERANCE_FP16 = 2e-2


def export_graph(graph: Graph, folder: Path) -> GraphSpec:
    """Write one graph as ONNX with static shapes and a batch of 1.

    Args:
        graph: what to export.
        folder: where ``<role>.onnx`` goes.

    Returns:
        Its entry in the manifest.

    Raises:
        TrainingError: opset, format version or a shape that the bedside cannot load.
    """
    path = folder / f"{graph.role}.onnx"
    module = graph.module.eval()
    with warnings.catch_warnings():
        # The dynamo exporter freezes or slices LSTMs (reference: streaming, exporters), so the old
        # one is used knowingly. Fixed shapes are what its tracer warns of, and what we want.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size")
        torch.onnx.export(
            module,
            one_case(graph, 0),
            str(path),
            dynamo=False,
            opset_version=MAX_OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
        )
    stored = onnx.load(str(path))
    onnx.checker.check_model(stored)
    opset = max(entry.version for entry in stored.opset_import if entry.domain in ("", "ai.onnx"))
    if stored.ir_version > MAX_IR_VERSION or opset > MAX_OPSET:
        raise TrainingError(
            "the graph is too new for the bedside's ONNX Runtime",
            source=path.name,
            expected=f"IR version up to {MAX_IR_VERSION}, opset up to {MAX_OPSET}",
            got=f"IR version {stored.ir_version}, opset {opset}",
            next_step="Use the torch version that the constraints file names",
        )
    return GraphSpec.model_validate(
        {
            "role": graph.role,
            "file": path.name,
            "sha256": sha256_of(path),
            "opset": opset,
            "inputs": tuple(tensor_spec(value) for value in stored.graph.input),
            "outputs": tuple(tensor_spec(value) for value in stored.graph.output),
        }
    )


def tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Return name, type and static shape of a graph's input or output.

    Args:
        value: the entry in the ONNX file.

    Returns:
        Its entry in the manifest.

    Raises:
        TrainingError: an axis without a fixed length.
    """
    tensor = value.type.tensor_type
    shape = tuple(axis.dim_value for axis in tensor.shape.dim)
    if not shape or min(shape) < 1:
        raise TrainingError(
            f"{value.name} has an axis without a fixed length",
            got=shape,
            next_step="Let the module's output shape follow from its input shapes alone",
        )
    dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    return TensorSpec.model_validate({"name": value.name, "dtype": dtype, "shape": shape})


def one_case(graph: Graph, case: int) -> tuple[torch.Tensor, ...]:
    """Return the inputs of one example, with a leading 1."""
    return tuple(torch.from_numpy(array[case : case + 1]) for array in graph.inputs.values())


def write_golden(graphs: tuple[Graph, ...], path: Path) -> Golden:
    """Store inputs and torch's outputs of every case, as ``<role>/<tensor>``.

    Args:
        graphs: the exported graphs, with the same number of cases each.
        path: the npz file.

    Returns:
        Its entry in the manifest.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    cases = min(len(array) for graph in graphs for array in graph.inputs.values())
    for graph in graphs:
        answers = [run_torch(graph.module, one_case(graph, case)) for case in range(cases)]
        for name, array in graph.inputs.items():
            arrays[f"{graph.role}/{name}"] = array[:cases]
        for i, name in enumerate(graph.outputs):
            arrays[f"{graph.role}/{name}"] = np.concatenate([answer[i] for answer in answers])
    with path.open("wb") as file:
        np.savez_compressed(file, **cast(Any, arrays))
    return Golden(
        file=path.name,
        sha256=sha256_of(path),
        cases=cases,
        tolerance_fp32=TOLERANCE_FP32,
        tolerance_fp16=TOLERANCE_FP16,
    )


def run_torch(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[npt.NDArray[Any]]:
    """Return a module's outputs as arrays."""
    with torch.no_grad():
        outputs = module(*inputs)
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
