"""Build a device's TensorRT engines ahead of use, hold them against golden outputs, time them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from edge_app.config import load_config
from edge_app.contracts import Array
from edge_app.errors import InferenceError
from edge_app.inference.backends import Connect, precisions_of
from edge_app.inference.bundle import Bundle, Parity, is_bundle, load_bundle, replay_golden
from edge_app.inference.engine import Precision, Tell, TensorRt
from edge_app.inference.engine_cache import EngineCache, default_folder
from edge_app.inference.l4t import read_l4t_release
from edge_app.inference.tensorrt import EngineOpener, connect_tensorrt

TIMED_RUNS = 200


@dataclass(frozen=True, slots=True)
class BuiltBundle:
    """One bundle in one precision.

    Args:
        bundle: its name.
        precision: of its engines.
        cached: whether all its engines were there already.
        worst: of the golden outputs, the one nearest to or farthest over its tolerance; None
            when it could not be built or run.
        engine_ms: median of a run of all its graphs, to and from the GPU included.
        cpu_ms: the same in ONNX Runtime on one CPU thread.
        problem: why it is not used; empty when it is.
    """

    bundle: str
    precision: Precision
    cached: bool
    worst: Parity | None
    engine_ms: float | None
    cpu_ms: float
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether this is what the device will run."""
        return not self.problem


def build_engines(
    target: Path,
    tell: Tell,
    *,
    rebuild: bool = False,
    cache: EngineCache | None = None,
    connect: Connect = connect_tensorrt,
) -> Iterator[BuiltBundle]:
    """Build and verify the engines of every bundle of a device.

    Args:
        target: a device's YAML, or a bundle's folder.
        tell: told of builds and their progress.
        rebuild: build also what is there already.
        cache: where engines are kept; None: the user's.
        connect: gives TensorRT.

    Yields:
        One result a bundle and precision tried; the last of a bundle is usable, or none is.

    Raises:
        InferenceError: no TensorRT or no GPU.
        ConfigError: no such file or bundle, or a configuration that does not load.
        ManifestError: a bundle is missing or altered.
    """
    if is_bundle(target):
        folders = {target}
    else:
        folders = {stream.bundle for stream in load_config(target).streams}
    cache, tensorrt = cache or EngineCache(default_folder()), connect()
    for folder in sorted(folders):
        on_cpu = load_bundle(folder)
        for precision in precisions_of(folder, tensorrt):
            built = _build_one(on_cpu, tensorrt, cache, precision, tell, rebuild=rebuild)
            yield built
            if built.usable:
                break


def _build_one(
    on_cpu: Bundle,
    tensorrt: TensorRt,
    cache: EngineCache,
    precision: Precision,
    tell: Tell,
    *,
    rebuild: bool,
) -> BuiltBundle:
    opener = EngineOpener(tensorrt, cache, read_l4t_release(), precision, tell)
    keys = [opener.key(graph) for graph in on_cpu.manifest.graphs]
    if rebuild:
        for key in keys:
            cache.path(key).unlink(missing_ok=True)
    cached = all(cache.read(key) is not None for key in keys)
    cpu_ms, name = _median_ms(on_cpu), on_cpu.manifest.name
    try:
        bundle = load_bundle(on_cpu.path, opener)
        results = replay_golden(bundle)
    except InferenceError as error:
        return BuiltBundle(name, precision, cached, None, None, cpu_ms, str(error))
    worst = max(results, key=_strain)
    problem = "" if all(r.passed for r in results) else "strays from its golden outputs"
    return BuiltBundle(name, precision, cached, worst, _median_ms(bundle), cpu_ms, problem)


def _strain(parity: Parity) -> float:
    strain = parity.max_abs_error / parity.tolerance
    return float("inf") if np.isnan(strain) else strain


def _median_ms(bundle: Bundle) -> float:
    """Return the median time of one run of all graphs on their first golden inputs."""
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as golden:
        fed: list[tuple[str, dict[str, Array]]] = [
            (g.role, {t.name: golden[f"{g.role}/{t.name}"][:1] for t in g.inputs})
            for g in bundle.manifest.graphs
        ]
    times_s = []
    for _ in range(TIMED_RUNS):
        begin_s = time.perf_counter()
        for role, inputs in fed:
            bundle.runners[role].run(inputs)
        times_s.append(time.perf_counter() - begin_s)
    return 1e3 * median(times_s)
