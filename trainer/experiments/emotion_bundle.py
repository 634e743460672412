"""What the bundle of a facial-expression model says of itself."""

from __future__ import annotations

from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS
from edge_app.inference.manifest import (
    Data,
    FaceConditioning,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)
from trainer.datasets import fer2013
from trainer.experiment import BundleParts
from trainer.experiments.emotion_options import EmotionOptions


def left_out(options: EmotionOptions) -> list[str]:
    """Return what was cleaned out of Training, in words."""
    left_out = ["copies of PublicTest"]
    if options.drop_conflicting:
        left_out.append("conflicts")
    if options.drop_blank:
        left_out.append("blanks")
    return left_out


def parts(options: EmotionOptions) -> BundleParts:
    """Return stream, conditioning, rolling and origin."""
    return BundleParts(
        labels=fer2013.LABELS,
        stream=StreamSpec(
            kind="video",
            rate_hz=None,
            channels=VIDEO_CHANNELS,
            units=(UNIT_RGB8,),
            placement="a camera that sees one face from the front",
        ),
        window=WindowSpec(length_samples=1, hop_samples=1),
        conditioning=FaceConditioning(
            kind="face_crop",
            size_px=fer2013.SIZE_PX,
            margin=0.1,
            level_eyes=False,
            min_face_px=48,
            detect_every=3,
            min_hits=3,
            track_lost_s=0.4,
            min_sharpness=60.0,
            min_exposure=50.0,
            max_exposure=200.0,
            max_turn=0.4,
            episodes=(),
        ),
        rolling=RollingSpec(
            time_constant_s=1.0,
            enter_probability=0.5,
            leave_probability=0.35,
            min_dwell_s=1.0,
            lookahead_windows=0,
            min_evidence_s=0.0,
        ),
        data=(
            Data(
                name=f"FER-2013 Training, without {', '.join(left_out(options))}",
                source="Goodfellow et al. 2013, arXiv 1307.0414",
                licence="none stated; pictures collected from the web, research use",
                people=None,
                simulated=False,
            ),
        ),
        intended_use="Rolling facial expression of one consenting adult in front of a camera, "
        "for research. Facial expression, not felt emotion. Not a medical device.",
        limits="Learnt from web pictures, many posed, without age, gender or origin: no "
        "subgroup was or can be tested. Stiff faces (Parkinson's disease, palsy) read as "
        "neutral or sad. Seen from the side, in the dark, or covered, it guesses. People "
        "agree with these labels about 65 times in 100.",
    )
