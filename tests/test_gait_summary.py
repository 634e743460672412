"""Mean and spread over strides, against numpy on the whole list."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.errors import ContractError
from edge_app.preprocess.gait.stride import Stride, StrideFault
from edge_app.preprocess.gait.summary import PARAMETERS, GaitStatistics
from trainer.datasets.gstride import Gait

BASE = Stride(
    bout=0,
    heel_strike_s=0.0,
    foot_flat_start_s=0.1,
    foot_flat_end_s=0.5,
    toe_off_s=0.7,
    next_heel_strike_s=1.0,
    end_s=1.1,
    stride_time_s=1.0,
    load_fraction=0.1,
    foot_flat_fraction=0.4,
    push_fraction=0.2,
    swing_fraction=0.3,
    toe_off_angle_deg=-50.0,
    heel_strike_angle_deg=15.0,
    stride_length_m=1.2,
    path_2d_m=1.22,
    path_3d_m=1.3,
    clearance_m=0.1,
    turn_deg=2.0,
    rejected=None,
)


def stride(at_s: float, length_m: float, time_s: float = 1.0, **other) -> Stride:
    return replace(
        BASE,
        toe_off_s=at_s - 0.3,
        next_heel_strike_s=at_s,
        stride_time_s=time_s,
        stride_length_m=length_m,
        **other,
    )


def test_parameters_are_the_registers_in_its_order():
    ours = [name.replace("_fraction", "_percent") for name in PARAMETERS]
    theirs = ["stride_speed_mps" if n == "step_speed_mps" else n for n in Gait.__slots__]
    assert ours == theirs


@settings(max_examples=50)
@given(st.lists(st.floats(0.1, 2.2), min_size=2, max_size=50), st.sampled_from([0.0, 1e6]))
def test_mean_and_sd_are_numpys(lengths, offset):
    statistics = GaitStatistics()
    for i, length in enumerate(lengths):
        statistics.add(stride(float(i), offset + length))
    values = offset + np.array(lengths)
    assert statistics.mean("stride_length_m") == pytest.approx(np.mean(values), rel=1e-12)
    assert statistics.sd("stride_length_m") == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert statistics.sd("stride_time_s") == pytest.approx(0.0, abs=1e-9)
    assert statistics.weight == len(lengths)


def test_derived_values_are_averaged_by_stride():
    statistics = GaitStatistics()
    for i, time_s in enumerate((1.0, 2.0)):
        statistics.add(stride(float(i), 1.0, time_s))
    assert statistics.mean("cadence_strides_per_min") == pytest.approx((60.0 + 30.0) / 2.0)
    assert statistics.mean("stride_speed_mps") == pytest.approx((1.0 + 0.5) / 2.0)


def test_too_few_strides_have_no_spread():
    statistics = GaitStatistics()
    assert math.isnan(statistics.mean("stride_time_s"))
    statistics.add(stride(1.0, 1.0))
    assert statistics.mean("stride_time_s") == 1.0
    assert math.isnan(statistics.sd("stride_time_s"))


def test_rejected_strides_are_counted_only():
    statistics = GaitStatistics()
    nan = float("nan")
    first = stride(10.0, 0.5, nan, rejected=StrideFault.FIRST_OF_BOUT, heel_strike_s=nan)
    for one in (first, stride(11.0, 1.0), stride(12.0, 9.0, rejected=StrideFault.TURN)):
        statistics.add(one)
    assert (statistics.n_strides, statistics.n_accepted, statistics.n_bouts) == (3, 1, 1)
    assert statistics.rejected == {"first_of_bout": 1, "turn": 1}
    assert statistics.mean("stride_length_m") == 1.0
    assert statistics.walking_s == pytest.approx(2.3)  # toe-off at 9.7 s to heel strike at 12 s


def test_old_strides_fade():
    half_life_s = 100.0
    statistics = GaitStatistics(half_life_s)
    rng = np.random.default_rng(0)
    moments_s, lengths = np.cumsum(rng.uniform(0.8, 30.0, 200)), rng.uniform(0.5, 1.5, 200)
    for at_s, length in zip(moments_s, lengths, strict=True):
        statistics.add(stride(float(at_s), float(length)))
    weights = 0.5 ** ((moments_s[-1] - moments_s) / half_life_s)
    mean = np.average(lengths, weights=weights)
    freedom = weights.sum() - (weights**2).sum() / weights.sum()
    sd = np.sqrt((weights * (lengths - mean) ** 2).sum() / freedom)
    assert statistics.mean("stride_length_m") == pytest.approx(mean)
    assert statistics.sd("stride_length_m") == pytest.approx(sd)
    assert statistics.weight == pytest.approx(weights.sum())
    assert statistics.n_accepted == 200


def test_pauses_between_bouts_are_no_walking():
    statistics = GaitStatistics()
    for at_s in (1.0, 2.0, 3.0):
        statistics.add(stride(at_s, at_s))
    statistics.add(stride(60.0, 5.0, bout=1))
    assert statistics.n_bouts == 2
    # each bout from its first toe-off, 0.3 s before its heel strike
    assert statistics.walking_s == pytest.approx(2.3 + 0.3)


@pytest.mark.parametrize("half_life_s", [None, 3600.0])
def test_goes_on_after_a_restart(half_life_s):
    strides = [stride(float(i), 1.0 + 0.1 * (i % 7)) for i in range(40)]
    whole, stored = GaitStatistics(half_life_s), GaitStatistics(half_life_s)
    for one in strides:
        whole.add(one)
        stored.add(one)
    text = json.dumps(stored.as_dict(), allow_nan=False)
    again = GaitStatistics.from_dict(json.loads(text))
    assert again.as_dict() == whole.as_dict()
    for name in PARAMETERS:
        assert again.mean(name) == whole.mean(name)
        assert again.sd(name) == whole.sd(name)
    again.add(stride(3.0, 2.0))
    assert again.n_accepted == 41


def test_empty_statistics_can_be_stored():
    text = json.dumps(GaitStatistics().as_dict(), allow_nan=False)
    assert GaitStatistics.from_dict(json.loads(text)).n_strides == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("moments"),
        lambda d: d.update(parameters=["x"]),
        lambda d: d.update(n_strides=-1),
        lambda d: d.update(rejected={"unheard of": 1}),
        lambda d: d["moments"].update(mean=[1.0]),
        lambda d: d["moments"].update(weight=float("nan")),
        lambda d: d["moments"].update(squares=[-1.0] * 13),
        lambda d: d.update(moments=None),
        lambda d: d.update(half_life_s=0.0),
    ],
)
def test_damaged_statistics_are_refused(damage):
    values = GaitStatistics().as_dict()
    damage(values)
    with pytest.raises(ContractError):
        GaitStatistics.from_dict(values)
