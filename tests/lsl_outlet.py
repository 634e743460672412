"""A real LSL outlet in a process of its own: python -m tests.lsl_outlet SESSION JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from edge_app.sources.lsl_eeg import configure_liblsl, load_pylsl


def main() -> None:
    configure_liblsl(sys.argv[1])
    pylsl, given = load_pylsl(), json.loads(sys.argv[2])
    labels, units, rate_hz = given["labels"], given["units"], given["rate_hz"]
    info = pylsl.StreamInfo(
        given["name"], "EEG", len(labels), rate_hz, "float32", given["source_id"]
    )
    info.set_channel_labels(labels)
    if units is not None:
        info.set_channel_units(units)
    outlet = pylsl.StreamOutlet(info)
    start_s, sent = time.monotonic(), 0
    deadline_s = start_s + 60.0
    while time.monotonic() < deadline_s:
        due = int((time.monotonic() - start_s) * rate_hz) if given["sends"] else 0
        if due > sent:
            # channel k of sample i is i + 1000 k, and the stamp is exact
            index = np.arange(sent, due, dtype=np.float32)
            rows = index[:, None] + 1000 * np.arange(len(labels), dtype=np.float32)[None]
            outlet.push_chunk(rows, (start_s + np.arange(sent, due) / rate_hz).tolist())
            sent = due
        time.sleep(0.02)


if __name__ == "__main__":
    main()
