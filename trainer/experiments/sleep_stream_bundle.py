"""What the streamed sleep bundle says of itself."""

from __future__ import annotations

from edge_app.contracts import UNIT_UV
from edge_app.inference.manifest import Data, RollingSpec, StreamSpec, WindowSpec
from trainer.datasets.sleep_stages import STAGES
from trainer.datasets.sleepedf_bandpower import SUBJECTS
from trainer.experiment import BundleParts
from trainer.experiments.sleep_conditioning import CONDITIONING, EPOCH_SAMPLES, RATE_HZ

ARCHIVE = "Sleep-EDF Expanded, sleep cassette"
SOURCE = "github.com/matteo-omizzolo/sleep-EDF @a30daa3f; doi 10.13026/C2X676"
LICENCE = "MIT (features); PhysioNet open data (recordings)"


def bundle_parts(lookahead: int, channel: str, people: tuple[str, ...]) -> BundleParts:
    """Return what the loop does not know.

    Args:
        lookahead: epochs until an answer is final.
        channel: what was learnt from.
        people: who was learnt from; those of the published archive, or of an archive of one's own.

    Returns:
        Contract, data and limits.
    """
    published = people == SUBJECTS
    who = (
        "healthy adults aged 25-34, asleep at home, scored by one person each after Rechtschaffen"
        " and Kales, S3 and S4 joined, nights cut to half an hour awake around sleep"
    )
    origin = "an archive of the user's own"
    return BundleParts(
        labels=STAGES,
        stream=StreamSpec(
            kind="eeg",
            rate_hz=RATE_HZ,
            channels=(channel,),
            units=(UNIT_UV,),
            placement=f"scalp, midline ({channel})",
        ),
        window=WindowSpec(length_samples=EPOCH_SAMPLES, hop_samples=EPOCH_SAMPLES),
        conditioning=CONDITIONING,
        rolling=RollingSpec(
            time_constant_s=None,
            enter_probability=0.35,
            leave_probability=0.35,
            min_dwell_s=0.0,
            lookahead_windows=lookahead,
            min_evidence_s=0.0,
        ),
        data=(
            Data(
                name=f"{ARCHIVE if published else 'own nights'}: band powers of {channel}",
                source=SOURCE if published else origin,
                licence=LICENCE if published else "the user's own",
                people=len(people),
                simulated=False,
            ),
        ),
        intended_use=(
            "Estimated sleep stages of one person from one frontal EEG channel, for trend and"
            " research. Not a medical device and not an approved scorer."
        ),
        limits=(
            f"Learnt from {len(people)} {who if published else 'people of ' + origin}. The figures"
            " are of people left out, but the settings were chosen on the same people, and so was"
            " the temperature: that flatters a little. They are of stored band powers: cutting,"
            " resampling, hum removal and the encoder equal their references in tests, but no raw"
            " night with an expert's stages was at hand. Start it while the person is awake:"
            " started in the middle of sleep it says W too often and too surely for most of an hour"
            " (benchmarks/sleep_cold_start.py). Another amplifier or derivation with half or twice"
            " the amplitude costs accuracy. N1 is the weakest stage. Nothing is known about old,"
            " ill, sedated or intensive-care"
            " sleepers, dry electrodes or other derivations."
        ),
    )
