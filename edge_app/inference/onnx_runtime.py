"""ONNX Runtime on one CPU thread, the backend that every machine has; or on the GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_app.contracts import Array
from edge_app.errors import InferenceError, ManifestError
from edge_app.inference.manifest import GraphSpec, TensorSpec

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
_BACKENDS = {CPU: "onnxruntime-cpu", CUDA: "onnxruntime-cuda", TENSORRT: "onnxruntime-tensorrt"}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def load_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry switched off.

    Its Linux builds (seen in 1.31) otherwise leave a device id and queued events in the home folder
    and look a collecting host up; nothing may leave the bedside unasked. The variable is read when
    the library is loaded, so it has to be set before the import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def _check_tensors(
    path: Path, what: str, declared: tuple[TensorSpec, ...], real: list[Any]
) -> None:
    expected = {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in declared}
    got = {node.name: (_DTYPES.get(node.type, node.type), list(node.shape)) for node in real}
    if expected != got:
        raise ManifestError(
            f"the graph's {what} differ from the manifest",
            source=str(path),
            expected=expected,
            got=got,
            next_step="Export the bundle again with `trainer export`",
        )


def _no_provider(provider: str, version: str) -> InferenceError:
    return InferenceError(
        f"ONNX Runtime {version} cannot use {provider} here",
        source="onnxruntime",
        next_step="Install a build of ONNX Runtime for this GPU; pip has none for a Jetson",
    )


class OnnxRuntimeRunner:
    """One graph in an ONNX Runtime session.

    Args:
        path: the ONNX file; its hash has been verified by the caller.
        spec: what the manifest says of it.
        provider: of ONNX Runtime: ``CPU``, ``CUDA`` or ``TENSORRT``.
        provider_options: as ONNX Runtime names them.

    Raises:
        ManifestError: the file does not load (damaged, or an opset this ONNX Runtime does not
            know), or its inputs and outputs are not those of the manifest.
        InferenceError: this ONNX Runtime has not the provider, or cannot start it.
    """

    precision = "fp32"

    def __init__(
        self,
        path: Path,
        spec: GraphSpec,
        provider: str = CPU,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        onnxruntime = load_onnxruntime()
        self.backend = _BACKENDS[provider]
        if provider not in onnxruntime.get_available_providers():
            raise _no_provider(provider, onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=[(provider, dict(provider_options or {}))]
            )
        except Exception as error:  # its exceptions share no public base class
            raise ManifestError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load it: {str(error)[:300]}",
                source=str(path),
                next_step="Export the bundle again with `trainer export` (opset 17 or lower)",
            ) from error
        if self._session.get_providers()[0] != provider:  # it steps down to the CPU by itself
            raise _no_provider(provider, onnxruntime.__version__)
        _check_tensors(path, "inputs", spec.inputs, self._session.get_inputs())
        _check_tensors(path, "outputs", spec.outputs, self._session.get_outputs())
        self._name = path.name
        self._outputs = [tensor.name for tensor in spec.outputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; see ``Runner.run``."""
        try:
            values = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # as above
            shapes = {name: (str(x.dtype), x.shape) for name, x in inputs.items()}
            raise InferenceError(
                f"the model failed: {str(error)[:300]}",
                source=self._name,
                got=shapes,
                next_step="Run `edge-app check` with this bundle",
            ) from error
        return dict(zip(self._outputs, values, strict=True))
