"""Makers of SIMULATED nights: pairs of EDF files as PhysioNet lays out Sleep-EDF.

The EEG is ``edge_app.simulation``'s: noise with the band powers of the stage, nobody's brain.
Labels, rates, units, ranges and the header's texts are those of the real files; their data records
of 30 s too.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import edfio
import numpy as np
import numpy.typing as npt

from edge_app.simulation.sleep_eeg import _BandNoise
from edge_app.simulation.sleep_night import REACH_EPOCHS, load_sleep_statistics, simulate_powers

RATE_HZ = 100
EPOCH_S = 30
CODE = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "M": 0, "?": 0}
"""R&K letters to stages; what moves or is not scored is simulated as waking."""
TEXT = {letter: f"Sleep stage {letter}" for letter in "W1234R?"} | {"M": "Movement time"}
START = datetime.datetime(1989, 4, 24, 16, 13)
PHYSIONET_CHANNELS = (
    ("EEG Fpz-Cz", 100, "uV", (-192.0, 192.0), "Ag-AgCl electrodes", "HP:0.5Hz LP:100Hz"),
    ("EEG Pz-Oz", 100, "uV", (-197.0, 196.0), "Ag-AgCl electrodes", "HP:0.5Hz LP:100Hz"),
    ("EOG horizontal", 100, "uV", (-1009.0, 1009.0), "Ag-AgCl electrodes", "HP:0.5Hz LP:100Hz"),
    ("Resp oro-nasal", 1, "", (-2048.0, 2047.0), "Oral-nasal thermistors", "HP:0.03Hz LP:0.9Hz"),
    ("EMG submental", 1, "uV", (-5.0, 5.0), "Ag-AgCl electrodes", "HP:16Hz Rectification"),
    ("Temp rectal", 1, "DegC", (34.0, 40.0), "Rectal thermistor", ""),
    ("Event marker", 1, "", (-2047.0, 2048.0), "Marker button", "Hold during 2 seconds"),
)
SHORT_NIGHT = "W" * 70 + "1" * 4 + "2" * 10 + "M" + "3" * 5 + "4" * 5 + "R" * 8 + "W" * 65 + "?" * 2


@cache
def simulated_eeg(
    letters: str, *, rate_hz: float = RATE_HZ, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Return (n,) simulated microvolts, 30 s for each R&K letter; made once, not to be changed."""
    powers_rng, noise_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2)
    )
    codes = [CODE[letter] for letter in letters]
    ahead = itertools.chain(codes, itertools.repeat(codes[-1], REACH_EPOCHS + 1))
    powers = simulate_powers(load_sleep_statistics(), ahead, powers_rng)
    noise = _BandNoise(rate_hz, noise_rng)
    n = round(EPOCH_S * rate_hz)
    epochs = [noise.read(n, np.exp(logs)) for _, logs in itertools.islice(powers, len(codes))]
    eeg = np.concatenate(epochs)
    eeg.flags.writeable = False
    return eeg


def write_psg(
    path: Path,
    eeg: npt.NDArray[np.float64],
    *,
    subject: str = "X F X Female_33yr",
    start: datetime.datetime = START,
    channels: Sequence[str] = tuple(name for name, *_ in PHYSIONET_CHANNELS),
    seed: int = 0,
) -> Path:
    """Write a recording as the sleep-cassette study's; Fpz-Cz is ``eeg``, the rest is noise."""
    rng = np.random.default_rng(seed)
    seconds = len(eeg) // RATE_HZ
    signals = []
    for label, rate, unit, span, transducer, filters in PHYSIONET_CHANNELS:
        if label not in channels:
            continue
        middle, half = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2
        values = middle + 0.1 * half * rng.standard_normal(seconds * rate)
        if label == "EEG Fpz-Cz":
            values = eeg[: seconds * rate]
        signals.append(
            edfio.EdfSignal(
                np.clip(values, *span),
                rate,
                label=label,
                transducer_type=transducer,
                physical_dimension=unit,
                physical_range=span,
                digital_range=(-2048, 2047),
                prefiltering=filters,
            )
        )
    code, sex, _, name = subject.split(" ")
    edfio.Edf(
        signals,
        patient=edfio.Patient(code=code, sex=sex, name=name),
        recording=edfio.Recording(startdate=start.date(), equipment_code="simulated"),
        starttime=start.time(),
        data_record_duration=EPOCH_S,
    ).write(path)
    return path


def runs_of(letters: str) -> Iterator[tuple[float, float, str]]:
    """Yield onset, duration and text of each stretch of one letter."""
    onset_s = 0
    for letter, stretch in itertools.groupby(letters):
        duration_s = EPOCH_S * len(list(stretch))
        yield onset_s, duration_s, TEXT[letter]
        onset_s += duration_s


def write_hypnogram(
    path: Path,
    runs: Sequence[tuple[float, float | None, str]],
    *,
    start: datetime.datetime = START,
) -> Path:
    """Write annotations alone, as the real hypnograms: one data record of 0 s, EDF+C."""
    edfio.Edf(
        [],
        patient=edfio.Patient(sex="F", name="Female_33yr"),
        recording=edfio.Recording(startdate=start.date()),
        starttime=start.time(),
        annotations=[edfio.EdfAnnotation(*run) for run in runs],
    ).write(path)
    return path


def write_night(
    folder: Path,
    name: str = "SC4001E0",
    letters: str = SHORT_NIGHT,
    *,
    scorer: str = "C",
    seed: int = 0,
    recorded: int | None = None,
    start: datetime.datetime = START,
) -> tuple[Path, Path]:
    """Write both files of a night.

    Args:
        folder: made when absent.
        name: ``SC4ssnE0``.
        letters: R&K, one an epoch: ``W 1 2 3 4 R M ?``.
        scorer: last letter of the hypnogram's name.
        seed: the same seed gives the same samples.
        recorded: epochs that the recording has; None: as many as letters.
        start: of both.

    Returns:
        Recording and hypnogram.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n = len(letters) if recorded is None else recorded
    signal_letters = letters[:n] + "W" * max(0, n - len(letters))
    psg = write_psg(
        folder / f"{name}-PSG.edf", simulated_eeg(signal_letters, seed=seed), start=start, seed=seed
    )
    hypnogram = folder / f"{name[:7]}{scorer}-Hypnogram.edf"
    return psg, write_hypnogram(hypnogram, list(runs_of(letters)), start=start)


def write_own(
    path: Path,
    eeg: npt.NDArray[np.float64],
    *,
    rate_hz: float = RATE_HZ,
    label: str = "EEG C3-A2",
    unit: str = "uV",
    annotations: Sequence[tuple[float, float | None, str]] = (),
    start: datetime.datetime = START,
) -> Path:
    """Write a user's file of one channel, data records of 1 s; with annotations it is EDF+C."""
    limit = 10.0 ** np.ceil(np.log10(np.abs(eeg).max()))
    signal = edfio.EdfSignal(
        eeg, rate_hz, label=label, physical_dimension=unit, physical_range=(-limit, limit)
    )
    edfio.Edf(
        [signal],
        recording=edfio.Recording(startdate=start.date(), equipment_code="simulated"),
        starttime=start.time(),
        data_record_duration=1,
        annotations=[edfio.EdfAnnotation(*run) for run in annotations],
    ).write(path)
    return path


def make_gap(path: Path, *, after_s: int, gap_s: int) -> None:
    """Turn an EDF+C file with data records of 1 s into EDF+D: later records move by the gap."""
    raw = bytearray(path.read_bytes())
    n_header, n_records = int(raw[184:192]), int(raw[236:244])
    size = (len(raw) - n_header) // n_records
    raw[192:197] = b"EDF+D"
    for record in range(after_s, n_records):
        begin = n_header + record * size
        old, new = (b"+%d\x14\x14" % onset_s for onset_s in (record, record + gap_s))
        at = raw.rindex(old, begin, begin + size)
        kept = raw[at + len(old) : begin + size]
        assert not any(kept[len(kept) - (len(new) - len(old)) :])
        raw[at : begin + size] = (new + kept)[: begin + size - at]
    path.write_bytes(raw)
