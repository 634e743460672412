"""Answers for whole padded nights, from the exported step, and which of them count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import RunGraph, Split
from trainer.experiments.sleep_stream_nights import epochs_of_nights


def stream_nights(run: RunGraph, split: Split, state_size: int) -> npt.NDArray[np.float32]:
    """Stream every night through the exported step, epoch by epoch, from a zero state.

    Args:
        run: runs one graph of the bundle.
        split: padded nights.
        state_size: numbers that are carried from epoch to epoch.

    Returns:
        (n_nights, longest, 1 + D, 5): what is said of epoch t - k once t has come; zeros behind
        a night's end.
    """
    features = split.inputs[0].numpy()
    delays = split.targets.shape[-1] - 1
    said = np.zeros((*features.shape[:2], 1 + delays, len(STAGES)), np.float32)
    for i, n in enumerate(epochs_of_nights(split.inputs[0]).tolist()):
        state = np.zeros((1, state_size), np.float32)
        for t in range(n):
            out = run("sequence", {"features": features[i, t][None], "state": state})
            state = out["next_state"]
            said[i, t, 0] = out["probabilities"][0]
            if delays:
                said[i, t, 1:] = out["revised"][0]
    return said


def only_of_known(split: Split, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return answers without those for epochs of which nothing is known, as at the bedside.

    Args:
        split: padded nights.
        probabilities: (n_nights, longest, 1 + D, n_labels): what is said of epoch t - k once t has
            come.

    Returns:
        The same shape, NaN where nobody should have answered.
    """
    unknown = split.inputs[0].isnan().all(dim=-1).numpy()
    said: npt.NDArray[np.float32] = probabilities.copy()
    for delay in range(said.shape[2]):
        said[:, delay:, delay][unknown[:, : unknown.shape[1] - delay]] = np.nan
    return said
