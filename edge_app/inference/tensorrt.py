"""TensorRT behind ``Runner``: an engine of this machine, from the cache or built now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.contracts import Array
from edge_app.errors import InferenceError
from edge_app.inference.engine import Engine, EngineKey, Precision, Tell, TensorRt
from edge_app.inference.engine_cache import EngineCache
from edge_app.inference.manifest import GraphSpec, TensorSpec

logger = logging.getLogger(__name__)

NEEDS = (
    "On a Jetson install JetPack's python3-libnvinfer, use an environment with system site "
    "packages, and `pip install 'cuda-bindings<13'` (JetPack 6)"
)

NOT_QUANTISED_FOR_IT = (
    "TensorRT takes signed 8-bit ranges with zero points of 0 only: export with `trainer export "
    "--int8-symmetric`, or use the float bundle, whose engine is FP16; until then this bundle "
    "runs on ONNX Runtime"
)


def connect_tensorrt() -> TensorRt:
    """Return TensorRT on this machine's GPU.

    Returns:
        The library, with the GPU's name and version known.

    Raises:
        InferenceError: no Python module of TensorRT or CUDA, a version that is not known, no GPU.
    """
    try:
        from edge_app.inference.tensorrt_vendor import NvidiaTensorRt
    except (ImportError, OSError, RuntimeError) as error:
        raise InferenceError(
            f"TensorRT cannot be used: {error}", source="tensorrt", next_step=NEEDS
        ) from error
    return NvidiaTensorRt()


class TensorRtRunner:
    """One graph as a TensorRT engine; threads may share it.

    Args:
        engine: on the GPU.
        precision: it was built in.
        spec: its tensors.
    """

    def __init__(self, engine: Engine, precision: Precision, spec: GraphSpec) -> None:
        self._engine, self._spec = engine, spec
        self._lock = threading.Lock()
        self.precision: str = precision
        self.backend = f"tensorrt-{precision}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; see ``Runner.run``."""
        expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in self._spec.inputs}
        got = {name: (str(values.dtype), values.shape) for name, values in inputs.items()}
        if got != expected:
            raise InferenceError(
                "the model failed: wrong inputs",
                source=self._spec.file,
                expected=expected,
                got=got,
                next_step="Run `edge-app check` with this bundle",
            )
        ready = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
        with self._lock:
            return self._engine.run(ready)


@dataclass(frozen=True, slots=True)
class EngineOpener:
    """Opens graphs as engines of one precision: from the cache, or built and kept there.

    Args:
        tensorrt: the library and its GPU.
        cache: where engines are kept.
        l4t: release of Jetson Linux, part of the key.
        precision: of the engines.
        tell: told of builds and their progress.
    """

    tensorrt: TensorRt
    cache: EngineCache
    l4t: str
    precision: Precision
    tell: Tell = logger.warning

    def key(self, spec: GraphSpec) -> EngineKey:
        """Return the key of a graph's engine on this machine."""
        trt = self.tensorrt
        return EngineKey(
            spec.sha256, trt.version, trt.gpu, trt.compute_capability, self.l4t, self.precision
        )

    def __call__(self, path: Path, spec: GraphSpec) -> TensorRtRunner:
        """Open a graph.

        Args:
            path: the ONNX file; its hash has been verified by the caller.
            spec: what the manifest says of it.

        Returns:
            Its runner.

        Raises:
            InferenceError: it can be neither loaded nor built.
        """
        key = self.key(spec)
        stored = self.cache.read(key)
        if stored is not None:
            try:
                return TensorRtRunner(self.tensorrt.load(stored, spec), self.precision, spec)
            except InferenceError as error:
                logger.warning("%s: built anew: %s", self.cache.path(key), error)
        engine = self._build(path, key)
        return TensorRtRunner(self.tensorrt.load(engine, spec), self.precision, spec)

    def _build(self, path: Path, key: EngineKey) -> bytes:
        name = f"{path.parent.name}/{path.name} {self.precision}"
        self.tell(
            f"{name}: TensorRT {key.tensorrt} builds an engine for {key.gpu}: seconds to "
            "minutes, once"
        )
        timing = self.cache.read_timing(key)
        try:
            built = self.tensorrt.build(
                path.read_bytes(), self.precision, timing, lambda text: self.tell(f"{name}: {text}")
            )
        except InferenceError as error:
            if self.precision != "int8":
                raise
            raise InferenceError(
                error.problem, source=error.source, next_step=NOT_QUANTISED_FOR_IT
            ) from error
        try:
            self.cache.write(key, built.engine)
            self.cache.write_timing(key, built.timing)
        except InferenceError as error:  # it runs all the same, and is built again next time
            logger.warning("%s: %s", name, error)
        return built.engine


def same_tensors(
    declared: tuple[TensorSpec, ...], real: Mapping[str, tuple[str, tuple[int, ...]]], source: str
) -> None:
    """Refuse an engine whose tensors are not those of the manifest.

    Args:
        declared: inputs and outputs of the manifest.
        real: dtype and shape of the engine's, by name.
        source: the graph's file.

    Raises:
        InferenceError: they differ.
    """
    expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in declared}
    if dict(real) != expected:
        raise InferenceError(
            "the engine's tensors differ from the manifest",
            source=source,
            expected=expected,
            got=dict(real),
            next_step="Run `edge-app build-engines` again",
        )
