"""A night through `edge-app replay`: what it leaves, and that bad input invents nothing."""

from __future__ import annotations

import json
from pathlib import Path

import edfio
import numpy as np
import pytest

from edge_app.cli_show import show_replay
from edge_app.errors import SourceError
from edge_app.replay import ReplayRequest, ReplayResult, replay
from edge_app.sleep_report import in_short, lines
from tests.bundles import write_bundle
from tests.recording_files import EdfSpec, edf_bytes


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_bundle(folder, "sleep_stateful", estimate_every_s=5.0)


def write_edf(path: Path, levels_uv: list[float], rate_hz: int = 100, unit: str = "uV") -> Path:
    """One epoch a level: a ripple around it, or nothing at all around NaN."""
    n = 30 * rate_hz
    ripple = 20 * np.sin(2 * np.pi * 3.1 * np.arange(n) / rate_hz)
    ripple -= ripple.mean()
    parts = [np.zeros(n) if np.isnan(level) else level + ripple for level in levels_uv]
    signal = edfio.EdfSignal(
        np.concatenate(parts),
        rate_hz,
        label="EEG Fpz-Cz",
        physical_dimension=unit,
        physical_range=(-100, 100),
    )
    edfio.Edf([signal]).write(path)
    return path


def run(path: Path, bundle: Path, **options: object) -> ReplayResult:
    out = path.with_suffix("")
    return replay(ReplayRequest(path, "sleep", bundle, out, **options))  # type: ignore[arg-type]


def finals(result: ReplayResult) -> list[tuple[str | None, str | None]]:
    """Stage and reason of each epoch, in time."""
    rows = [json.loads(line) for line in result.path.read_text().splitlines()]
    last = {row["window"]["start_s"]: row for row in rows if row["final"]}
    return [(last[start]["label"], last[start]["abstained"]) for start in sorted(last)]


@pytest.mark.parametrize("rate_hz", [50, 100, 256])
def test_a_night_leaves_its_statistics_and_epochs(
    tmp_path: Path, bundle: Path, rate_hz: int
) -> None:
    path = write_edf(tmp_path / "night.edf", [0, 0, 1, 2, 2, 3, 4, 4], rate_hz)
    result = run(path, bundle)
    assert [stage for stage, _ in finals(result)] == ["W", "W", "N1", "N2", "N2", "N3", "R", "R"]
    written = json.loads((tmp_path / "night" / "sleep.json").read_text())
    assert written["statistics"]["tst_min"] == 3.0
    assert written["statistics"]["rem_latency_min"] == 2.0
    assert [row["stage"] for row in written["epochs"]] == [stage for stage, _ in finals(result)]
    assert result.sleep is not None
    assert in_short(result.sleep).startswith("asleep 3.0 of 4.0 min (75 %), onset after 1.0 min")


def test_two_minutes_are_staged_from_the_first_epoch_and_flagged(
    tmp_path: Path, bundle: Path
) -> None:
    result = run(write_edf(tmp_path / "short.edf", [2, 2, 3, 3]), bundle)
    assert [stage for stage, _ in finals(result)] == ["N2", "N2", "N3", "N3"]
    first = json.loads(result.path.read_text().splitlines()[0])
    assert (first["time_s"], first["label"], first["final"]) == (30.0, "N2", False)
    assert first["evidence"] == {"epochs_seen": 0.0}
    assert result.sleep is not None
    assert any(line.startswith("warming up: 4 epochs") for line in lines(result.sleep))


def test_an_all_flat_night_is_all_unknown(tmp_path: Path, bundle: Path) -> None:
    result = run(write_edf(tmp_path / "flat.edf", [np.nan] * 40), bundle)
    assert finals(result) == [(None, "flat")] * 40
    rows = [json.loads(line) for line in result.path.read_text().splitlines()]
    assert all(row["label"] is None and row["probabilities"] == {} for row in rows)
    written = json.loads((tmp_path / "flat" / "sleep.json").read_text())
    assert written["statistics"]["tst_min"] == 0.0
    assert written["statistics"]["unknown_min"] == 20.0
    assert written["unknown_epochs"] == {"flat": 40}
    assert result.sleep is not None
    assert in_short(result.sleep) == "no sleep known; unknown 20.0 of 20.0 min"


def test_ten_minutes_missing_in_the_middle_stay_unknown(tmp_path: Path, bundle: Path) -> None:
    path = tmp_path / "gap.edf"
    onsets_s = [float(k) for k in range(60)] + [float(k) for k in range(660, 720)]
    spec = EdfSpec(n_records=120, onsets_s=onsets_s, physical=("-3276.8", "3276.7"))
    path.write_bytes(edf_bytes(spec))
    result = run(path, bundle)
    assert finals(result) == [("W", None)] * 2 + [(None, "gap")] * 20 + [("W", None)] * 2
    written = json.loads((tmp_path / "gap" / "sleep.json").read_text())
    assert written["statistics"]["unknown_min"] == 10.0
    assert written["statistics"]["lower_bound"]
    # stepped over: what is said after it rests on the two epochs before it too
    assert [row.get("epochs_seen") for row in written["epochs"]][-2:] == [3, 3]


def test_a_file_without_a_unit_is_refused_until_told(tmp_path: Path, bundle: Path) -> None:
    path = write_edf(tmp_path / "unitless.edf", [2, 2, 2], unit="")
    with pytest.raises(SourceError, match=r"no unit.*--unit"):
        run(path, bundle)
    assert not (tmp_path / "unitless" / "predictions.jsonl").exists()
    told = run(path, bundle, unit="uV")
    assert [stage for stage, _ in finals(told)] == ["N2"] * 3


def test_chunks_change_no_byte(tmp_path: Path, bundle: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [0, 2, np.nan, 3], 256)
    told = {run(path, bundle, chunk_samples=n).path.read_bytes() for n in (None, 999, 10**6)}
    assert len(told) == 1


def test_a_recording_shorter_than_an_epoch_leaves_no_older_statistics(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_edf(tmp_path / "night.edf", [2, 2])
    assert run(path, bundle).sleep is not None
    picture = tmp_path / "night" / "sleep.png"  # as `edge-app report` draws it
    picture.touch()
    path.write_bytes(edf_bytes(EdfSpec(n_records=20)))
    result = run(path, bundle)
    assert result.sleep is None
    assert not (tmp_path / "night" / "sleep.json").exists()
    assert not picture.exists()
    capsys.readouterr()
    show_replay(result)
    assert "no answer: the recording ended before its first window was complete" in " ".join(
        capsys.readouterr().out.split()
    )


def test_another_replay_leaves_no_picture_of_the_one_before(tmp_path: Path, bundle: Path) -> None:
    path = write_edf(tmp_path / "night.edf", [2, 2])
    run(path, bundle)
    picture = tmp_path / "night" / "sleep.png"
    picture.touch()
    run(path, bundle)
    assert not picture.exists()


def test_the_real_recording_is_staged_end_to_end(data_dir: Path, tmp_path: Path) -> None:
    request = ReplayRequest(
        data_dir / "sleep/raw/excerpt3.edf", "sleep", Path("exports/sleep"), tmp_path
    )
    result = replay(request)
    assert result.sleep is not None
    assert len(result.sleep.night.epochs) == 60
    assert not set(result.sleep.reasons()) - {"low_confidence"}  # no epoch is refused as bad
