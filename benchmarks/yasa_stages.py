"""Stage one EEG channel with YASA, in whichever environment has it; called by raw_to_stage.py.

    python benchmarks/yasa_stages.py EEG.npz

EEG.npz holds `samples_uv` (n,) and `rate_hz`. Prints one JSON line: stages (W N1 N2 N3 R a 30-s
epoch), versions, and how the signal was given. Needs yasa and mne, nothing of this project.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version

import numpy as np

MIN_RATE_HZ, RATE_HZ = 80.0, 100.0


def main() -> None:
    """Stage and print; exit code 3 when YASA is not installed."""
    try:
        import mne
        import yasa
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        raise SystemExit(3) from None
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    with np.load(sys.argv[1]) as archive:
        samples_uv, rate_hz = archive["samples_uv"], float(archive["rate_hz"])
    info = mne.create_info(["EEG"], rate_hz, "eeg")
    raw = mne.io.RawArray(samples_uv[None].astype(np.float64) * 1e-6, info)
    given = f"volts in an mne RawArray at {rate_hz:g} Hz"
    if rate_hz < MIN_RATE_HZ:
        raw.resample(RATE_HZ)
        given += f", resampled to {RATE_HZ:g} Hz by mne because YASA refuses less than 80 Hz"
    staging = yasa.SleepStaging(raw, eeg_name="EEG")
    found = staging.predict()
    words = list(getattr(found, "hypno", found))
    names = {"WAKE": "W", "REM": "R"}
    print(
        json.dumps(
            {
                "stages": [names.get(str(word), str(word)) for word in words],
                "given": given,
                "versions": {name: version(name) for name in ("yasa", "mne", "lightgbm")},
            }
        )
    )


if __name__ == "__main__":
    main()
