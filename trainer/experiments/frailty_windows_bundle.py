"""What the manifest of a frailty bundle for windows says: simulated and recorded feet apart."""

from __future__ import annotations

from typing import Literal

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS
from edge_app.inference.manifest import Data, RollingSpec, StreamSpec
from trainer.datasets.gait_windows import CONDITIONING, RATE_HZ, WINDOW
from trainer.datasets.gstride import COUNTS, LABELS
from trainer.datasets.gstride_raw import RAW_COUNTS
from trainer.datasets.simulated_gait import held_out
from trainer.experiment import BundleParts

Source = Literal["simulated", "recordings"]

_SOURCE = "doi 10.5281/zenodo.8003441; paper doi 10.1038/s41597-023-02428-0"
_SIMULATED_USE = (
    "Shows the road from windows of a foot sensor to a rolling answer by DeepConvLSTM. Learnt from"
    " simulated feet only: not for any statement about a person. Not a medical device."
)
_RECORDED_USE = (
    "Research on frailty from one foot sensor: a screening hint that a clinician confirms. Not a"
    " medical device."
)
_SIMULATED_LIMITS = (
    "Every window it learnt from and every figure here is SIMULATED from rows of gait parameters;"
    " the figures say nothing about patients."
)
_RECORDED_LIMITS = (
    "Learnt from 158 people of one study; nobody who walked outdoors there was frail, so the"
    " surface is a confounder."
)
_LIMITS = (
    " Few people are frail; the recipe says whether classes weigh alike. Gait speed is part of the"
    " Fried label. Nothing is known about walking aids, wheelchairs or other places on the body."
)


def windows_bundle(source: Source, validation_share: float) -> BundleParts:
    """Return what the loop does not know.

    Args:
        source: where the windows came from.
        validation_share: share of the people of each class held out.

    Returns:
        Contract, data and limits, in words that fit the source.
    """
    simulated = source == "simulated"
    counts = COUNTS if simulated else RAW_COUNTS
    people = sum(n - held_out(n, validation_share) for n in counts.values())
    return BundleParts(
        labels=LABELS,
        stream=StreamSpec(
            kind="imu",
            rate_hz=RATE_HZ,
            channels=IMU_CHANNELS,
            units=IMU_UNITS,
            placement="foot, dorsal",
        ),
        window=WINDOW,
        conditioning=CONDITIONING,
        rolling=RollingSpec(
            time_constant_s=None,
            enter_probability=0.4,
            leave_probability=0.4,
            min_dwell_s=0.0,
            lookahead_windows=0,
            min_evidence_s=30.0,
        ),
        data=(_simulated(people) if simulated else _recorded(people),),
        intended_use=_SIMULATED_USE if simulated else _RECORDED_USE,
        limits=(_SIMULATED_LIMITS if simulated else _RECORDED_LIMITS) + _LIMITS,
    )


def _simulated(people: int) -> Data:
    return Data(
        name="SIMULATED foot IMU, one walk a person of the GSTRIDE register",
        source=f"parameters: {_SOURCE}",
        licence="CC BY 4.0 (register)",
        people=people,
        simulated=True,
    )


def _recorded(people: int) -> Data:
    return Data(
        name="GSTRIDE, raw foot IMU recordings",
        source=_SOURCE,
        licence="CC BY 4.0",
        people=people,
        simulated=False,
    )
