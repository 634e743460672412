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
from trainer.experiment import BundleParts, Split
from trainer.experiments.emotion_options import EmotionOptions

FER2013 = "FER-2013"
LIMITS_OF_FER2013 = (
    "Learnt from web pictures, many posed, without age, gender or origin: no subgroup was or can be"
    " tested. People agree with these labels about 65 times in 100."
)
LIMITS_OF_OWN = (
    "Learnt from the trainer's own pictures: whom they show, how they were taken and how far people"
    " agree with their labels is not known here."
)


def left_out(options: EmotionOptions) -> list[str]:
    """Return what was cleaned out of Training, in words."""
    left_out = ["copies of PublicTest"] if options.clean_copies else []
    if options.drop_conflicting:
        left_out.append("conflicts")
    if options.drop_blank:
        left_out.append("blanks")
    return left_out


def is_own(train: Split | None) -> bool:
    """Return whether other pictures than FER-2013's were learnt from, as for ``learnt_from``."""
    return train is not None and not train.name.startswith(FER2013)


def learnt_from(options: EmotionOptions, train: Split | None) -> Data:
    """Return what the manifest says of the pictures that were learnt from.

    Args:
        options: what was cleaned away.
        train: the split learnt from; None: FER-2013's, which the recipes we ship are for.
    """
    if train is None or not is_own(train):
        without = left_out(options)
        return Data(
            name=f"{FER2013} Training" + (f", without {', '.join(without)}" if without else ""),
            source="Goodfellow et al. 2013, arXiv 1307.0414",
            licence="none stated; pictures collected from the web, research use",
            people=None,
            simulated=False,
        )
    return Data(
        name=train.name,
        source="the trainer's own pictures",
        licence="not known here: ask whoever trained this",
        people=None if train.attributes is None else len(set(train.groups)),
        simulated=False,
    )


def parts(options: EmotionOptions, train: Split | None = None) -> BundleParts:
    """Return stream, conditioning, rolling and origin.

    Args:
        options: classes and size of the crop.
        train: as for ``learnt_from``.
    """
    return BundleParts(
        labels=options.classes,
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
            size_px=options.size_px,
            margin=0.0,
            level_eyes=True,
            illumination=options.illumination,
            min_face_px=48,
            detect_every=3,
            min_hits=3,
            track_lost_s=0.4,
            min_sharpness=60.0,
            min_exposure=40.0,
            max_exposure=180.0,
            max_saturated=0.6,
            max_turn=0.5,
            episodes=(),
        ),
        rolling=RollingSpec(
            time_constant_s=0.5,
            enter_probability=0.5,
            leave_probability=0.35,
            min_dwell_s=1.0,
            lookahead_windows=0,
            min_evidence_s=0.0,
        ),
        data=(learnt_from(options, train),),
        intended_use="Rolling facial expression of one consenting adult in front of a camera, "
        "for research. Facial expression, not felt emotion. Not a medical device.",
        limits=(LIMITS_OF_OWN if is_own(train) else LIMITS_OF_FER2013)
        + " Stiff faces (Parkinson's disease, palsy) read as neutral or sad. Seen from the side,"
        " in the dark, or covered, it guesses.",
    )
