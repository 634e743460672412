"""What a SeqSleepNet bundle says of itself, and the SIMULATED examples that are stored in it."""

from __future__ import annotations

import numpy as np

from edge_app.contracts import UNIT_UV, Float32Array
from edge_app.inference.manifest import Data, RollingSpec, StreamSpec, WindowSpec
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import BundleParts
from trainer.experiments.sleep_conditioning import CONDITIONING, EPOCH_SAMPLES
from trainer.models.seq_sleep_net import FEATURES, RATE_HZ

GOLDEN_CASES = 4
_LIMITS = (
    "Learnt from {people} people, the best pass and the temperature were chosen on {held} others,"
    " so figures on those are somewhat flattering. Sleep-EDF: healthy adults, asleep at home."
    " Nothing is known about old, ill, sedated or intensive-care sleepers, dry electrodes or other"
    " derivations."
)
_SIMULATED_LIMITS = (
    "Learnt from SIMULATED EEG of {people} made-up people: it shows the road and means nothing."
)
_NO_LATE_STARTS = (
    " It was trained on whole sequences only, as in the paper: answers about the first minutes of a"
    " recording and around gaps rest on sequences of a kind that it never saw."
)


def seq_sleep_net_bundle(
    length: int, *, people: int, held: int, simulated: bool, knows_late_starts: bool
) -> BundleParts:
    """Return what the loop does not know.

    Args:
        length: epochs a sequence; an answer is final when all that contain its epoch have come.
        people: learnt from.
        held: people who chose the best pass.
        simulated: whether no person stands behind the signals.
        knows_late_starts: whether it was trained on sequences that lack their first epochs.

    Returns:
        Contract, data and limits, in words that fit the data.
    """
    limits = _SIMULATED_LIMITS if simulated else _LIMITS
    if not knows_late_starts:
        limits += _NO_LATE_STARTS
    return BundleParts(
        labels=STAGES,
        stream=StreamSpec(
            kind="eeg",
            rate_hz=RATE_HZ,
            channels=("Fpz-Cz",),
            units=(UNIT_UV,),
            placement="scalp, frontal to central midline (Fpz-Cz)",
        ),
        window=WindowSpec(length_samples=EPOCH_SAMPLES, hop_samples=EPOCH_SAMPLES),
        conditioning=CONDITIONING,
        rolling=RollingSpec(
            time_constant_s=None,
            enter_probability=0.35,
            leave_probability=0.35,
            min_dwell_s=0.0,
            lookahead_windows=length - 1,
            min_evidence_s=0.0,
        ),
        data=(
            (_SIMULATED if simulated else _SLEEP_EDF).model_copy(update={"people": people or None}),
        ),
        intended_use=(
            "Estimated sleep stages of one person from one frontal EEG channel, for trend and"
            " research. Not a medical device and not an approved scorer."
        ),
        limits=limits.format(people=people, held=held),
    )


def simulated_epochs() -> Float32Array:
    """Return ``(GOLDEN_CASES, 1, 3000)`` uV: red noise with a rhythm of 2, 6, 10 and 13 Hz."""
    generator = np.random.default_rng(20)
    times_s = np.arange(EPOCH_SAMPLES) / RATE_HZ
    noise = np.cumsum(generator.normal(0.0, 4.0, (GOLDEN_CASES, EPOCH_SAMPLES)), axis=1)
    drift = np.linspace(0.0, 1.0, EPOCH_SAMPLES) * noise[:, -1:]
    rhythms = 30.0 * np.sin(2 * np.pi * np.outer((2.0, 6.0, 10.0, 13.0), times_s))
    return np.asarray((noise - drift + rhythms)[:, None], np.float32)


def simulated_features(length: int) -> tuple[Float32Array, Float32Array]:
    """Return made-up features, and masks: a full sequence, a warm-up, gaps, a single epoch."""
    generator = np.random.default_rng(21)
    features = np.tanh(generator.normal(size=(GOLDEN_CASES, length, FEATURES)))
    mask = np.ones((GOLDEN_CASES, length), np.float32)
    mask[1, : length // 2] = 0.0
    mask[2, 1::3] = 0.0
    mask[3, :-1] = 0.0
    return np.asarray(features * mask[:, :, None], np.float32), mask


_SLEEP_EDF = Data(
    name="Sleep-EDF Expanded, sleep cassette: raw Fpz-Cz",
    source="physionet.org/content/sleep-edfx/1.0.0; doi 10.13026/C2X676",
    licence="PhysioNet open data",
    people=None,
    simulated=False,
)
_SIMULATED = Data(
    name="SIMULATED nights in the layout of Sleep-EDF",
    source="made by this project",
    licence="MIT",
    people=None,
    simulated=True,
)
