"""A real LSL outlet in a process of its own: python -m tests.lsl_outlet SESSION JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from edge_app.sources.liblsl import configure_liblsl, load_pylsl


def main() -> None:
    configure_liblsl(sys.argv[1])
    pylsl, given = load_pylsl(), json.loads(sys.argv[2])
    labels, units = given["labels"], given["units"]
    info = pylsl.StreamInfo(
        given["name"], "EEG", len(labels), given["rate_hz"], given["format"], given["source_id"]
    )
    info.set_channel_labels(labels)
    if units is not None:
        info.set_channel_units(units)
    outlet = pylsl.StreamOutlet(info)
    sends_hz = given["sends_hz"]
    start_s, sent = time.monotonic(), 0
    deadline_s = start_s + 60.0
    while time.monotonic() < deadline_s:
        due = int((time.monotonic() - start_s) * sends_hz)
        if due > sent:
            # channel k of sample i is i + 1000 k, and the stamp is exact
            index = np.arange(sent, due)
            rows = index[:, None] + 1000.0 * np.arange(len(labels))[None]
            stamps_s = start_s + index / sends_hz
            if given["unstamped_every"]:
                stamps_s[index % given["unstamped_every"] == 0] = np.nan
            outlet.push_chunk(rows.astype(np.float32), stamps_s.tolist())
            sent = due
        time.sleep(0.02)


if __name__ == "__main__":
    main()
