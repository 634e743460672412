"""The oldest runtime a bedside may have: ONNX Runtime 1.23.2 and Python 3.10, as on JetPack 6.

1.23.2 is the last ONNX Runtime with a wheel for Python 3.10 on aarch64. It is installed into an
environment of its own, of Python 3.10 where there is one, else of this Python. What is shown here
is shown on this machine's processor.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT

OLDEST = "1.23.2"
INSTALLED_WITHIN_S = 150
NEEDED = ("annotated-types", "numpy", "pydantic", "pydantic-core", "typing-extensions")
pytestmark = pytest.mark.timeout(400)
"""The first test waits for the installation, 40 MB; the rest takes seconds."""
BUNDLES = sorted(path.parent for path in (ROOT / "exports").glob("*/manifest.json"))
SOURCES = [path for name in ("edge_app", "trainer") for path in sorted((ROOT / name).rglob("*.py"))]

# Knows nothing of the project but the layout of a bundle, so it also checks our own comparison.
PLAIN = """
import json, pathlib, sys
import numpy as np, onnxruntime
told = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    manifest = json.loads((folder / "manifest.json").read_text())
    golden = np.load(folder / manifest["golden"]["file"], allow_pickle=False)
    worst, compared = 0.0, 0
    for graph in manifest["graphs"]:
        session = onnxruntime.InferenceSession(
            str(folder / graph["file"]), providers=["CPUExecutionProvider"]
        )
        names = [tensor["name"] for tensor in graph["outputs"]]
        for case in range(manifest["golden"]["cases"]):
            one = slice(case, case + 1)
            fed = {t["name"]: golden[graph["role"] + "/" + t["name"]][one] for t in graph["inputs"]}
            for name, got in zip(names, session.run(names, fed)):
                want = golden[graph["role"] + "/" + name][one]
                error = np.max(np.abs(got - want) / np.maximum(1.0, np.abs(want)))
                worst, compared = max(worst, float(error)), compared + got.size
    told[folder.name] = {
        "worst": worst, "compared": compared, "allowed": manifest["golden"]["tolerance_fp32"]
    }
print(json.dumps([onnxruntime.__version__, told]))
"""
OURS = """
import json, pathlib, sys
from edge_app.inference.bundle import load_bundle, replay_golden
told = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    told[folder.name] = [
        [f"{one.role}/{one.output}", one.passed] for one in replay_golden(load_bundle(folder))
    ]
print(json.dumps(told))
"""
DOCTOR = """
import json
from edge_app.doctor.examine import examine
print(json.dumps({one.part: [one.state.value, one.detail] for one in examine()}))
"""
COMPILE = """
import pathlib, sys
for name in sys.stdin.read().split("\\0"):
    compile(pathlib.Path(name).read_bytes(), name, "exec")
"""


def python_3_10() -> Path | None:
    """An interpreter of Python 3.10 that runs; a version manager's stand-in may not."""
    named = shutil.which("python3.10")
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in [*([Path(named)] if named else []), *sorted(managed.glob("3.10.*/bin/python3.10"))]:
        tried = subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True)
        if tried.returncode == 0:
            return path
    return None


def pinned(name: str) -> str:
    text = (ROOT / "constraints/py3.10.txt").read_text(encoding="utf-8")
    match = re.search(rf"^{re.escape(name)}==[^ ]+", text, re.MULTILINE)
    assert match, name
    return match[0]


@dataclass(frozen=True)
class OldEnvironment:
    """An environment with ONNX Runtime 1.23.2 and what loading a bundle needs, nothing else."""

    python: Path
    version: tuple[int, int]

    def run(self, code: str, *words: object, given: str = "", **variables: str) -> Any:
        done = subprocess.run(
            [self.python, "-c", code, *map(str, words)],
            env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **variables},
            cwd=self.python.parent,
            input=given,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldEnvironment]:
    folder = tmp_path_factory.mktemp("old") / "environment"
    base = python_3_10() or Path(sys.executable)
    made = [base, "-m", "venv", "--without-pip", folder]
    subprocess.run(made, check=True, capture_output=True)
    python = folder / "bin/python"
    wanted = [f"onnxruntime=={OLDEST}", *map(pinned, (*NEEDED, "typing-inspection"))]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet"]
    pip += ["--only-binary", ":all:", "--retries", "1", "--timeout", "20", *wanted]
    try:
        installed = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALLED_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"ONNX Runtime {OLDEST} was not installed within {INSTALLED_WITHIN_S} s")
    if installed.returncode != 0:
        said = (installed.stderr.strip() or "no word").splitlines()[-1]
        pytest.skip(f"ONNX Runtime {OLDEST} cannot be installed here: {said}")
    asked = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
    )
    major, minor = map(int, asked.stdout.split())
    yield OldEnvironment(python, (major, minor))
    shutil.rmtree(folder)


INTEGERS = 0.05
"""Processors round 8-bit sums differently."""


def test_every_bundle_gives_its_golden_outputs_in_the_oldest_runtime(old: OldEnvironment) -> None:
    version, told = old.run(PLAIN, *BUNDLES)
    assert version == OLDEST
    assert set(told) == {path.name for path in BUNDLES} >= {"emotion", "sleep", "frailty"}
    for name, one in told.items():
        assert one["compared"] > 0, name
        assert one["worst"] <= one["allowed"], (name, one)
        assert one["allowed"] <= (INTEGERS if name.endswith("_int8") else 1e-3), (name, one)


def test_a_golden_output_that_is_missed_is_seen_there(old: OldEnvironment, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "exports/frailty", tmp_path / "frailty")
    with np.load(folder / "golden.npz", allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    arrays["model/probabilities"] = arrays["model/probabilities"] + np.float32(0.01)
    np.savez(folder / "golden.npz", **arrays)
    _, told = old.run(PLAIN, folder)
    assert told["frailty"]["worst"] == pytest.approx(0.01, abs=1e-3)
    assert told["frailty"]["worst"] > told["frailty"]["allowed"]


def test_the_bedside_itself_loads_and_accepts_every_bundle_there(old: OldEnvironment) -> None:
    told = old.run(OURS, *BUNDLES, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    assert set(told) == {path.name for path in BUNDLES}
    for name, outputs in told.items():
        assert outputs, name
        assert [output for output, passed in outputs if not passed] == [], name


def test_the_doctor_runs_there_and_tells_what_is_not_installed(old: OldEnvironment) -> None:
    told = old.run(DOCTOR, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    state, detail = told["ONNX Runtime"]
    assert (state, detail.split(",")[0]) == ("ok", OLDEST)
    assert told["OpenCV"][0] == "missing"
    assert "No module named 'cv2'" in told["OpenCV"][1]
    assert not any("the doctor itself" in detail for _, detail in told.values())


def test_every_source_compiles_in_python_3_10(old: OldEnvironment) -> None:
    if old.version != (3, 10):
        pytest.skip(f"no interpreter of Python 3.10 here, only {old.version[0]}.{old.version[1]}")
    old.run(COMPILE, given="\0".join(map(str, SOURCES)))


def test_every_source_is_grammar_of_python_3_10() -> None:
    """As far as a newer parser can tell; the linter and the type checker are set to 3.10 too."""
    assert len(SOURCES) > 200
    for path in SOURCES:
        ast.parse(path.read_bytes(), str(path), feature_version=(3, 10))


def test_linter_and_type_checker_look_for_python_3_10() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.10"' in text
    assert 'target-version = "py310"' in text
    assert 'python_version = "3.10"' in text


@pytest.mark.torch
@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_graphs_are_of_the_opset_that_old_runtimes_know(path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graphs = sorted(path.glob("*.onnx"))
    assert graphs
    for file in graphs:
        model = onnx.load(file)
        opsets = {one.domain: one.version for one in model.opset_import}
        assert opsets.pop("", 0) == 17, file
        assert model.ir_version <= 10, file  # ONNX 1.16; ONNX Runtime 1.23 knows up to 11
        used = {node.domain for node in model.graph.node}
        assert used <= {"", "ai.onnx"}, f"{file}: operators that only ONNX Runtime has"
