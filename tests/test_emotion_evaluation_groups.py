"""Groups of people and of pictures, spoilt pictures, and thresholds of episodes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

from edge_app.errors import ContractError  # noqa: E402
from trainer.emotion_evaluation.corruption_table import corruption_table  # noqa: E402
from trainer.emotion_evaluation.corruptions import CORRUPTIONS  # noqa: E402
from trainer.emotion_evaluation.episode_thresholds import (  # noqa: E402
    choose_episodes,
    why_left_out,
)
from trainer.emotion_evaluation.proportions import wilson  # noqa: E402
from trainer.emotion_evaluation.robustness_groups import (  # noqa: E402
    picture_properties,
    robustness_groups,
    terciles,
)
from trainer.emotion_evaluation.subgroups import gap_tests, holm, subgroups  # noqa: E402
from trainer.experiment import Split  # noqa: E402

LABELS = ("angry", "fear")


def said_of(answers: np.ndarray, n_labels: int = 2) -> np.ndarray:
    return 0.6 * np.eye(n_labels)[answers] + 0.4 / n_labels


def faces(n: int = 12, size: int = 48, seed: int = 0) -> np.ndarray:
    """Simulated pictures: soft blobs, no person."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 216, (n, size // 8, size // 8))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


def test_subgroups_by_hand() -> None:
    """The table of the clinical study: by gender, accuracy and the figures of each class."""
    attribute = np.array(["female"] * 30 + ["male"] * 10 + [""] * 2)
    targets = np.array([0] * 15 + [1] * 15 + [0] * 5 + [1] * 5 + [0, 0])
    answers = targets.copy()
    answers[[0, 1, 2]] = 1  # three angry women are called afraid
    answers[[30, 31, 32, 35]] = 1 - answers[[30, 31, 32, 35]]  # 3 of 5 and 1 of 5 men are wrong
    people = np.array([f"person {i}" for i in range(42)])
    found = subgroups(targets, said_of(answers), attribute, people, LABELS, permutations=50)
    women, men = found["groups"]["female"], found["groups"]["male"]
    assert (women["n"], women["units"], women["few"]) == (30, 30, False)
    assert (men["n"], men["units"], men["few"]) == (10, 10, True)
    assert women["accuracy"] == pytest.approx(27 / 30)
    assert women["accuracy_wilson"] == list(wilson(27, 30))
    assert women["recall"] == pytest.approx({"angry": 12 / 15, "fear": 1.0})
    assert women["precision"] == pytest.approx({"angry": 1.0, "fear": 15 / 18})
    assert men["recall"] == pytest.approx({"angry": 2 / 5, "fear": 4 / 5})
    assert men["macro_recall"] == pytest.approx(0.6)
    assert found["gaps"]["accuracy"] == pytest.approx(0.9 - 0.6)
    assert found["gaps"]["recall"] == pytest.approx({"angry": 0.4, "fear": 0.2})
    assert found["gaps"]["equal_opportunity"] == pytest.approx(0.4)
    assert (found["gaps"]["widest"], found["gaps"]["widest_least_n"]) == ("angry", 5)
    assert found["worst"] == "female"  # men are too few to be called the worst
    assert found["unknown"] == 2
    assert found["shuffled"] == "person"


def test_many_pictures_of_few_people_are_few() -> None:
    targets = np.zeros(200, dtype=np.int64)
    attribute = np.array(["old", "young"])[np.arange(200) % 2]
    people = np.array([f"person {i % 8}" for i in range(200)])
    found = subgroups(targets, said_of(targets), attribute, people, LABELS, permutations=9)
    old = found["groups"]["old"]
    assert (old["n"], old["units"], old["few"]) == (100, 4, True)


def test_the_permutation_test_is_the_count_of_all_permutations() -> None:
    """Six people, three a side: all 20 ways to divide them are counted here one by one."""
    right_of_person = np.array([4, 4, 3, 1, 0, 0])
    people = np.repeat([f"person {i}" for i in range(6)], 4)
    targets = np.zeros(24, dtype=np.int64)
    answers = np.concatenate([[0] * r + [1] * (4 - r) for r in right_of_person])
    attribute = np.repeat(np.array(["old", "young"]), 12)
    exact = []
    for side in combinations(range(6), 3):
        chosen = right_of_person[list(side)].sum()
        exact.append(abs(2 * chosen - right_of_person.sum()) >= abs(2 * 11 - 12))
    found = gap_tests(targets, answers, attribute, people, LABELS, permutations=4000)
    assert found["accuracy"]["p"] == pytest.approx(np.mean(exact), abs=0.03)
    assert set(found) == {"accuracy", "recall angry"}  # nobody is afraid: no such test
    assert found["accuracy"]["p_holm"] == pytest.approx(min(1, 2 * np.mean(exact)), abs=0.06)


def test_pictures_of_one_person_do_not_count_as_many_people() -> None:
    """Two people a side, ten pictures each, one person always wrong: nothing is shown by that."""
    people = np.repeat(["a", "b", "c", "d"], 10)
    attribute = np.repeat(np.array(["old", "young"]), 20)
    targets = np.zeros(40, dtype=np.int64)
    answers = np.repeat([1, 0, 0, 0], 10)
    by_person = gap_tests(targets, answers, attribute, people, LABELS, permutations=500)
    each = np.array([f"{i:032x}" for i in range(40)])
    by_picture = gap_tests(targets, answers, attribute, each, LABELS, permutations=500)
    assert by_person["accuracy"]["p"] == 1.0
    assert by_picture["accuracy"]["p"] < 0.01


def test_chance_alone_is_seldom_significant() -> None:
    generator = np.random.default_rng(4)
    significant = 0
    for _ in range(60):
        targets, answers = generator.integers(0, 2, (2, 80))
        attribute = generator.choice(["x", "y", "z"], 80)
        groups = np.array([f"{i:032x}" for i in range(80)])
        found = gap_tests(targets, answers, attribute, groups, LABELS, permutations=99)
        significant += any(test["p_holm"] <= 0.05 for test in found.values())
    assert significant <= 9  # binomial(60, 0.05): more than 9 once in 2,000


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.9})
    assert holm({}) == {}


def test_one_group_has_no_gap_and_no_test() -> None:
    targets = np.array([0, 1, 0, 1])
    groups = np.array(["p", "q", "r", "s"])
    found = subgroups(targets, said_of(targets), np.array(["RU"] * 4), groups, LABELS)
    assert found["gaps"] == {
        "accuracy": None,
        "recall": {"angry": None, "fear": None},
        "equal_opportunity": None,
        "widest": None,
        "widest_least_n": 0,
    }
    assert found["tests"] == {}


def test_terciles_are_thirds() -> None:
    values = np.random.default_rng(0).permutation(300).astype(np.float64)
    found = terciles(values)
    assert {name: int((found == name).sum()) for name in np.unique(found)} == {
        "low": 100,
        "middle": 100,
        "high": 100,
    }
    assert values[found == "low"].max() < values[found == "middle"].min()
    assert len(set(terciles(np.ones(9)))) == 1  # ties stay together


def test_properties_of_pictures_by_hand() -> None:
    flat = np.full((48, 48), 100, dtype=np.uint8)
    halves = flat.copy()
    halves[:, 24:] = 120
    found = picture_properties(np.stack([flat, halves, halves.T]))
    assert found["brightness"] == pytest.approx([100, 110, 110])
    assert found["contrast"] == pytest.approx([0, 10, 10])
    # the Laplacian is +20 and -20 in the two columns at the edge, 0 elsewhere
    assert found["sharpness"] == pytest.approx([0, 2 * 48 * 400 / 48**2, 2 * 48 * 400 / 48**2])
    assert set(robustness_groups(faces())) == {"brightness", "contrast", "sharpness"}


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [40, 48, 64])
def test_a_corruption_changes_pictures_and_nothing_else(name: str, size: int) -> None:
    before = faces(6, size)
    kept = before.copy()
    spoilt = CORRUPTIONS[name](before)
    assert spoilt.shape == before.shape
    assert spoilt.dtype == np.uint8
    assert np.array_equal(before, kept)
    assert np.array_equal(spoilt, CORRUPTIONS[name](before))
    assert not np.array_equal(spoilt, before)


def test_corruptions_do_what_they_say() -> None:
    pictures = faces(20)
    spoilt = {name: spoil(pictures).astype(np.float64) for name, spoil in CORRUPTIONS.items()}
    clean = pictures.astype(np.float64)
    sharp, mean = picture_properties(pictures)["sharpness"], clean.mean()
    assert spoilt["darker"].mean() == pytest.approx(0.4 * mean, abs=0.5)
    assert spoilt["brighter"].mean() > 1.3 * mean
    assert spoilt["back-lit"][:, 20:28, 20:28].mean() < 0.5 * mean
    assert spoilt["back-lit"][:, 0, 0].mean() > spoilt["back-lit"][:, 24, 24].mean() + 100
    changed = spoilt["cluttered"] != clean
    assert not changed[:, 4:44, 16:32].any()  # the ellipse's middle
    assert changed[:, :6, :6].mean() > 0.3  # its corners
    assert not np.array_equal(changed[0], changed[1])  # another room for each
    for name in ("blurred", "smaller face"):
        assert (picture_properties(spoilt[name].astype(np.uint8))["sharpness"] < sharp).all()
    noise = (spoilt["noise"] - clean)[(clean > 80) & (clean < 175)]
    assert noise.std() == pytest.approx(20, rel=0.05)
    grainy = CORRUPTIONS["noise"](pictures)
    squeezed = CORRUPTIONS["jpeg"](grainy)
    grain = [np.diff(p.astype(np.float64), axis=2).std() for p in (grainy, squeezed)]
    assert grain[1] < 0.8 * grain[0]
    assert squeezed.mean() == pytest.approx(grainy.mean(), abs=2)
    assert (spoilt["eyes covered"][:, 11:22] == 128).all()
    assert np.array_equal(spoilt["eyes covered"][:, 22:], clean[:, 22:])
    assert (spoilt["mouth covered"][:, 30:44] == 128).all()
    assert np.array_equal(spoilt["mouth covered"][:, :30], clean[:, :30])


def test_a_turn_is_by_twenty_degrees() -> None:
    line = np.zeros((1, 48, 48), dtype=np.uint8)
    line[0, 23:25, 4:44] = 255
    rows, columns = np.nonzero(CORRUPTIONS["rotated"](line)[0] > 100)
    slope = np.polyfit(columns, rows, 1)[0]
    assert abs(np.rad2deg(np.arctan(slope))) == pytest.approx(20, abs=1.0)


def test_the_table_scores_the_very_pictures_that_were_spoilt() -> None:
    pictures = faces(40)
    targets = (pictures.mean(axis=(1, 2)) > 125).astype(np.int64)
    split = Split(
        (torch.from_numpy(pictures[:, None]),),
        torch.from_numpy(targets),
        np.array([f"{i:032x}" for i in range(40)]),
        "simulated",
    )
    asked = []

    def by_brightness(scored: Split, what: str) -> np.ndarray:
        asked.append(what)
        bright = scored.inputs[0].numpy().mean(axis=(1, 2, 3)) > 125
        return said_of(bright.astype(np.int64)).astype(np.float32)

    clean = by_brightness(split, "clean")
    found = corruption_table(by_brightness, split, clean)
    assert asked == ["clean", *CORRUPTIONS]
    # two fifths of the light: nothing is above 125, so only the dark ones stay right
    assert found["darker"]["accuracy"] == pytest.approx(float((targets == 0).mean()))
    assert found["darker"]["lost"] == pytest.approx(float((targets == 1).mean()))
    assert found["darker"]["unchanged"] == pytest.approx(float((targets == 0).mean()))


def episode_data() -> tuple[np.ndarray, np.ndarray]:
    """Fear: 60 pictures at 0.9 (58 right), 40 at 0.6 (20 right), 300 at 0.1 (22 right)."""
    share = np.repeat([0.9, 0.6, 0.1], [60, 40, 300])
    fear = np.zeros(400, dtype=bool)
    fear[:58] = True
    fear[60:80] = True
    fear[100:122] = True
    return np.column_stack([1.0 - share, share]), fear.astype(np.int64)


def test_an_episode_begins_where_the_lower_end_of_the_ppv_is_as_stated() -> None:
    said, targets = episode_data()
    (fear,) = choose_episodes(said, targets, LABELS, ppv=0.8, for_labels=("fear",))
    assert wilson(78, 100)[0] < 0.8 <= wilson(58, 60)[0]
    assert fear.enter_probability == 0.9
    assert fear.leave_probability == pytest.approx(0.675)
    assert fear.ppv == pytest.approx(58 / 60)
    assert fear.ppv_low == pytest.approx(wilson(58, 60)[0])
    assert fear.recall == pytest.approx(58 / 100)
    assert fear.prevalence == pytest.approx(100 / 400)
    (lower,) = choose_episodes(said, targets, LABELS, ppv=0.65, for_labels=("fear",))
    assert lower.enter_probability == 0.6
    assert lower.recall == pytest.approx(78 / 100)


def test_three_lucky_pictures_are_no_reason_for_an_episode() -> None:
    said = np.column_stack([np.full(40, 0.05), np.full(40, 0.95)])
    said[3:] = [0.7, 0.3]
    targets = np.array([1] * 3 + [0] * 30 + [1] * 7)
    assert choose_episodes(said, targets, LABELS, ppv=0.8, for_labels=("fear",)) == ()
    reason = why_left_out(said, targets, LABELS, ppv=0.8, for_labels=("fear",))["fear"]
    assert "best at 0.950, 3 right of 3" in reason


def test_what_cannot_be_told_is_left_out_with_a_reason() -> None:
    said, targets = episode_data()
    nobody = np.zeros_like(targets)
    assert choose_episodes(said, nobody, LABELS, for_labels=("fear",)) == ()
    assert why_left_out(said, nobody, LABELS, for_labels=("fear",)) == {
        "fear": "no validation picture is fear"
    }
    assert why_left_out(said, targets, LABELS, for_labels=("fear",)) == {}
    with pytest.raises(ContractError, match="no such expression"):
        choose_episodes(said, targets, LABELS, for_labels=("contempt",))


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.95))
@settings(max_examples=40)
def test_what_is_told_has_the_stated_ppv_and_nothing_lower_has(seed: int, ppv: float) -> None:
    generator = np.random.default_rng(seed)
    share = np.round(generator.uniform(size=120), 2)
    targets = (generator.uniform(size=120) < share).astype(np.int64)
    said = np.column_stack([1.0 - share, share])
    told = choose_episodes(said, targets, LABELS, ppv=ppv, for_labels=("fear",))
    why = why_left_out(said, targets, LABELS, ppv=ppv, for_labels=("fear",))
    assert len(told) + len(why) == 1

    def low(threshold: float) -> float:
        here = targets[share >= threshold]
        return wilson(int(here.sum()), len(here))[0]

    reached = [threshold for threshold in np.unique(share) if low(threshold) >= ppv]
    assert [spec.enter_probability for spec in told] == ([min(reached)] if reached else [])
