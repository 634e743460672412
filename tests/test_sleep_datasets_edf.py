"""Raw nights: Sleep-EDF as PhysioNet lays it out, and recordings of a user's own."""

from __future__ import annotations

import datetime
import io
import logging

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("torch")

from edge_app.build import open_bundle
from edge_app.contracts import AbstainReason
from edge_app.errors import DatasetError, SourceError
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.eeg import condition_epoch
from edge_app.tasks.protocol import build_windower, fit_stream
from edge_app.tasks.sleep import SleepTask
from tests.bundles import write_bundle
from tests.recording_files import XdfStreamSpec, xdf_bytes
from tests.sleep_edf_files import (
    CODE,
    PHYSIONET_CHANNELS,
    SHORT_NIGHT,
    START,
    make_gap,
    runs_of,
    simulated_eeg,
    write_hypnogram,
    write_night,
    write_own,
    write_psg,
)
from trainer.datasets import sleep_counts
from trainer.datasets.bedside_epochs import epochs_of, epochs_of_recording, opened_eeg
from trainer.datasets.own_night import load_own_night
from trainer.datasets.sleep_counts import tell_counts
from trainer.datasets.sleep_edf import load_sleep_edf, read_sleep_edf
from trainer.datasets.sleep_edf_names import find_pairs, is_sleep_edf
from trainer.datasets.sleep_overview import describe_nights

LIMITS = EegConditioning(
    kind="eeg_epoch",
    max_missing_fraction=0.2,
    flat_below_uv=0.5,
    clipped_above_fraction=0.2,
    max_abs_uv=2000.0,
    movement_uv=300.0,
    max_movement_fraction=0.5,
    max_mains_share=0.8,
    estimate_every_s=5.0,
)
LETTERS = "W" * 5 + "1122" + "3" * 4 + "RR" + "W" * 6
"""21 epochs."""


@pytest.fixture(scope="module")
def eeg():
    return simulated_eeg(LETTERS, seed=3)


@pytest.fixture(scope="module")
def night_folder(tmp_path_factory):
    """Two nights of one person, below the folder; letters differ in nothing but the seed."""
    folder = tmp_path_factory.mktemp("sleep-edfx")
    write_night(folder / "sleep-cassette", "SC4001E0", seed=1)
    write_night(folder / "sleep-cassette", "SC4002E0", scorer="P", seed=2)
    return folder


def scored(letters):
    return [{"M": -1, "?": -1}.get(letter, CODE[letter]) for letter in letters]


# Sleep-EDF


def test_a_folder_becomes_trimmed_nights_in_microvolts(night_folder):
    told = []
    nights = load_sleep_edf(night_folder, progress=lambda *step: told.append(step))
    assert told == [("SC4001E0", 1, 2), ("SC4002E0", 2, 2)]
    assert [(n.name, n.subject, n.night) for n in nights] == [
        ("SC4001E0", "00", 1),
        ("SC4002E0", "00", 2),
    ]
    for seed, night in enumerate(nights, 1):
        assert (night.channel, night.rate_hz, night.simulated) == ("EEG Fpz-Cz", 100.0, True)
        assert night.start_epoch == 10
        assert night.stages.tolist() == scored(SHORT_NIGHT)[10:163]
        expected = simulated_eeg(SHORT_NIGHT, seed=seed).reshape(-1, 3000)[10:163]
        expected = np.clip(expected, -192.0, 192.0)
        assert night.epochs.dtype == np.float32
        np.testing.assert_allclose(night.epochs, expected, atol=0.5 * 384 / 4095 + 1e-4)


def test_the_channel_is_chosen_before_reading_and_slow_ones_are_refused(night_folder):
    (night,) = load_sleep_edf(night_folder / "sleep-cassette", channel="Pz-Oz", subjects=["00"])[:1]
    assert night.channel == "EEG Pz-Oz"
    with pytest.raises(DatasetError, match="too slow for an EEG"):
        load_sleep_edf(night_folder, channel="EMG submental")
    with pytest.raises(SourceError, match="no EEG: it is in DegC"):
        load_sleep_edf(night_folder, channel="Temp rectal")
    with pytest.raises(SourceError, match="no channel 'C3'") as refused:
        load_sleep_edf(night_folder, channel="C3")
    assert all(name in str(refused.value) for name, *_ in PHYSIONET_CHANNELS)


def test_the_gates_of_a_model_make_spoilt_epochs_nan(tmp_path):
    eeg = simulated_eeg(SHORT_NIGHT).copy()
    eeg[80 * 3000 : 82 * 3000] = 7.0
    write_psg(tmp_path / "SC4001E0-PSG.edf", eeg)
    write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", list(runs_of(SHORT_NIGHT)))
    (raw,) = load_sleep_edf(tmp_path)
    (gated,) = load_sleep_edf(tmp_path, conditioning=LIMITS)
    spoilt = np.flatnonzero(~gated.usable)
    assert spoilt.tolist() == [70, 71]
    assert gated.reasons[70] is AbstainReason.FLAT
    assert np.isnan(gated.epochs[spoilt]).all()
    assert raw.usable.all()
    np.testing.assert_array_equal(np.delete(raw.epochs, spoilt, 0), gated.epochs[gated.usable])
    assert gated.stages.tolist() == raw.stages.tolist()


def test_subjects_are_chosen_before_reading(night_folder):
    assert len(list(read_sleep_edf(night_folder, subjects={"00"}))) == 2
    with pytest.raises(DatasetError, match=r"no night of these subjects: 07"):
        load_sleep_edf(night_folder, subjects={"00", "07"})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no nights of the sleep-cassette study"),
        (["ST7011J0-PSG.edf", "ST7011JP-Hypnogram.edf"], "ST files of the temazepam study only"),
        (["SC4001E0-PSG.edf"], "no hypnogram for SC4001: SC4001Ex-Hypnogram.edf is missing"),
        (["SC4001EC-Hypnogram.edf"], "no recording for SC4001"),
        (
            ["SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf", "SC4001EP-Hypnogram.edf"],
            "2 hypnograms for SC4001: SC4001EC-Hypnogram.edf, SC4001EP-Hypnogram.edf",
        ),
        (
            ["SC4001E0-PSG.edf", "a/SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf"],
            "2 recordings for SC4001",
        ),
    ],
)
def test_files_that_are_no_pairs_are_refused(tmp_path, files, words):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=words):
        find_pairs(tmp_path)
    assert is_sleep_edf(tmp_path) == bool(files)


def test_files_of_the_other_study_are_left_out_with_a_sentence(tmp_path, caplog):
    for name in ("SC4201E0-PSG.edf", "SC4201EC-Hypnogram.edf", "SC4362F0-PSG.edf"):
        (tmp_path / name).touch()
    (tmp_path / "SC4362FC-Hypnogram.edf").touch()
    (tmp_path / "ST7011J0-PSG.edf").touch()
    pairs = find_pairs(tmp_path)
    assert [(p.name, p.subject, p.night) for p in pairs] == [
        ("SC4201E0", "20", 1),
        ("SC4362F0", "36", 2),
    ]
    assert "1 ST file left out" in caplog.text


@pytest.mark.parametrize(
    ("recorded", "words"),
    [(130, "mismatched lengths: 38 epoch.*after the recording ends"), (168, None), (175, None)],
)
def test_lengths_must_match_where_it_matters(tmp_path, recorded, words):
    write_night(tmp_path, recorded=recorded)  # 168 scored epochs, then 2 of ?
    if words:
        with pytest.raises(DatasetError, match=words):
            load_sleep_edf(tmp_path)
    else:  # the 60 epochs after sleep are complete all the same
        assert load_sleep_edf(tmp_path)[0].stages.tolist() == scored(SHORT_NIGHT)[10:163]


def test_a_hypnogram_that_ends_soon_after_sleep_must_be_as_long_as_the_recording(tmp_path):
    write_night(tmp_path, letters="W" * 9 + "1122" * 5 + "W" * 4, recorded=40)
    with pytest.raises(DatasetError, match=r"mismatched lengths: 7 epoch.*hypnogram ends"):
        load_sleep_edf(tmp_path)


def test_a_long_night_of_unscored_epochs_past_the_end_is_fine(tmp_path):
    write_night(tmp_path, letters=SHORT_NIGHT + "?" * 200, recorded=len(SHORT_NIGHT))
    assert len(load_sleep_edf(tmp_path)[0].stages) == 153


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(0, 5100, "Sleep stage W")], "nobody sleeps"),
        ([(0, 5090, "Sleep stage W"), (5090, 10, "Sleep stage 1")], "multiple of 30 s"),
        ([(0, 60, "Sleep stage W"), (60, 5040, "Sleep stage 9")], "unknown annotation"),
        ([(0, 60, "Sleep stage W"), (60, 5040, "Sleep stage 1"), (9, 1, "Arousal")], "unknown"),
        ([(30, 5070, "Sleep stage 1")], r"does not begin with the recording.*\+30 s"),
    ],
)
def test_hypnograms_that_are_not_like_the_study_are_refused(tmp_path, runs, words):
    write_psg(tmp_path / "SC4001E0-PSG.edf", np.zeros(170 * 3000))
    write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", runs)
    with pytest.raises(DatasetError, match=words):
        load_sleep_edf(tmp_path)


def test_two_files_with_different_starts_are_refused(tmp_path):
    psg, hypnogram = write_night(tmp_path)
    later = START + datetime.timedelta(days=1)
    write_hypnogram(hypnogram, list(runs_of(SHORT_NIGHT)), start=later)
    with pytest.raises(DatasetError, match=f"start of {psg.name}.*86400 s"):
        load_sleep_edf(tmp_path)


def test_counts_are_held_against_the_published_ones_when_all_39_nights_are_there(
    monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    nights = {f"{night}E0": np.array([0, 1, 2, 3, 4, -1]) for night in sleep_counts.SLEEP_EDF_20}
    tell_counts(nights)
    (warned,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "THE COUNTS DIFFER" in warned.getMessage()
    assert "195 epochs" in warned.getMessage()
    assert "42,308" in warned.getMessage()
    caplog.clear()
    monkeypatch.setattr(sleep_counts, "PUBLISHED_COUNTS", (39,) * 5)
    tell_counts(nights | {"SC4201E0": np.array([0])})
    assert "have the published counts" in caplog.text
    nights.popitem()
    caplog.clear()
    tell_counts(nights)
    assert "190 epochs (W 38 N1 38 N2 38 N3 38 R 38), 38 masked" in caplog.text
    assert "published" not in caplog.text


def test_a_real_hypnogram_gives_the_canonical_rows_of_its_night(data_dir, tmp_path):
    """The signal is made up; the hypnogram is real and runs past the recording's end."""
    real = data_dir / "sleep" / "hypnograms" / "SC4001EC-Hypnogram.edf"
    (tmp_path / real.name).write_bytes(real.read_bytes())
    numbered = np.repeat(np.arange(2650) % 190.0, 3000)
    write_psg(tmp_path / "SC4001E0-PSG.edf", numbered, channels=["EEG Fpz-Cz"])
    (night,) = load_sleep_edf(tmp_path)
    with np.load(data_dir / "sleep" / "sleepedf_bandpower.npz") as archive:
        assert night.stages.tolist() == archive["SC4001E0_y"].tolist()
    assert len(night.stages) == 841
    expected = (night.start_epoch + np.arange(841)) % 190
    np.testing.assert_allclose(night.epochs.mean(axis=1), expected, atol=0.1)


# A user's own pair


@pytest.mark.parametrize(("rate_hz", "unit", "factor"), [(100, "uV", 1), (256, "mV", 1e3)])
def test_an_own_pair_of_any_rate_and_unit(tmp_path, rate_hz, unit, factor):
    signal = simulated_eeg(LETTERS, rate_hz=rate_hz) / factor
    psg = write_own(tmp_path / "me.edf", signal, rate_hz=rate_hz, unit=unit)
    hypnogram = write_hypnogram(tmp_path / "me-stages.edf", list(runs_of(LETTERS)))
    night = load_own_night(psg, hypnogram, conditioning=LIMITS)
    assert (night.name, night.subject, night.night, night.start_epoch) == ("me", "me", None, 0)
    assert night.stages.tolist() == scored(LETTERS)
    assert night.epochs.shape == (len(LETTERS), 3000)
    assert night.usable.all()
    assert night.simulated
    assert any("resampled" in note for note in night.notes) == (rate_hz != 100)
    spread = signal.reshape(len(LETTERS), -1).std(axis=1) * factor
    np.testing.assert_allclose(night.epochs.std(axis=1), spread, rtol=0.1)


def test_annotations_inside_the_recording_serve_as_its_hypnogram(tmp_path, eeg):
    path = write_own(tmp_path / "me.edf", eeg, annotations=list(runs_of(LETTERS)))
    assert load_own_night(path, path, conditioning=LIMITS).stages.tolist() == scored(LETTERS)


def test_a_recording_of_50_hz_is_resampled_and_says_what_is_lost(tmp_path):
    path = write_own(tmp_path / "slow.edf", simulated_eeg(LETTERS, rate_hz=50), rate_hz=50)
    hypnogram = tmp_path / "h.txt"
    hypnogram.write_text("\n".join(LETTERS))
    night = load_own_night(path, hypnogram, conditioning=LIMITS)
    assert night.epochs.shape == (len(LETTERS), 3000)
    (said,) = [note for note in night.notes if "50 Hz" in note]
    assert said == "recorded at 50 Hz, resampled to 100 Hz; nothing above 25 Hz is in it"


def test_an_xdf_file_and_a_table_of_stages(tmp_path, eeg):
    stamps_s = 1234.5 + np.arange(len(eeg)) / 100.0
    values = eeg[:, None].astype(np.float32)
    stream = XdfStreamSpec("Band", "EEG", 100.0, ["Fpz"], stamps_s, values)
    path = tmp_path / "night.xdf"
    path.write_bytes(xdf_bytes([stream], samples_per_chunk=100))
    hypnogram = tmp_path / "h.csv"
    rows = [f"{onset},{duration},{text}" for onset, duration, text in runs_of(LETTERS)]
    hypnogram.write_text("\n".join(["onset,duration,stage", *rows]))
    night = load_own_night(path, hypnogram, conditioning=LIMITS)
    assert night.stages.tolist() == scored(LETTERS)
    np.testing.assert_allclose(night.epochs, eeg.reshape(-1, 3000), rtol=1e-4, atol=1e-3)


def test_files_without_unit_are_refused_until_the_user_says_it(tmp_path, eeg):
    path = write_own(tmp_path / "me.edf", eeg, unit="")
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS)))
    with pytest.raises(SourceError, match=r"no unit.*--unit.*uV"):
        load_own_night(path, hypnogram, conditioning=LIMITS)
    night = load_own_night(path, hypnogram, conditioning=LIMITS, unit="uV")
    np.testing.assert_allclose(night.epochs, eeg.reshape(-1, 3000), atol=0.06)
    assert any("--unit" in note for note in night.notes)


def test_a_recording_under_five_minutes_is_refused(tmp_path, eeg):
    path = write_own(tmp_path / "short.edf", eeg[: 299 * 100])
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS[:9])))
    with pytest.raises(DatasetError, match=r"lasts only 299 s.*5 minutes"):
        load_own_night(path, hypnogram, conditioning=LIMITS)


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        (LETTERS + "W", "mismatched lengths: 1 epoch.*after the recording ends"),
        (LETTERS[:-1], "mismatched lengths: 1 epoch.*after the hypnogram ends"),
    ],
)
def test_an_own_pair_of_other_lengths_is_refused(tmp_path, eeg, letters, words):
    path = write_own(tmp_path / "me.edf", eeg)
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(letters)))
    with pytest.raises(DatasetError, match=words):
        load_own_night(path, hypnogram, conditioning=LIMITS)


def test_epochs_are_cut_on_the_hypnograms_grid_when_it_starts_between_two_epochs(tmp_path, eeg):
    path = write_own(tmp_path / "me.edf", eeg)
    later = START + datetime.timedelta(seconds=67)
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS[:18])), start=later)
    night = load_own_night(path, hypnogram, conditioning=LIMITS)
    assert night.stages.tolist() == [-1, -1, *scored(LETTERS[:18])]
    np.testing.assert_allclose(night.epochs.ravel(), eeg[700 : 700 + 20 * 3000], atol=0.06)
    assert any("67 s after the recording" in note for note in night.notes)
    other_day = START + datetime.timedelta(days=3)
    write_hypnogram(hypnogram, list(runs_of(LETTERS)), start=other_day)
    with pytest.raises(DatasetError, match="do not overlap"):
        load_own_night(path, hypnogram, conditioning=LIMITS)
    night = load_own_night(path, hypnogram, conditioning=LIMITS, offset_s=0.0)
    assert night.stages.tolist() == scored(LETTERS)


def test_a_gap_of_ten_minutes_becomes_nan_epochs_in_place(tmp_path):
    letters = "W" * 10 + "2" * 10
    eeg = simulated_eeg(letters)
    path = write_own(tmp_path / "gap.edf", eeg, annotations=[(0, 1, "Arousal")])
    make_gap(path, after_s=300, gap_s=600)
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of("W" * 10 + "?" * 20 + "2" * 10)))
    night = load_own_night(path, hypnogram, conditioning=LIMITS)
    assert night.stages.tolist() == [0] * 10 + [-1] * 20 + [2] * 10
    assert night.reasons == (None,) * 10 + (AbstainReason.GAP,) * 20 + (None,) * 10
    assert np.isnan(night.epochs[10:30]).all()
    np.testing.assert_allclose(night.epochs[night.usable].ravel(), eeg, atol=0.06)


def test_an_all_flat_night_is_nan_throughout_with_its_reason(tmp_path):
    path = write_own(tmp_path / "flat.edf", np.full(len(LETTERS) * 3000, 12.0))
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS)))
    night = load_own_night(path, hypnogram, conditioning=LIMITS)
    assert set(night.reasons) == {AbstainReason.FLAT}
    assert np.isnan(night.epochs).all()
    assert night.stages.tolist() == scored(LETTERS)


def test_a_wrong_channel_lists_the_channels(tmp_path, eeg):
    path = write_own(tmp_path / "me.edf", eeg)
    hypnogram = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS)))
    with pytest.raises(SourceError, match=r"no channel 'Cz'.*EEG C3-A2 \(100 Hz, uV\)"):
        load_own_night(path, hypnogram, conditioning=LIMITS, channel="Cz")


def test_epochs_do_not_depend_on_which_are_kept_or_skipped(tmp_path, eeg):
    path = write_own(tmp_path / "me.edf", eeg)
    every = epochs_of_recording(path, conditioning=LIMITS)
    assert every.epochs.shape == (21, 3000)
    with opened_eeg(path) as recording:
        some = epochs_of(recording, conditioning=LIMITS, keep=range(5, 9))
        late = epochs_of(recording, conditioning=LIMITS, skip_s=15.0)
    np.testing.assert_array_equal(some.epochs, every.epochs[5:9])
    np.testing.assert_array_equal(late.epochs[:, :1500], every.epochs[:20, 1500:])


def test_the_real_excerpt_loads_from_edf_as_from_its_text(data_dir):
    folder = data_dir / "sleep" / "raw"
    night = load_own_night(
        folder / "excerpt3.edf",
        folder / "Hypnogram_excerpt3.txt",
        channel="C3-A1",
        conditioning=LIMITS,
    )
    values = [int(v) for v in (folder / "Hypnogram_excerpt3.txt").read_text().split()[1:]]
    by_six = np.array(values).reshape(60, 6)
    whole = (by_six == by_six[:, :1]).all(axis=1)
    dreams = np.array([3, 3, 2, 1, 4, 0])  # 0 S4 ... 5 wake
    assert night.stages[whole].tolist() == dreams[by_six[whole, 0]].tolist()
    assert len(night.stages) == 60
    signal = np.loadtxt(folder / "excerpt3.txt", skiprows=1, dtype=np.float32)
    for number, window in enumerate(signal.reshape(60, 1500, 1)):
        epoch = condition_epoch(window, LIMITS, rate_hz=50.0, length_samples=3000)
        assert epoch.reason == night.reasons[number]
        if epoch.samples is not None:
            np.testing.assert_allclose(night.epochs[number], epoch.samples[:, 0], atol=1e-2)
    assert any("UV" in note for note in night.notes)
    assert any("50 Hz" in note for note in night.notes)


# The overview


def overview(path):
    console = Console(record=True, width=160, file=io.StringIO())
    return describe_nights(path, console), console.export_text()


def test_the_overview_lists_nights_and_what_is_missing(tmp_path):
    write_night(tmp_path, "SC4001E0")
    (tmp_path / "SC4011E0-PSG.edf").touch()
    (tmp_path / "SC4021EC-Hypnogram.edf").touch()
    good, text = overview(tmp_path)
    assert good
    (row,) = [line for line in text.splitlines() if "SC4001E0" in line]
    assert [cell.strip() for cell in row.split("│")[2:8]] == ["120", "4", "10", "10", "8", "1"]
    assert "no hypnogram for SC4011" in text
    assert "no recording for SC4021" in text
    assert "1 usable" in text
    (tmp_path / "SC4011E0-PSG.edf").unlink()
    (tmp_path / "SC4021EC-Hypnogram.edf").unlink()
    assert overview(tmp_path)[0]
    for path in tmp_path.glob("SC4001*-PSG.edf"):
        path.unlink()
    assert not overview(tmp_path)[0]


def test_the_overview_counts_other_recordings_and_says_where_they_go(tmp_path):
    write_night(tmp_path, "SC4001E0")
    assert "other recording" not in overview(tmp_path)[1]
    for name in ("own.edf", "below/other.BDF", "ST7011J0-PSG.edf", "text.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    good, text = overview(tmp_path)
    assert good
    assert "2 other recordings" in text
    assert "--data FILE --hypnogram FILE" in text
    with pytest.raises(DatasetError, match=r"no nights[\s\S]*1 other recording,"):
        overview(tmp_path / "below")


def test_the_overview_of_nothing_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no nights"):
        overview(tmp_path)


def test_the_overview_of_the_archives(data_dir):
    good, text = overview(data_dir / "sleep" / "sleepedf_bandpower.npz")
    assert good
    assert "16 usable" in text
    assert "6,782" in text


# The same epochs as at the bedside


class SpyingRunner:
    """Passes on to the encoder and keeps what it was given."""

    def __init__(self, runner):
        self._runner = runner
        self.seen = []

    def run(self, inputs):
        self.seen.append(inputs["eeg"][0, 0].copy())
        return self._runner.run(inputs)


def test_epochs_are_those_that_the_bedside_encodes_or_refuses(tmp_path):
    signal = simulated_eeg("W" * 10 + "2" * 10, rate_hz=128).copy()
    signal[5 * 3840 : 6 * 3840] = 3.0
    signal[7 * 3840 + 100] = 1500.0
    path = write_own(tmp_path / "gap.edf", signal, rate_hz=128, annotations=[(0, 1, "x")])
    make_gap(path, after_s=305, gap_s=600)
    bundle = open_bundle(write_bundle(tmp_path, "sleep"))
    spy = bundle.runners["encoder"] = SpyingRunner(bundle.runners["encoder"])
    answers = {}
    with opened_eeg(path) as recording:
        task = SleepTask(bundle, recording.info)
        windower = build_windower(fit_stream(bundle.manifest, recording.info), recording.info)
        for chunk in recording.chunks(77):
            for window in windower.push(chunk):
                answers.update((round(p.start_s / 30), p.abstained) for p in task.push(window))
    cut = epochs_of_recording(path, conditioning=bundle.manifest.conditioning)
    reasons = dict(enumerate(cut.reasons))
    spoilt = {number: reason for number, reason in reasons.items() if reason is not None}
    assert spoilt == {number: answers[number] for number in spoilt}
    assert sorted(spoilt) == [5, *range(10, 30)]
    np.testing.assert_array_equal(np.stack(spy.seen), np.delete(cut.epochs, sorted(spoilt), 0))
