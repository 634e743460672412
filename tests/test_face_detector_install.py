"""A detector is installed whole and verified, or not at all; and is found then."""

from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_app.check import check_detector
from edge_app.cli import app
from edge_app.config import load_config
from edge_app.errors import ConfigError, SinkError, SourceError, SourceNotFoundError
from edge_app.face_detector_file import PINNED, choose_detector, detectors_dir
from edge_app.face_detector_install import MAX_BYTES, install_detector
from edge_app.preprocess.face_detectors import HaarDetector, YuNetDetector
from tests.conftest import ROOT

KNOWN = "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"
ADDRESS = "https://example.org/yunet_n_320_320.onnx"


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def yunet(data_dir: Path) -> Path:
    return data_dir / "models" / "yunet_n_320_320.onnx"


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_without_an_installed_file_it_is_haar() -> None:
    choice = choose_detector(None)
    assert isinstance(choice.open(), HaarDetector)
    assert "Haar" in choice.detail


def test_an_installed_file_is_found_by_default(yunet: Path, data_home: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = install_detector(str(yunet), progress=lambda done, total: told.append((done, total)))
    assert path == data_home / "bedside" / "face_detectors" / f"{KNOWN}.onnx"
    assert path.read_bytes() == yunet.read_bytes()
    assert told[-1] == (317_434, 317_434)
    choice = choose_detector(None)
    assert isinstance(choice.open(), YuNetDetector)
    assert "yunet_n_320_320.onnx" in choice.detail
    assert install_detector(str(yunet)) == path  # once more changes nothing
    assert everything(data_home) == [path.name]


def test_a_configured_file_comes_first(yunet: Path) -> None:
    install_detector(str(yunet))
    assert choose_detector(yunet).file == yunet


def test_a_relative_data_home_is_ignored_as_its_standard_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    assert detectors_dir() == Path.home() / ".local/share/bedside/face_detectors"


def test_a_wrong_file_is_refused_with_both_hashes(tmp_path: Path, data_home: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="not the expected file") as raised:
        install_detector(str(wrong))
    told = str(raised.value)
    assert hashlib.sha256(b"something else").hexdigest() in told
    assert all(sha256 in told for sha256 in PINNED)
    assert everything(data_home) == []


def test_a_vouched_for_file_that_is_no_detector_changes_nothing(
    yunet: Path, tmp_path: Path, data_home: Path
) -> None:
    installed = install_detector(str(yunet))
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"nonsense")
    sha256 = hashlib.sha256(b"nonsense").hexdigest()
    with pytest.raises(ConfigError, match="cannot load this detector") as raised:
        install_detector(str(wrong), sha256=sha256)
    assert raised.value.source == str(wrong)
    assert "part-" not in str(raised.value)
    assert everything(data_home) == [installed.name]


@pytest.mark.parametrize("graph", ["sleep/sequence.onnx", "sleep/encoder.onnx"])
def test_another_network_is_refused_in_one_line_of_our_own(
    data_home: Path, capfd: pytest.CaptureFixture[str], graph: str
) -> None:
    """One that OpenCV cannot load, and one that it loads though it finds no faces."""
    path = ROOT / "exports" / graph
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match="cannot load this detector") as raised:
        install_detector(str(path), sha256=sha256)
    told = str(raised.value)
    assert "\n" not in told
    assert not any(raw in told for raw in (".hpp", ".cpp", "OpenCV("))
    assert capfd.readouterr() == ("", "")
    assert everything(data_home) == []


def test_a_vouched_for_file_takes_the_place_of_the_other(
    yunet: Path, tmp_path: Path, data_home: Path
) -> None:
    install_detector(str(yunet))
    own = tmp_path / "own.onnx"
    # an unknown field at the end of the file: the same network under another hash
    own.write_bytes(yunet.read_bytes() + bytes([0xBA, 0x06, 0x01, 0x78]))
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match="not the expected file"):
        install_detector(str(own))
    path = install_detector(str(own), sha256=sha256.upper())
    assert everything(data_home) == [path.name] == [f"{sha256}.onnx"]
    assert "of your own" in choose_detector(None).detail
    choose_detector(None).open()


@pytest.mark.parametrize("sha256", ["", "81dbde15", "g" * 64])
def test_a_hash_that_is_none_is_refused(yunet: Path, sha256: str) -> None:
    with pytest.raises(ConfigError, match="--sha256"):
        install_detector(str(yunet), sha256=sha256)


def test_an_altered_installed_file_is_refused(yunet: Path) -> None:
    path = install_detector(str(yunet))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ConfigError, match="has been altered"):
        choose_detector(None).open()


def test_a_folder_that_cannot_be_written_to(yunet: Path, data_home: Path) -> None:
    data_home.write_bytes(b"a file where a folder has to be")
    with pytest.raises(SinkError, match="cannot be installed there"):
        install_detector(str(yunet))


def test_a_missing_file_and_a_far_too_large_one(tmp_path: Path, data_home: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="cannot be read"):
        install_detector(str(tmp_path / "missing.onnx"))
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SourceError, match="too large"):
        install_detector(str(large))
    assert everything(data_home) == []


class Answer(io.BytesIO):
    """What urllib's opener returns."""

    def __init__(self, content: bytes, length: int | str | None) -> None:
        super().__init__(content)
        self.headers = Message()
        if length is not None:
            self.headers["Content-Length"] = str(length)


def serve(
    monkeypatch: pytest.MonkeyPatch, content: bytes | Exception, length: int | str | None = None
) -> None:
    def answer(_: object, address: str, timeout: float) -> Answer:
        assert address == ADDRESS
        assert 0 < timeout <= 60
        if isinstance(content, Exception):
            raise content
        return Answer(content, length)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", answer)


@pytest.mark.parametrize("length", [None, 317_434])
def test_over_https(yunet: Path, monkeypatch: pytest.MonkeyPatch, length: int | None) -> None:
    serve(monkeypatch, yunet.read_bytes(), length)
    assert install_detector(ADDRESS).name == f"{KNOWN}.onnx"


def test_a_torn_download_installs_nothing(
    yunet: Path, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    serve(monkeypatch, yunet.read_bytes()[:100_000], 317_434)
    with pytest.raises(ConfigError, match="100,000 bytes"):
        install_detector(ADDRESS)
    assert everything(data_home) == []


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), TimeoutError("timed out"), ConnectionResetError()]
)
def test_a_network_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    serve(monkeypatch, error)
    with pytest.raises(SourceError, match="cannot be fetched"):
        install_detector(ADDRESS)


@pytest.mark.parametrize("length", [None, 10**12, "9" * 5000])
def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch, length: int | str | None) -> None:
    serve(monkeypatch, bytes(MAX_BYTES + 10**6), length)
    with pytest.raises(SourceError, match="too large"):
        install_detector(ADDRESS)


def test_nothing_comes_in_clear_text() -> None:
    for address in ("http://example.org/a.onnx", "ftp://example.org/a.onnx", "file:///etc/passwd"):
        with pytest.raises(ConfigError, match="https only"):
            install_detector(address)


def test_a_redirection_to_clear_text_is_not_followed() -> None:
    from edge_app.face_detector_install import _HttpsOnly

    request = urllib.request.Request(ADDRESS)
    with pytest.raises(ConfigError, match="https only"):
        _HttpsOnly().redirect_request(
            request, io.BytesIO(), 302, "Found", Message(), "http://example.org/a.onnx"
        )


def test_the_command_and_what_check_then_tells(yunet: Path) -> None:
    assert check_detector("face", None).detail.startswith("Haar cascade of OpenCV")
    refused = CliRunner().invoke(app, ["install-detector", __file__])
    assert isinstance(refused.exception, ConfigError)
    done = CliRunner().invoke(app, ["install-detector", str(yunet)])
    assert done.exit_code == 0
    told = check_detector("face", None)
    assert told.passed
    assert told.detail.startswith("YuNet, yunet_n_320_320.onnx, installed in ")
    choice = choose_detector(None)
    assert choice.file is not None
    choice.file.write_bytes(b"altered")
    assert not check_detector("face", None).passed


def test_a_region_beyond_the_picture_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "device.yaml"
    config.write_text(
        """
device: test
streams:
  - name: face
    bundle: nowhere
    face_region: [0.2, 0, 0, 1.5]
    source: {kind: simulated, sensor: face}
sinks:
  - {kind: console}
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="face_region"):
        load_config(config)
