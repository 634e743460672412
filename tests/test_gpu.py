"""Engines of a real TensorRT on a real GPU: parity with ONNX Runtime, latency beside it.

    pytest -m gpu -s tests/test_gpu.py      prints a line for every engine

No timing is asserted. Not run on a GPU so far: without one everything here is skipped.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_app.build_engines import BuiltBundle, build_engines
from edge_app.contracts import Array
from edge_app.errors import InferenceError
from edge_app.inference.backends import load_on_best_backend
from edge_app.inference.bundle import Bundle, load_bundle, require_golden, sha256_of
from edge_app.inference.engine import TensorRt
from edge_app.inference.engine_cache import EngineCache
from edge_app.inference.l4t import read_l4t_release
from edge_app.inference.onnx_runtime import OnnxRuntimeRunner
from edge_app.inference.tensorrt import NOT_QUANTISED_FOR_IT, EngineOpener, connect_tensorrt
from tests.conftest import ROOT

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]
"""Building takes seconds to minutes an engine, more on a small device."""
EXPORTS = ROOT / "exports"
FOLDERS = sorted(path.parent for path in EXPORTS.glob("*/manifest.json"))
MADE_FOR_CPUS = "emotion_int8"


@pytest.fixture(scope="module")
def trt() -> TensorRt:
    """TensorRT on this machine's GPU."""
    try:
        return connect_tensorrt()
    except InferenceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """Engines of this run alone."""
    return EngineCache(tmp_path_factory.mktemp("gpu") / "engines")


def built(folder: Path, trt: TensorRt, cache: EngineCache) -> list[BuiltBundle]:
    """Build a bundle's engines and tell of each."""
    results = list(build_engines(folder, lambda _: None, cache=cache, connect=lambda: trt))
    for one in results:
        error = "-" if one.worst is None else f"{one.worst.max_abs_error:.1e}"
        spent = "-" if one.engine_ms is None else f"{one.engine_ms:.3f} ms"
        sys.stdout.write(
            f"\n{trt.gpu}, TensorRT {trt.version}: {one.bundle} {one.precision}: golden error "
            f"{error}, {spent}, ONNX Runtime on the CPU {one.cpu_ms:.3f} ms {one.problem}"
        )
    return results


def golden_inputs(bundle: Bundle) -> dict[str, Array]:
    """Return the golden inputs of a bundle's first graph."""
    graph = bundle.manifest.graphs[0]
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as stored:
        return {tensor.name: stored[f"{graph.role}/{tensor.name}"] for tensor in graph.inputs}


@pytest.mark.parametrize(
    "folder", [f for f in FOLDERS if f.name != MADE_FOR_CPUS], ids=lambda folder: folder.name
)
def test_a_float_bundle_gets_engines_that_meet_its_golden_outputs(
    trt: TensorRt, cache: EngineCache, folder: Path
) -> None:
    results = built(folder, trt, cache)
    assert results[0].precision == trt.float_precisions[0]
    assert results[-1].usable, results[-1].problem
    assert built(folder, trt, cache)[-1].cached
    bundle = load_on_best_backend(folder, cache, lambda: trt)
    assert bundle.backend == f"tensorrt-{results[-1].precision}"
    require_golden(bundle)


def test_what_was_quantised_for_cpus_is_refused_with_what_to_do(
    trt: TensorRt, cache: EngineCache
) -> None:
    (result,) = built(EXPORTS / MADE_FOR_CPUS, trt, cache)
    assert not result.usable
    assert NOT_QUANTISED_FOR_IT in result.problem


def test_a_symmetric_8_bit_graph_answers_as_in_onnx_runtime(
    trt: TensorRt, cache: EngineCache, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    from trainer.export_int8 import TOLERANCE_INT8
    from trainer.quantise import SYMMETRIC_SETTINGS, quantise

    bundle = load_bundle(EXPORTS / "emotion")
    spec = bundle.manifest.graphs[0]
    (faces,) = golden_inputs(bundle).values()
    path = tmp_path / "model.onnx"
    # Few examples give poor ranges, the same ones to both runtimes.
    quantise(bundle.path / spec.file, path, faces, faces, SYMMETRIC_SETTINGS[:1])
    spec = spec.model_copy(update={"file": path.name, "sha256": sha256_of(path)})
    engine = EngineOpener(trt, cache, read_l4t_release(), "int8")(path, spec)
    on_cpu = OnnxRuntimeRunner(path, spec)
    worst = 0.0
    for face in faces:
        fed = {spec.inputs[0].name: face[None]}
        got, expected = engine.run(fed), on_cpu.run(fed)
        worst = max(worst, *(float(np.abs(got[k] - expected[k]).max()) for k in expected))
    sys.stdout.write(f"\n{trt.gpu}: emotion int8, symmetric: largest difference {worst:.1e}")
    assert worst <= TOLERANCE_INT8


def test_threads_may_share_an_engine(trt: TensorRt, cache: EngineCache) -> None:
    folder = EXPORTS / "emotion"
    opener = EngineOpener(trt, cache, read_l4t_release(), trt.float_precisions[0])
    bundle = load_bundle(folder, opener)
    runner = bundle.runners["model"]
    (faces,) = golden_inputs(bundle).values()
    fed = [{bundle.manifest.graphs[0].inputs[0].name: face[None]} for face in faces] * 20
    alone = [runner.run(one)["logits"] for one in fed]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: runner.run(one)["logits"], fed))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_damaged_engine_with_a_right_hash_is_built_anew(
    trt: TensorRt, cache: EngineCache
) -> None:
    folder = EXPORTS / "frailty"
    opener = EngineOpener(trt, cache, read_l4t_release(), trt.float_precisions[0])
    spec = load_bundle(folder).manifest.graphs[0]
    opener(folder / spec.file, spec)
    key = opener.key(spec)
    whole = cache.read(key)
    assert whole is not None
    cache.write(key, whole[: len(whole) // 2])
    bundle = load_bundle(folder, opener)
    assert cache.read(key) != whole[: len(whole) // 2]
    assert bundle.backend == f"tensorrt-{trt.float_precisions[0]}"
