"""TensorRT's road but for the vendor's calls: a double stands in for library and GPU."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_app.build_engines import build_engines
from edge_app.contracts import Array
from edge_app.errors import ConfigError, InferenceError, ManifestError
from edge_app.inference.backends import load_on_best_backend, precisions_of
from edge_app.inference.bundle import load_bundle, require_golden
from edge_app.inference.engine import (
    BuiltEngine,
    EngineKey,
    Precision,
    Tell,
    is_quantised,
)
from edge_app.inference.engine_cache import EngineCache, default_folder
from edge_app.inference.l4t import parse_l4t, read_l4t_release
from edge_app.inference.manifest import GraphSpec
from edge_app.inference.onnx_runtime import CUDA, OnnxRuntimeRunner
from edge_app.inference.tensorrt import EngineOpener, same_tensors
from tests.bundles import write_bundle
from tests.conftest import ROOT


class DoubleEngine:
    """Runs the graph in ONNX Runtime and adds a fixed error."""

    def __init__(self, runner: OnnxRuntimeRunner, error: float) -> None:
        self.runner, self.error = runner, np.float32(error)

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        return {name: v + self.error for name, v in self.runner.run(inputs).items()}


class DoubleTensorRt:
    """An engine is a mark and the graph; errors by precision are scripted."""

    def __init__(self, folder: Path, **errors: float) -> None:
        self.version, self.gpu, self.compute_capability = "10.3.0", "Orin (double)", "8.7"
        self.float_precisions: tuple[Precision, ...] = ("fp16", "fp32")
        self.folder, self.errors = folder, errors
        self.builds: list[str] = []
        self.timings: list[bytes] = []
        self.broken = False

    def build(self, model: bytes, precision: Precision, timing: bytes, tell: Tell) -> BuiltEngine:
        if self.broken:
            raise InferenceError("no kernel", next_step="none")
        self.builds.append(precision)
        self.timings.append(timing)
        tell("tactics: 1 of 1")
        return BuiltEngine(b"double " + precision.encode() + b"\n" + model, timing + b"t")

    def load(self, engine: bytes, spec: GraphSpec) -> DoubleEngine:
        head, _, model = engine.partition(b"\n")
        if not head.startswith(b"double "):
            raise InferenceError("does not deserialise", next_step="none")
        path = self.folder / f"{spec.role}-loaded.onnx"
        path.write_bytes(model)
        error = self.errors.get(head.split()[1].decode(), 0.0)
        return DoubleEngine(OnnxRuntimeRunner(path, spec), error)


@pytest.fixture
def trt(tmp_path: Path) -> DoubleTensorRt:
    return DoubleTensorRt(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    monkeypatch.delenv("BEDSIDE_BACKEND", raising=False)
    return EngineCache(tmp_path / "engines")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path, "sleep")


def open_with(trt: DoubleTensorRt, cache: EngineCache, folder: Path, l4t: str = "R36.4.3") -> None:
    require_golden(load_bundle(folder, EngineOpener(trt, cache, l4t, "fp16")))


def test_an_engine_is_built_once_and_found_again(
    trt: DoubleTensorRt, cache: EngineCache, folder: Path
) -> None:
    assert not cache.in_use
    open_with(trt, cache, folder)
    n_graphs = len(load_bundle(folder).manifest.graphs)
    assert trt.builds == ["fp16"] * n_graphs
    assert cache.in_use
    open_with(trt, cache, folder)
    assert len(trt.builds) == n_graphs
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in cache.folder.iterdir())


@pytest.mark.parametrize("part", ["version", "gpu", "compute_capability", "l4t", "model"])
def test_every_part_of_the_key_that_changes_builds_anew(
    trt: DoubleTensorRt, cache: EngineCache, tmp_path: Path, part: str
) -> None:
    folder, l4t = write_bundle(tmp_path, "frailty"), "R36.4.3"
    open_with(trt, cache, folder, l4t)
    old = set(cache.folder.glob("*.engine"))
    if part == "l4t":
        l4t = "R36.4.4"
    elif part == "model":
        folder = write_bundle(tmp_path, "emotion")
    else:
        setattr(trt, part, "another")
    open_with(trt, cache, folder, l4t)
    assert len(trt.builds) == 2
    kept = set(cache.folder.glob("*.engine"))
    # What no longer fits this machine is removed; another model's engine stays.
    assert (old <= kept) == (part == "model")


def test_the_key_holds_every_part_and_the_precision() -> None:
    key = EngineKey("a" * 64, "10.3.0", "Orin", "8.7", "R36.4.3", "fp16")
    changed = [
        replace(key, model_sha256="b" * 64),
        replace(key, tensorrt="10.13.0"),
        replace(key, gpu="Thor"),
        replace(key, compute_capability="11.0"),
        replace(key, l4t="R38.2"),
        replace(key, precision="fp32"),
    ]
    assert len({key.digest, *(one.digest for one in changed)}) == 7
    assert replace(key).digest == key.digest


@pytest.mark.parametrize(
    "how", ["flipped", "cut", "empty", "note", "note_gone", "undeserialisable"]
)
def test_a_corrupt_engine_is_built_anew(
    trt: DoubleTensorRt,
    cache: EngineCache,
    tmp_path: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = write_bundle(tmp_path, "frailty")
    open_with(trt, cache, folder)
    key = EngineOpener(trt, cache, "R36.4.3", "fp16").key(load_bundle(folder).manifest.graphs[0])
    path = cache.path(key)
    good = path.read_bytes()
    note = path.with_suffix(".json")
    if how == "flipped":
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif how == "cut":
        path.write_bytes(good[: len(good) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "note":
        note.write_text("{")
    elif how == "note_gone":
        note.unlink()
    else:  # right by its hash, and the library refuses it all the same
        cache.write(key, b"of another library")
    open_with(trt, cache, folder)
    assert len(trt.builds) == 2
    assert path.read_bytes() == good
    assert json.loads(note.read_text())["key"]["tensorrt"] == "10.3.0"
    assert caplog.text


def test_the_timing_cache_is_kept_by_machine(
    trt: DoubleTensorRt, cache: EngineCache, tmp_path: Path
) -> None:
    open_with(trt, cache, write_bundle(tmp_path, "frailty"))
    emotion = write_bundle(tmp_path, "emotion")
    open_with(trt, cache, emotion)
    trt.version = "10.13.0"
    open_with(trt, cache, emotion)
    assert trt.timings == [b"", b"t", b""]


def test_a_folder_that_cannot_be_written_to_still_runs(
    trt: DoubleTensorRt, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    open_with(trt, EngineCache(tmp_path / "file"), folder)
    assert "engines cannot be kept here" in caplog.text


def test_a_full_disk_leaves_no_half_file(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_app.inference.engine_cache.os.fsync", full)
    key = EngineKey("a" * 64, "10.3.0", "Orin", "8.7", "R36.4.3", "fp16")
    with pytest.raises(InferenceError, match=r"cannot be kept here.*No space left"):
        cache.write(key, b"engine")
    assert list(cache.folder.iterdir()) == []


def test_a_golden_mismatch_in_fp16_takes_fp32(
    cache: EngineCache, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trt = DoubleTensorRt(tmp_path, fp16=0.1)
    results = list(build_engines(folder, lambda _: None, cache=cache, connect=lambda: trt))
    assert [(r.precision, r.usable) for r in results] == [("fp16", False), ("fp32", True)]
    worst = results[0].worst
    assert worst is not None
    assert worst.max_abs_error == pytest.approx(0.1, rel=0.01)
    bundle = load_on_best_backend(folder, cache, lambda: trt)
    assert bundle.backend == "tensorrt-fp32"
    assert "strays from its golden values" in caplog.text


def test_the_tolerance_is_the_precisions_own(cache: EngineCache, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "frailty")
    golden = load_bundle(folder).manifest.golden
    between = (golden.tolerance_fp32 * golden.tolerance_fp16) ** 0.5
    for precision, usable in (("fp16", True), ("fp32", False)):
        trt = DoubleTensorRt(tmp_path, fp16=between, fp32=between)
        trt.float_precisions = (precision,)
        results = list(build_engines(folder, lambda _: None, cache=cache, connect=lambda t=trt: t))
        assert [r.usable for r in results] == [usable]


def test_nothing_left_falls_back_to_the_cpu_loudly(
    cache: EngineCache, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trt = DoubleTensorRt(tmp_path, fp16=0.5, fp32=float("nan"))
    list(build_engines(folder, lambda _: None, cache=cache, connect=lambda: trt))
    bundle = load_on_best_backend(folder, cache, lambda: trt)
    assert bundle.backend == "onnxruntime-cpu"
    require_golden(bundle)
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    for name in ("tensorrt-fp16", "tensorrt-fp32", "onnxruntime-tensorrt", "onnxruntime-cuda"):
        assert any(f"NOT on {name}" in line for line in warned), name
    assert "FALLS BACK to onnxruntime-cpu" in warned[-1]


def test_tensorrt_gone_after_an_upgrade_falls_back(
    trt: DoubleTensorRt, cache: EngineCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_with(trt, cache, folder)

    def gone() -> DoubleTensorRt:
        raise InferenceError("no module named tensorrt", next_step="Install it")

    bundle = load_on_best_backend(folder, cache, gone)
    assert bundle.backend == "onnxruntime-cpu"
    assert "no module named tensorrt" in caplog.text


def test_where_no_engine_was_ever_built_nothing_is_tried(
    cache: EngineCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def connect() -> DoubleTensorRt:
        raise AssertionError

    bundle = load_on_best_backend(folder, cache, connect)
    assert bundle.backend == "onnxruntime-cpu"
    assert not caplog.text


def test_the_backend_can_be_named(
    trt: DoubleTensorRt, cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDSIDE_BACKEND", "tensorrt")  # builds, though none was built before
    bundle = load_on_best_backend(folder, cache, lambda: trt)
    assert bundle.backend == "tensorrt-fp16"
    monkeypatch.setenv("BEDSIDE_BACKEND", "onnxruntime-cpu")
    bundle = load_on_best_backend(folder, cache, lambda: trt)
    assert bundle.backend == "onnxruntime-cpu"
    monkeypatch.setenv("BEDSIDE_BACKEND", "cuda")
    with pytest.raises(ConfigError, match="no such backend"):
        load_on_best_backend(folder, cache, lambda: trt)


def test_an_altered_bundle_is_no_reason_to_fall_back(
    trt: DoubleTensorRt, cache: EngineCache, folder: Path
) -> None:
    open_with(trt, cache, folder)
    (folder / "golden.npz").write_bytes(b"altered")
    with pytest.raises(ManifestError, match="hash differs"):
        load_on_best_backend(folder, cache, lambda: trt)


def test_a_graph_that_cannot_be_built_is_told(
    trt: DoubleTensorRt, cache: EngineCache, folder: Path
) -> None:
    trt.broken = True
    results = list(build_engines(folder, lambda _: None, cache=cache, connect=lambda: trt))
    assert [(r.usable, r.worst) for r in results] == [(False, None)] * 2
    assert "no kernel" in results[0].problem


def test_an_8_bit_graph_that_cannot_be_built_says_what_to_give_instead(
    trt: DoubleTensorRt, cache: EngineCache
) -> None:
    trt.broken = True
    folder = ROOT / "exports" / "emotion_int8"
    (result,) = build_engines(folder, lambda _: None, cache=cache, connect=lambda: trt)
    assert (result.precision, result.usable) == ("int8", False)
    for text in ("no kernel", "--int8-symmetric", "FP16", "ONNX Runtime"):
        assert text in result.problem


def test_building_tells_progress_and_can_be_repeated(
    trt: DoubleTensorRt, cache: EngineCache, tmp_path: Path
) -> None:
    folder, told = write_bundle(tmp_path, "frailty"), []
    for rebuild, cached, builds in ((False, False, 1), (False, True, 1), (True, False, 2)):
        (result,) = build_engines(
            folder, told.append, rebuild=rebuild, cache=cache, connect=lambda: trt
        )
        assert (result.cached, len(trt.builds)) == (cached, builds)
    assert any("tactics: 1 of 1" in line for line in told)


def test_a_wrong_input_is_an_inference_error(
    trt: DoubleTensorRt, cache: EngineCache, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path, "frailty")
    bundle = load_bundle(folder, EngineOpener(trt, cache, "none", "fp16"))
    with pytest.raises(InferenceError, match="wrong inputs"):
        bundle.runners["model"].run({"imu": np.zeros((1, 6, 199), np.float32)})


def test_other_tensors_than_the_manifests_are_refused(folder: Path) -> None:
    declared = load_bundle(folder).manifest.graphs[0].inputs
    real = {tensor.name: (tensor.dtype, tensor.shape) for tensor in declared}
    same_tensors(declared, real, "x")
    name = declared[0].name
    with pytest.raises(InferenceError, match="differ from the manifest"):
        same_tensors(declared, {**real, name: ("float32", (2, 1, 3000))}, "x")


def test_a_provider_that_is_not_there_is_an_inference_error(folder: Path) -> None:
    spec = load_bundle(folder).manifest.graphs[0]
    with pytest.raises(InferenceError, match="cannot use CUDAExecutionProvider"):
        OnnxRuntimeRunner(folder / spec.file, spec, provider=CUDA)


def test_a_quantised_graph_is_built_in_int8_only(trt: DoubleTensorRt, tmp_path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    folder = write_bundle(tmp_path, "frailty")
    assert not is_quantised((folder / "model.onnx").read_bytes())
    model = onnx.load(str(folder / "model.onnx"))
    scale = numpy_helper.from_array(np.float32(0.01), "scale")
    zero = numpy_helper.from_array(np.int8(0), "zero")
    model.graph.initializer.extend([scale, zero])
    model.graph.node.append(helper.make_node("QuantizeLinear", ["logits", "scale", "zero"], ["q"]))
    assert precisions_of(folder, trt) == ("fp16", "fp32")
    onnx.save(model, str(folder / "model.onnx"))
    assert precisions_of(folder, trt) == ("int8",)


def test_the_release_of_jetson_linux(tmp_path: Path) -> None:
    file = tmp_path / "nv_tegra_release"
    file.write_text("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n")
    assert read_l4t_release(file) == "R36.4.3"
    file.write_text("# something else\n")
    assert read_l4t_release(file).startswith("unknown")
    assert read_l4t_release(tmp_path / "none") == "none"
    assert parse_l4t("R38 (release), REVISION: 2.0") == "38.2.0"
    assert parse_l4t("R38 (release), REVISION: later") is None


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BEDSIDE_ENGINES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "bedside" / "engines"
    monkeypatch.setenv("BEDSIDE_ENGINES", "/somewhere")
    assert default_folder() == Path("/somewhere")
