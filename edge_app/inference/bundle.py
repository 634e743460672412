"""Load a bundle: verify every hash, open its graphs, replay its golden cases."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.contracts import Array
from edge_app.errors import ConfigError, InferenceError, ManifestError
from edge_app.inference.manifest import GraphSpec, Manifest, read_manifest
from edge_app.inference.onnx_runtime import OnnxRuntimeRunner
from edge_app.inference.runner import Runner

SEAL = "manifest.sha256"
"""Holds the hash of the manifest, which holds all others: no byte of them changes unnoticed."""

OpenRunner = Callable[[Path, GraphSpec], Runner]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle with its graphs open.

    Args:
        path: its folder.
        manifest: what it says of itself.
        runners: one for each role of the manifest's graphs.
        model_id: name and the first 12 digits of the manifest's SHA-256, which covers all file
            hashes.
    """

    path: Path
    manifest: Manifest
    runners: dict[str, Runner]
    model_id: str

    @property
    def backend(self) -> str:
        """What runs its graphs, such as ``onnxruntime-cpu`` or ``tensorrt-fp16``."""
        return " and ".join(sorted({runner.backend for runner in self.runners.values()}))


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one output of one graph is from its golden values."""

    role: str
    output: str
    cases: int
    max_abs_error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return bool(self.max_abs_error <= self.tolerance)


def is_bundle(path: Path) -> bool:
    """Return whether what may be a device YAML or the folder of a bundle is the latter.

    Args:
        path: either of them.

    Raises:
        ConfigError: it is not there, or a folder without a manifest.
    """
    if path.is_file() or (path / "manifest.json").is_file():
        return path.is_dir()
    raise ConfigError(
        "this folder holds no bundle" if path.is_dir() else "no such file or folder",
        source=str(path),
        expected="a device YAML, or the folder of a bundle with its manifest.json",
        next_step="Name one of device_configs/ or exports/, or make a bundle of a training run:"
        " trainer export RUN --out exports/NAME --data DATA",
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _verify(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise ManifestError(
            "a file of the bundle is missing",
            source=str(path),
            next_step="Copy the whole bundle folder again, or export it with `trainer export`",
        )
    got = sha256_of(path)
    if got != sha256:
        raise ManifestError(
            "the file is not the one that was exported: its hash differs",
            source=str(path),
            expected=sha256,
            got=got,
            next_step="Copy the whole bundle folder again; a changed model is never run",
        )
    return path


def _sealed_hash(path: Path) -> str:
    try:
        return (path / SEAL).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"a bundle needs {SEAL}, the hash of its manifest",
            source=str(path),
            next_step="Copy the whole bundle folder again, or export it with `trainer export`",
        ) from error


def load_bundle(path: Path, open_runner: OpenRunner = OnnxRuntimeRunner) -> Bundle:
    """Verify a bundle's hashes and open its graphs.

    Args:
        path: the bundle's folder, such as ``exports/emotion``.
        open_runner: the backend.

    Returns:
        The bundle, ready to run.

    Raises:
        ManifestError: a missing or altered file, or a manifest that does not fit its graphs.
    """
    manifest = read_manifest(path)
    _verify(path / "manifest.json", _sealed_hash(path))
    _verify(path / manifest.golden.file, manifest.golden.sha256)
    runners: dict[str, Runner] = {
        graph.role: open_runner(_verify(path / graph.file, graph.sha256), graph)
        for graph in manifest.graphs
    }
    digest = sha256_of(path / "manifest.json")[:12]
    return Bundle(path, manifest, runners, f"{manifest.name}@{digest}")


def seal(path: Path) -> None:
    """Write the hash of ``manifest.json`` beside it; an export's last act.

    Args:
        path: the bundle's folder.
    """
    (path / SEAL).write_text(sha256_of(path / "manifest.json") + "\n", encoding="ascii")


def _golden_array(golden: dict[str, Array], key: str, cases: int, path: Path) -> Array:
    array = golden.get(key)
    if array is None or array.shape[0] != cases:
        raise ManifestError(
            f"golden.npz needs {key!r} with {cases} cases",
            source=str(path),
            got=sorted(golden),
            next_step="Export the bundle again with `trainer export`",
        )
    return array


def replay_golden(bundle: Bundle) -> list[Parity]:
    """Run the stored inputs and compare with the stored outputs.

    Args:
        bundle: a loaded bundle.

    Returns:
        One result an output of each graph, worst case over all golden cases.

    Raises:
        ManifestError: golden.npz does not hold what the manifest says.
        InferenceError: a graph failed.
    """
    manifest, path = bundle.manifest, bundle.path / bundle.manifest.golden.file
    try:
        with np.load(path, allow_pickle=False) as stored:
            golden = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ManifestError(
            f"not a readable golden file: {error}",
            source=str(path),
            next_step="Export the bundle again with `trainer export`",
        ) from error
    results = []
    cases = manifest.golden.cases
    for graph in manifest.graphs:
        runner = bundle.runners[graph.role]
        fp16 = runner.precision == "fp16"
        tolerance = manifest.golden.tolerance_fp16 if fp16 else manifest.golden.tolerance_fp32
        keys = [tensor.name for tensor in graph.inputs]
        fed = {key: _golden_array(golden, f"{graph.role}/{key}", cases, path) for key in keys}
        outputs = [
            runner.run({key: values[case : case + 1] for key, values in fed.items()})
            for case in range(cases)
        ]
        for tensor in graph.outputs:
            expected = _golden_array(golden, f"{graph.role}/{tensor.name}", cases, path)
            got = np.concatenate([output[tensor.name] for output in outputs])
            scale = np.maximum(
                1.0, np.abs(expected)
            )  # relative above 1: features in uV^2 are large
            worst = float(np.max(np.abs(got - expected) / scale))
            results.append(Parity(graph.role, tensor.name, cases, worst, tolerance))
    return results


def require_golden(bundle: Bundle) -> None:
    """Replay the golden cases and refuse the bundle when one misses.

    Raises:
        InferenceError: naming the output that strays furthest.
    """
    failed = [parity for parity in replay_golden(bundle) if not parity.passed]
    if failed:
        worst = max(failed, key=lambda parity: parity.max_abs_error)
        raise InferenceError(
            f"{worst.role}/{worst.output} strays from its golden values",
            source=str(bundle.path),
            expected=f"at most {worst.tolerance:g}",
            got=f"{worst.max_abs_error:g}",
            next_step="Do not use this backend with this bundle; export it again",
        )
