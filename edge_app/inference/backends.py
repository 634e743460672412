"""Which backend runs a bundle: the first of the order below that meets the golden outputs.

    tensorrt -> onnxruntime-tensorrt -> onnxruntime-cuda -> onnxruntime-cpu

The GPU is used where `edge-app build-engines` has built engines once: from then on an engine that
is missing, damaged or of another JetPack is built anew when a bundle is opened. Everywhere else the
CPU runs the models. ``BEDSIDE_BACKEND`` names where in the order to begin, with engines or without.
A step down is logged as a warning.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from edge_app.errors import ConfigError, InferenceError
from edge_app.inference.bundle import Bundle, OpenRunner, load_bundle, require_golden
from edge_app.inference.engine import Precision, TensorRt, is_quantised
from edge_app.inference.engine_cache import EngineCache, default_folder
from edge_app.inference.l4t import NO_L4T, read_l4t_release
from edge_app.inference.manifest import read_manifest
from edge_app.inference.onnx_runtime import CPU, CUDA, TENSORRT, OnnxRuntimeRunner
from edge_app.inference.tensorrt import EngineOpener, connect_tensorrt

logger = logging.getLogger(__name__)

ORDER = ("tensorrt", "onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime-cpu")
AUTO = "auto"
Connect = Callable[[], TensorRt]


def precisions_of(bundle: Path, tensorrt: TensorRt) -> tuple[Precision, ...]:
    """Return the precisions in which a bundle is tried, the quickest first.

    Args:
        bundle: its folder.
        tensorrt: on this machine.

    Returns:
        ``int8`` alone where a graph is quantised: its float parts follow.
    """
    graphs = [bundle / graph.file for graph in read_manifest(bundle).graphs]
    if any(path.is_file() and is_quantised(path.read_bytes()) for path in graphs):
        return ("int8",)
    return tensorrt.float_precisions


def _first_backend(cache: EngineCache) -> str:
    named = os.environ.get("BEDSIDE_BACKEND", AUTO)
    if named in ORDER:
        return named
    if named != AUTO:
        raise ConfigError(
            "no such backend",
            source="BEDSIDE_BACKEND",
            expected=f"one of {', '.join((AUTO, *ORDER))}",
            got=named,
            next_step="Correct the variable or remove it",
        )
    if cache.in_use:
        return ORDER[0]
    if read_l4t_release() != NO_L4T:
        logger.info("no TensorRT engine in %s: `edge-app build-engines` builds them", cache.folder)
    return ORDER[-1]


def _openers(
    backend: str, bundle: Path, cache: EngineCache, connect: Connect
) -> Iterator[tuple[str, OpenRunner]]:
    """Yield the ways to open a bundle's graphs on one backend."""
    if backend == "tensorrt":
        tensorrt = connect()
        for precision in precisions_of(bundle, tensorrt):
            opener = EngineOpener(tensorrt, cache, read_l4t_release(), precision)
            yield f"tensorrt-{precision}", opener
    elif backend == "onnxruntime-tensorrt":
        options = {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache.folder / "onnxruntime"),
        }
        yield backend, partial(OnnxRuntimeRunner, provider=TENSORRT, provider_options=options)
    elif backend == "onnxruntime-cuda":
        yield backend, partial(OnnxRuntimeRunner, provider=CUDA)


def load_on_best_backend(
    path: Path, cache: EngineCache | None = None, connect: Connect = connect_tensorrt
) -> Bundle:
    """Load a bundle on the best backend of this machine.

    Args:
        path: the bundle's folder.
        cache: of engines; None: the user's.
        connect: gives TensorRT, or raises InferenceError.

    Returns:
        The bundle. On another backend than the CPU it has met its golden outputs; on the CPU that
        is the caller's to see to, for there is nothing left to fall back to.

    Raises:
        ManifestError: a missing or altered file.
        ConfigError: BEDSIDE_BACKEND names no backend.
    """
    cache = cache or EngineCache(default_folder())
    for backend in ORDER[ORDER.index(_first_backend(cache)) : -1]:
        try:
            for name, opener in _openers(backend, path, cache, connect):
                bundle = _load_and_verify(path, name, opener)
                if bundle is not None:
                    return bundle
        except InferenceError as error:
            logger.warning("%s: NOT on %s: %s", path.name, backend, error)
    if _first_backend(cache) != ORDER[-1]:
        logger.warning("%s: FALLS BACK to %s", path.name, ORDER[-1])
    return load_bundle(path, partial(OnnxRuntimeRunner, provider=CPU))


def _load_and_verify(path: Path, name: str, opener: OpenRunner) -> Bundle | None:
    """Return the bundle, or None (logged) where a backend fails or strays from golden outputs."""
    try:
        bundle = load_bundle(path, opener)
        require_golden(bundle)
    except InferenceError as error:
        logger.warning("%s: NOT on %s: %s", path.name, name, error)
        return None
    logger.info("%s: runs on %s", path.name, name)
    return bundle
