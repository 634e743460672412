"""What the manifest says of the model learnt from the register: sensor, use and limits."""

from __future__ import annotations

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS
from edge_app.inference.manifest import (
    Data,
    RollingSpec,
    StreamSpec,
    StrideConditioning,
    WindowSpec,
)
from trainer.datasets.gstride import COUNTS, LABELS
from trainer.experiment import BundleParts

RATE_HZ = 100.0
MIN_STRIDES = 20
MIN_WALKING_S = 30.0
SUREST_NOT = 0.34
"""Just above a third: the label is the most probable class unless all three are equally so."""

INTENDED_USE = (
    "A screening hint, for research: which Fried class (robust, pre-frail, frail) the gait of an"
    " older person resembles, from one IMU on the foot after at least 20 strides of walking. To be"
    " confirmed by a clinician. Not a medical device."
)
LIMITS = (
    "Learnt from 163 people aged 70-99, 21 of them frail, each with 213 strides or more.\n\n"
    "**Device shift.** The register's parameters come from its authors' own algorithm. The "
    "bedside's stride detection could not be compared with it on a recording of any person of "
    "the register: the figures shown hold for the register's parameters, and what is lost on "
    "ours is not known. The four phases of the stride are left out of the model for this "
    "reason: the swing of 8 healthy walkers lasts 34 to 41 % of the stride by the bedside and "
    "by hand-labelled events alike, while nobody in the register has more than 35 % and its "
    "robust half has 30 %, so the register means something else by it. Of what is used, values "
    "outside the range of the 163 people are counted with every answer "
    "(`unfamiliar_parameters`), and there is no answer when most are.\n\n"
    "**Shares.** Probabilities are for equal class shares: on a ward where few are frail, most "
    "answers 'frail' will be wrong.\n\n"
    "**Label.** Gait speed is part of the Fried label; a clinician's 4-m walk alone does about "
    "as well. Nobody frail walked outdoors or with the second device. Of the frail people who "
    "do not live in a nursing home, fewer are found.\n\n"
    "**Tried.** Logistic regression, proportional odds, shrunk discriminant, two kinds of "
    "forest, boosted trees, a small net, the mean of two, and all 25 values of the register: "
    "none is better beyond the interval. By inner folds' loss proportional odds is chosen most "
    "often; naive Bayes was preferred because it takes unknown parameters, shows what each one "
    "adds, and bounds what one absurd value can do. Left out on purpose: the phases (see above; "
    "with them balanced accuracy was .644 and AUC .832), cadence and stride "
    "speed (they follow from stride time and length), path lengths (nearly the stride length) "
    "and clearance (not comparable between algorithms).\n\n"
    "Nothing is known about walking aids, wheelchairs, amputation, hemiparesis, younger people, "
    "other places on the body, or change over time in one person."
)


def parts(parameters: tuple[str, ...]) -> BundleParts:
    """Return what goes into the manifest.

    Args:
        parameters: what the model reads, in order.

    Returns:
        Everything the manifest needs beside the graph.
    """
    return BundleParts(
        labels=LABELS,
        stream=StreamSpec(
            kind="imu",
            rate_hz=RATE_HZ,
            channels=IMU_CHANNELS,
            units=IMU_UNITS,
            placement="foot, dorsal",
        ),
        window=WindowSpec(length_samples=round(RATE_HZ), hop_samples=round(RATE_HZ)),
        conditioning=StrideConditioning(
            kind="gait_strides",
            parameters=parameters,
            max_missing_fraction=0.2,
            min_strides=MIN_STRIDES,
        ),
        rolling=RollingSpec(
            time_constant_s=None,
            enter_probability=SUREST_NOT,
            leave_probability=SUREST_NOT,
            min_dwell_s=0.0,
            lookahead_windows=0,
            min_evidence_s=MIN_WALKING_S,
        ),
        data=(
            Data(
                name="GSTRIDE register: gait parameters and Fried criteria",
                source="doi 10.5281/zenodo.8003441; paper doi 10.1038/s41597-023-02428-0",
                licence="CC BY 4.0",
                people=sum(COUNTS.values()),
                simulated=False,
            ),
        ),
        intended_use=INTENDED_USE,
        limits=LIMITS,
    )
