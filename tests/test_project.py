"""What holds for the project as a whole: packaging, scripts, import rules."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it on 3.10

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SCRIPTS = ("scripts/demo", "scripts/test", "scripts/check", "scripts/pin", ".ci/run")
BEDSIDE_EXTRAS = ("dashboard", "mqtt", "report")
DEVICE_LIBRARIES = (
    "cv2",
    "pylsl",
    "bleak",
    "bleak_retry_connector",
    "edfio",
    "pyxdf",
    "tensorrt",
    "cuda",
)


def project() -> dict[str, Any]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = document["project"]
    return table


def normalised(requirement: str) -> str:
    """Name of a requirement or distribution as PEP 503 writes it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declared(*extras: str) -> set[str]:
    table = project()
    lists = [table["dependencies"], *(table["optional-dependencies"][extra] for extra in extras)]
    return {normalised(requirement) for requirements in lists for requirement in requirements}


def python_files(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 20, f"{package}: only {len(files)} files found, is the layout another?"
    return files


def run(*command: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_every_direct_dependency(python: str) -> None:
    lines = (ROOT / f"constraints/py{python}.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("  #")[0] for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    missing = declared(*project()["optional-dependencies"]) - {normalised(pin) for pin in pins}
    assert not missing, "run scripts/pin"


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_accept_a_cpu_build_of_torch(python: str) -> None:
    text = (ROOT / f"constraints/py{python}.txt").read_text(encoding="utf-8")
    assert "\ntorch==2.13.0 " in text
    assert not re.search(r"^(nvidia|cuda|triton)", text, re.MULTILINE)


def test_jetson_gets_an_onnxruntime_that_exists_there() -> None:
    text = (ROOT / "constraints/py3.10.txt").read_text(encoding="utf-8")
    assert "\nonnxruntime==1.23.2 " in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_executable_and_parses(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    result = run(*shell, "-n", str(path))
    assert result.returncode == 0, result.stderr


def test_supported_pythons_agree() -> None:
    classifiers = " ".join(project()["classifiers"])
    assert tuple(re.findall(r"Python :: (3\.\d+)", classifiers)) == PYTHONS
    environment = (ROOT / "scripts/environment.sh").read_text(encoding="utf-8")
    assert f'bedside_pythons="{" ".join(PYTHONS)}"' in environment


def test_development_environment_has_every_extra() -> None:
    environment = (ROOT / "scripts/environment.sh").read_text(encoding="utf-8")
    asked = re.search(r"\.venv-dev \"\[([a-z,]+)\]\"", environment)
    assert asked
    assert sorted(asked.group(1).split(",")) == sorted(project()["optional-dependencies"])


def test_a_script_names_the_missing_package_and_its_command(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "readlink"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    result = run("/bin/sh", str(ROOT / "scripts/demo"), cwd=tmp_path, PATH=str(tools))
    assert result.returncode == 1
    assert "python3 is missing" in result.stderr
    assert "sudo apt-get install python3 python3-venv" in result.stderr


def copy_of_the_scripts(folder: Path) -> Path:
    """Scripts and what they read, so that a trial leaves no environment in the project."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / "constraints", folder / "constraints")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder / "scripts"


def interpreter(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines)), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_script_refuses_an_unsupported_python(tmp_path: Path) -> None:
    old = interpreter(tmp_path / "python3.8", "echo 3.8")
    result = run(str(copy_of_the_scripts(tmp_path) / "demo"), BEDSIDE_PYTHON=old)
    assert result.returncode == 1
    assert "is Python 3.8; Bedside runs on Python 3.10 3.11 3.12 3.13" in result.stderr


def test_a_script_names_the_package_of_a_missing_venv_module(tmp_path: Path) -> None:
    bare = interpreter(
        tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1 ;; *) echo 3.12 ;; esac'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = run(str(copy_of_the_scripts(tmp_path) / "demo"), BEDSIDE_PYTHON="", PATH=path)
    assert bare.endswith("python3")
    assert result.returncode == 1
    assert "sudo apt-get install python3-venv" in result.stderr


PIP_THAT_IS_CUT_OFF = """
case "$1 $2" in
    "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo made >>"$LOG" ;;
    "-m pip") echo "pip $*" >>"$LOG" && [ ! -e "$LOG.cut" ] ;;
    *) echo 3.11 ;;
esac
"""


def test_an_interrupted_installation_is_made_afresh_and_a_whole_one_kept(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "python", PIP_THAT_IS_CUT_OFF)
    demo = str(copy_of_the_scripts(tmp_path) / "demo")
    log, cut = tmp_path / "log", tmp_path / "log.cut"
    environment = tmp_path / ".venv-bedside"

    def attempt() -> tuple[int, int, int]:
        """Run; return the status and how often an environment was made and pip was called."""
        log.write_text("", encoding="utf-8")
        result = run(demo, BEDSIDE_PYTHON=python, LOG=str(log))
        text = log.read_text(encoding="utf-8")
        return result.returncode, text.count("made"), text.count("pip -m")

    cut.touch()
    assert attempt() == (1, 1, 1)
    assert attempt() == (1, 1, 1)
    cut.unlink()
    interpreter(environment / "bin/edge-app", 'echo "$@"')
    assert attempt() == (0, 1, 1)
    assert attempt() == (0, 0, 0)
    (tmp_path / "pyproject.toml").write_text("# another\n", encoding="utf-8")
    assert attempt() == (0, 0, 1)
    assert attempt() == (0, 0, 0)


@pytest.mark.parametrize("package", ["edge_app", "trainer"])
def test_files_are_python_3_10(package: str) -> None:
    for path in python_files(package):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


NEED_NVIDIA = ("edge_app.inference.tensorrt_vendor", "edge_app.inference.cuda_memory")
"""Imported only where there is a GPU; JetPack brings TensorRT, pip cuda-bindings."""


def test_importing_the_bedside_loads_no_training_and_no_device_library() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in python_files("edge_app")
    ]
    assert set(NEED_NVIDIA) < set(names)
    names = [name for name in names if name not in NEED_NVIDIA]
    result = run(sys.executable, "-c", IMPORT_ALL, ",".join(names))
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "edge_app" in loaded
    assert not loaded & {"torch", "trainer", *DEVICE_LIBRARIES}


def imported_distributions(package: str) -> dict[str, str]:
    """Distribution of each third-party import of a package, with one place that imports it."""
    found: dict[str, str] = {}
    distributions = packages_distributions()
    own = {"edge_app", "trainer", "tests", "tensorrt", "cuda", *sys.stdlib_module_names}
    for path in python_files(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            for top in {name.partition(".")[0] for name in names} - own:
                place = f"{path.relative_to(ROOT)}:{node.lineno} imports {top}"
                for distribution in distributions.get(top, [top]):
                    found.setdefault(normalised(distribution), place)
    return found


@pytest.mark.parametrize(
    ("package", "extras"), [("edge_app", BEDSIDE_EXTRAS), ("trainer", (*BEDSIDE_EXTRAS, "train"))]
)
def test_what_is_imported_is_declared(package: str, extras: tuple[str, ...]) -> None:
    found = imported_distributions(package)
    assert "numpy" in found
    allowed = declared(*extras)
    undeclared = {name: place for name, place in found.items() if name not in allowed}
    assert not undeclared


def test_import_directions_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = run(sys.executable, "-c", program)
    assert result.returncode == 0, result.stdout
    assert "Contracts: 4 kept, 0 broken" in result.stdout


def tracked_texts() -> dict[str, str]:
    listing = run("git", "ls-files", "-z")
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            texts[name] = content.decode("utf-8")
    assert len(texts) > 20
    return texts


def test_no_file_names_a_place_on_one_machine() -> None:
    machine_path = re.compile(r"(?<![\w.~])/(?:home|root|Users|work|farm|workspace)/[\w.]")
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if machine_path.search(line)
    ]
    assert not found


def test_wheel_carries_what_the_programs_read(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy, for the build leaves its traces beside pyproject.toml
    for package in ("edge_app", "trainer"):
        shutil.copytree(ROOT / package, source / package)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    program = "import setuptools.build_meta, sys; setuptools.build_meta.build_wheel(sys.argv[1])"
    result = run(sys.executable, "-c", program, str(tmp_path), cwd=source)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for pattern in ("edge_app/simulation/*.npz", "trainer/recipes/*.yaml", "*/py.typed"):
        expected = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}
        assert expected
        assert expected <= inside
    assert {name.partition("/")[0].partition("-")[0] for name in inside} == {
        "edge_app",
        "trainer",
        "bedside",
    }


def test_image_copies_only_what_exists_and_is_let_through() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    dockerfile = (ROOT / "Dockerfile.jetson").read_text(encoding="utf-8")
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert "edge_app" in copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignore
