"""SeqSleepNet from EDF files to streamed answers, all on SIMULATED nights: figures mean nothing."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("without_curves")]

from rich.console import Console  # noqa: E402

from edge_app.contracts import AbstainReason, Chunk, StreamInfo  # noqa: E402
from edge_app.errors import ConfigError, DatasetError, TrainingError  # noqa: E402
from edge_app.inference.bundle import Bundle  # noqa: E402
from edge_app.tasks.protocol import build_windower, fit_stream  # noqa: E402
from edge_app.tasks.sleep import SleepTask  # noqa: E402
from tests.sleep_edf_files import write_night  # noqa: E402
from trainer import fold_workers, provenance  # noqa: E402
from trainer.calibrate import Calibrated  # noqa: E402
from trainer.cross_validate import run_folds  # noqa: E402
from trainer.datasets.raw_night import RawNight  # noqa: E402
from trainer.datasets.sleep_stages import STAGES  # noqa: E402
from trainer.evaluate import evaluate, evaluate_data  # noqa: E402
from trainer.experiments.seq_sleep_net import SeqSleepNetExperiment  # noqa: E402
from trainer.experiments.seq_sleep_net_bundle import (  # noqa: E402
    simulated_epochs,
    simulated_features,
)
from trainer.experiments.seq_sleep_net_nights import (  # noqa: E402
    join_nights,
    streamed_sequences,
    whole_sequences,
)
from trainer.experiments.seq_sleep_net_options import (  # noqa: E402
    LosoOptions,
    SeqSleepNetOptions,
)
from trainer.experiments.seq_sleep_net_scoring import (  # noqa: E402
    answered_nights,
    by_delay,
    decisions_of,
    merged,
)
from trainer.experiments.seq_sleep_net_study import material_of, table_1  # noqa: E402
from trainer.experiments.sleep_conditioning import CONDITIONING  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.fit import fit  # noqa: E402
from trainer.fold_figures import over_repeats, spread_text  # noqa: E402
from trainer.fold_run import Material, load_answers  # noqa: E402
from trainer.fold_workers import run_in_processes  # noqa: E402
from trainer.folds import leave_one_group_out  # noqa: E402
from trainer.metrics import IGNORE  # noqa: E402
from trainer.recipe import RECIPES_DIR, FitOptions, Recipe, load_recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

QUIET = Console(quiet=True)
LETTERS = "WW112M2334RRW"
LENGTH = 4
PEOPLE = ("00", "01", "02")


@pytest.fixture(scope="module")
def nights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three SIMULATED people, a short night each, in the layout of Sleep-EDF."""
    folder = tmp_path_factory.mktemp("sleep_edf")
    for seed, person in enumerate(PEOPLE):
        write_night(folder, f"SC4{person}1E0", LETTERS, seed=seed)
    return folder


def options(**changes: object) -> SeqSleepNetOptions:
    given: dict[str, object] = {
        "subjects": PEOPLE,
        "validation_subjects": ("02",),
        "length": LENGTH,
        "normalisation": "layer",
        "cross_validation": LosoOptions(choose=1, repeats=2),
    }
    return SeqSleepNetOptions.model_validate(given | changes)


def recipe(passes: int = 2, **changes: object) -> Recipe:
    return Recipe(
        name="tiny",
        task="sleep",
        method="seq_sleep_net",
        seed=1,
        fit=FitOptions(
            passes=passes,
            steps_per_pass=2,
            batch=8,
            optimiser="adam",
            learning_rate=0.01,
            schedule="constant",
            warmup_passes=0.0,
            weight_decay=0.0,
            ema_decay=None,
            select_by="accuracy",
        ),
        experiment=SeqSleepNetExperiment(options(**changes)),
    )


def random_night(n: int, seed: int, *, spoilt: tuple[int, ...] = ()) -> RawNight:
    rng = np.random.default_rng(seed)
    epochs = np.cumsum(rng.normal(0, 3, (n, 3000)), axis=1)
    epochs = (epochs - epochs.mean(axis=1, keepdims=True)).astype(np.float32)
    epochs[list(spoilt)] = np.nan
    return RawNight(
        name=f"SC4{seed:02}1E0",
        subject=f"{seed:02}",
        night=1,
        channel="EEG Fpz-Cz",
        rate_hz=100.0,
        epochs=epochs,
        stages=rng.integers(-1, 5, n),
        reasons=tuple(AbstainReason.FLAT if i in spoilt else None for i in range(n)),
        start_epoch=0,
        simulated=True,
    )


# sequences of nights -----------------------------------------------------------------------------


def test_whole_sequences_stay_within_a_night():
    one, other = random_night(6, 1), random_night(5, 2)
    split = whole_sequences(join_nights([one, other]), LENGTH, "two nights")
    assert split.inputs[0].tolist() == [
        [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [6, 7, 8, 9], [7, 8, 9, 10]
    ]  # fmt: skip
    assert split.groups.tolist() == ["01"] * 3 + ["02"] * 2
    assert split.examples == ("SC4011E0",) * 3 + ("SC4021E0",) * 2
    assert split.targets[1].tolist() == one.stages[1:5].tolist()
    assert split.targets[4].tolist() == other.stages[1:5].tolist()


def test_streamed_sequences_end_in_each_epoch():
    nights = [random_night(5, 1, spoilt=(2,)), random_night(2, 2)]
    split = streamed_sequences(join_nights(nights), LENGTH, "two nights")
    assert split.inputs[0].tolist() == [
        [-1, -1, -1, 0], [-1, -1, 0, 1], [-1, 0, 1, -1], [0, 1, -1, 3], [1, -1, 3, 4],
        [-1, -1, -1, 5], [-1, -1, 5, 6],
    ]  # fmt: skip
    assert split.targets[3].tolist() == [*nights[0].stages[:2], IGNORE, nights[0].stages[3]]


def test_each_epoch_of_a_batch_is_read_once():
    nights = join_nights([random_night(7, 1)])
    split = streamed_sequences(nights, LENGTH, "one night")
    epochs, rows = split.batch(torch.tensor([1, 6, 5]))
    assert len(epochs) == 2 + 5
    for found, wanted in zip(rows, split.inputs[0][[1, 6, 5]], strict=True):
        for place, row in zip(found.tolist(), wanted.tolist(), strict=True):
            assert (place < 0) == (row < 0)
            if row >= 0:
                assert torch.equal(epochs[place], nights.epochs[row])


def test_a_night_shorter_than_a_sequence_is_refused():
    with pytest.raises(DatasetError, match=r"SC4011E0.*at least 4 epochs.*got 3"):
        whole_sequences(join_nights([random_night(3, 1)]), LENGTH, "short")
    with pytest.raises(DatasetError, match="no night"):
        join_nights([])


def product_of(decisions: list[np.ndarray]) -> np.ndarray:
    """The geometric mean, as it is defined."""
    mean = np.prod(np.array(decisions, float), axis=0) ** (1 / len(decisions))
    return mean / mean.sum()


def test_an_epochs_answer_is_the_geometric_mean_of_all_sequences_with_it():
    nights = join_nights([random_night(7, 1), random_night(5, 2)])
    split = whole_sequences(nights, LENGTH, "two nights")
    rows = split.inputs[0].numpy()
    decisions = np.random.default_rng(0).dirichlet(np.ones(5), rows.shape).astype(np.float32)
    answered = merged(decisions, rows, nights)
    assert [night.night for night in answered] == ["SC4011E0", "SC4021E0"]
    said = np.concatenate([night.probabilities for night in answered])
    for epoch in range(12):
        expected = product_of(decisions[rows == epoch])
        np.testing.assert_allclose(said[epoch], expected, rtol=1e-5)
    some = rows[4:]  # sequences of the second night only
    assert [night.night for night in merged(decisions[4:], some, nights)] == ["SC4021E0"]


def test_an_answer_gathers_decisions_as_later_epochs_come():
    """By a loop over moments, as the bedside does it; an epoch is spoilt and decides nothing."""
    nights = join_nights([random_night(9, 1, spoilt=(0, 4)), random_night(3, 2)])
    rows = streamed_sequences(nights, LENGTH, "two nights").inputs[0].numpy()
    decisions = np.random.default_rng(0).dirichlet(np.ones(5), rows.shape).astype(np.float32)
    found = by_delay(decisions, rows, nights, (0, 2, 3))
    for delay, answered in found.items():
        said = np.concatenate([night.probabilities for night in answered])
        for epoch in range(12):
            heard = [
                decisions[moment][rows[moment] == epoch][0]
                for moment in range(epoch, min(epoch + delay + 1, 9 if epoch < 9 else 12))
                if rows[moment, -1] >= 0 and epoch in rows[moment]
            ]
            if epoch in (0, 4):
                assert np.isnan(said[epoch]).all()
            else:
                np.testing.assert_allclose(said[epoch], product_of(heard), rtol=1e-5)
    assert found[0][0].reasons[4] == "flat"
    for final, whole in zip(found[3], merged(decisions, rows, nights), strict=True):
        np.testing.assert_allclose(final.probabilities, whole.probabilities, rtol=1e-6)


def test_some_sequences_begin_late_and_lose_epochs_with_their_targets():
    experiment = SeqSleepNetExperiment(options(pad_probability=0.5, drop_probability=0.1))
    rows = torch.arange(4000 * LENGTH).view(-1, LENGTH)
    targets = torch.zeros_like(rows)
    eeg = torch.zeros(1)
    (same, kept), answers = experiment.augment((eeg, rows), targets, torch.Generator())
    assert same is eeg
    assert torch.equal(kept < 0, answers == IGNORE)
    assert torch.equal(kept[kept >= 0], rows[kept >= 0])
    share = (kept >= 0).float().mean(dim=0)
    assert (share[1:] > share[:-1]).all()  # the first positions go missing most
    assert share[-1] == pytest.approx(0.9, abs=0.02)
    plain = SeqSleepNetExperiment(options())
    (_, untouched), _ = plain.augment((eeg, rows), targets, torch.Generator())
    assert untouched is rows


# EDF files to a bundle ---------------------------------------------------------------------------


def exported(kind: str, nights_dir: Path, folder: Path) -> Bundle:
    """Fitted for four steps on SIMULATED nights and exported."""
    tiny = recipe(normalisation=kind)
    run = RunDir(folder / "run")
    train, validation = tiny.experiment.load(nights_dir)
    run.create(tiny.to_yaml(), provenance.collect(tiny.name), resume=False)
    fit(tiny, train, validation, run, QUIET)
    return export(run, nights_dir, folder / "simulated_seq_sleep_net")


@pytest.fixture(scope="module")
def layer_bundle(nights_dir, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The quick one, for what is the same with both."""
    return exported("layer", nights_dir, tmp_path_factory.mktemp("layer"))


@pytest.fixture(scope="module", params=["recurrent_batch", "layer"])
def bundle(request, nights_dir, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    if request.param == "layer":
        return request.getfixturevalue("layer_bundle")
    return exported(request.param, nights_dir, tmp_path_factory.mktemp(request.param))


def run_graph(bundle: Bundle, counts: dict[str, int] | None = None):
    def run(role, inputs):
        if counts is not None:
            counts[role] = counts.get(role, 0) + 1
        return bundle.runners[role].run(inputs)

    return run


def test_the_bundle_says_what_it_is(bundle):
    manifest = bundle.manifest
    assert manifest.labels == STAGES
    assert manifest.simulated
    assert manifest.rolling.lookahead_windows == LENGTH - 1
    encoder, sequence = manifest.graphs
    assert {t.name: t.shape for t in encoder.inputs} == {"eeg": (1, 1, 3000)}
    assert {t.name: t.shape for t in encoder.outputs} == {"features": (1, 128)}
    assert {t.name: t.shape for t in sequence.inputs} == {
        "features": (1, LENGTH, 128),
        "mask": (1, LENGTH),
    }
    assert {t.name for t in sequence.outputs} == {"logits", "probabilities"}
    assert "SIMULATED" in manifest.limits
    assert "whole sequences only" in manifest.limits
    assert manifest.training.data[0].people == 2


def test_both_graphs_answer_as_torch_does(bundle):
    experiment = load_recipe(bundle.path / "recipe.yaml").experiment
    net = experiment.build_model().eval()
    net.load_state_dict(RunDir(bundle.path.parent / "run").load_best().weights)
    features, mask = simulated_features(LENGTH)
    modules = {
        "encoder": (net.encoder, {"eeg": simulated_epochs()}),
        "sequence": (
            Calibrated(net.sequence, bundle.manifest.calibration.temperature),
            {"features": features, "mask": mask},
        ),
    }
    for spec in bundle.manifest.graphs:
        module, inputs = modules[spec.role]
        assert spec.opset == 17
        assert (bundle.path / spec.file).stat().st_size < 3_000_000
        for case in range(4):
            fed = {name: array[case : case + 1] for name, array in inputs.items()}
            answers = bundle.runners[spec.role].run(fed)
            with torch.no_grad():
                wanted = module(*(torch.from_numpy(array) for array in fed.values()))
            wanted = wanted if isinstance(wanted, tuple) else (wanted,)
            for output, expected in zip(spec.outputs, wanted, strict=True):
                np.testing.assert_allclose(answers[output.name], expected.numpy(), atol=1e-4)


def test_evaluation_scores_people_who_were_not_learnt_from(layer_bundle, nights_dir):
    bundle = layer_bundle
    experiment = load_recipe(bundle.path / "recipe.yaml").experiment
    split = experiment.load_evaluation(nights_dir)
    assert set(split.groups) == {"02"}
    figures = evaluate(bundle, experiment, split, nights_dir)
    json.dumps(figures, allow_nan=False)
    assert figures["n"] == len(LETTERS) - 1  # one is movement
    assert figures["trained_on_simulated_data"]
    assert set(figures["delays"]) == {"0", "1", "2", "3"}
    decided = sum(min(i + 1, LENGTH, len(LETTERS)) for i in range(len(LETTERS)))
    assert figures["single_decisions"]["n"] == decided - LENGTH


def test_files_played_as_at_the_bedside_are_scored_with_a_warning(layer_bundle, nights_dir):
    bundle = layer_bundle
    stored = json.loads((bundle.path / "metrics.json").read_bytes())
    assert stored["learnt_subjects"] == ["00", "01"]
    assert stored["n"] == len(LETTERS) - 1
    figures = evaluate_data(bundle, nights_dir)
    assert figures["learnt_from"] == ["00", "01"]
    assert any("learnt from 2 of these 3 people" in note for note in figures["notes"])
    assert set(figures["delays"]) >= {"0", "3"}


def test_every_person_was_learnt_from(tmp_path):
    write_night(tmp_path, "SC4001E0", LETTERS)
    with pytest.raises(DatasetError, match="every person there was learnt from"):
        SeqSleepNetExperiment(options()).load_evaluation(tmp_path)


@pytest.mark.parametrize("subjects", [("07",), PEOPLE])
def test_impossible_validation_subjects_are_refused(nights_dir, subjects):
    with pytest.raises(DatasetError, match="validation_subjects"):
        SeqSleepNetExperiment(options(validation_subjects=subjects)).load(nights_dir)


def test_a_small_folder_is_told_how_to_be_used(nights_dir, tmp_path):
    with pytest.raises(DatasetError, match=r"--set experiment\.subjects=null"):
        SeqSleepNetExperiment(options(subjects=("00", "07"))).load(nights_dir)
    tiny = recipe(cross_validation=LosoOptions(choose=2, repeats=1))
    with pytest.raises(DatasetError, match=r"--set experiment\.cross_validation\.choose=1"):
        tiny.experiment.cross_validate(tiny, nights_dir, tmp_path, Console(quiet=True))


@pytest.mark.parametrize("people", ["02", "[02]"])
def test_people_that_are_no_quoted_list_are_told_how_to_write_it(people):
    with pytest.raises(ConfigError) as refused:
        load_recipe(Path("seq_sleep_net"), (f"experiment.validation_subjects={people}",))
    assert "--set 'experiment.validation_subjects=[\"02\"]'" in str(refused.value)
    changes = ('experiment.validation_subjects=["02"]', "experiment.subjects=null")
    changed = load_recipe(Path("seq_sleep_net"), changes).experiment.options
    assert (changed.validation_subjects, changed.subjects) == (("02",), None)


def test_nobody_stands_on_both_sides(nights_dir):
    train, validation = SeqSleepNetExperiment(options()).load(nights_dir)
    assert set(train.groups) == {"00", "01"}
    assert set(validation.groups) == {"02"}


def test_the_bedside_says_what_is_scored_offline(bundle):
    """A SIMULATED night with a flat epoch, sample by sample, against the offline decisions."""
    night = random_night(17, 3)
    signal = night.epochs.reshape(-1).copy()
    signal[6 * 3000 : 7 * 3000] = 0.0
    info = StreamInfo("eeg", "eeg", 100.0, ("Fpz-Cz",), ("uV",), "simulation", simulated=True)
    task = SleepTask(bundle, info)
    windower = build_windower(fit_stream(bundle.manifest, info), info)
    said = []
    times_s = np.arange(len(signal)) / 100.0
    for start in range(0, len(signal), 777):
        part = slice(start, start + 777)
        for window in windower.push(Chunk(times_s[part], signal[part, None])):
            said += [p for p in task.push(window) if not p.passing]
    said += task.finish()

    split = streamed_sequences(
        join_nights([random_night(17, 3, spoilt=(6,))]), LENGTH, "simulated night"
    )
    decisions = decisions_of(run_graph(bundle), split)
    offline = answered_nights(split, decisions)
    for delay, wanted in ((0, lambda p: p.revision == 0), (LENGTH - 1, lambda p: p.final)):
        expected = offline[delay][0].probabilities
        heard = {round(p.start_s / 30.0): p for p in said if wanted(p)}
        assert sorted(heard) == list(range(17))
        for epoch, prediction in heard.items():
            if epoch == 6:
                assert prediction.abstained is AbstainReason.FLAT
                continue
            answer = [p for _, p in prediction.probabilities]
            np.testing.assert_allclose(answer, expected[epoch], atol=1e-5)


def test_each_epoch_is_encoded_once(bundle):
    split = streamed_sequences(join_nights([random_night(60, 1)]), LENGTH, "simulated night")
    counts: dict[str, int] = {}
    decisions_of(run_graph(bundle, counts), split)
    naive = int((split.inputs[0] >= 0).sum())  # an encoder run for each epoch of each sequence
    assert counts == {"encoder": 60, "sequence": 60}
    assert naive == 60 * LENGTH - (3 + 2 + 1)


def test_a_night_that_is_spoilt_whole_gets_no_answer(layer_bundle):
    split = streamed_sequences(
        join_nights([random_night(5, 1, spoilt=tuple(range(5)))]), LENGTH, "simulated night"
    )
    answered = answered_nights(split, decisions_of(run_graph(layer_bundle), split))
    assert not answered[0][0].answered.any()


def test_a_night_under_two_names_is_refused(nights_dir, tmp_path):
    shutil.copytree(nights_dir, tmp_path / "nights")
    for file in (tmp_path / "nights").glob("SC401*"):
        shutil.copy(file, file.with_name(file.name.replace("SC401", "SC409")))
    with pytest.raises(DatasetError, match="identical epoch"):
        SeqSleepNetExperiment(options(subjects=(*PEOPLE, "09"))).everyone(tmp_path / "nights")


def test_the_bedside_sees_what_evaluation_reads(nights_dir):
    """The reader of files runs the gates of the manifest, so both ends refuse the same epochs."""
    split = SeqSleepNetExperiment(options(validation_subjects=("01",))).load_evaluation(nights_dir)
    assert len(split.targets) == len(LETTERS)
    assert CONDITIONING.max_abs_uv == 1000.0
    assert torch.isfinite(split.batch(slice(0, len(LETTERS)))[0]).all()


# leave one person out ----------------------------------------------------------------------------


def test_a_fold_of_twenty_people_is_that_of_the_paper():
    groups = np.repeat([f"{i:02}" for i in range(20)], 7)
    folds = leave_one_group_out(groups, choose=4, repeats=5, seed=1)
    assert len(folds) == 100
    for fold in folds:
        sides = [set(groups[rows]) for rows in (fold.learn, fold.choose, fold.test)]
        assert [len(side) for side in sides] == [15, 4, 1]
        assert len(set.union(*sides)) == 20


def failing() -> Material:
    raise DatasetError("the disk is gone", source="/mnt", next_step="Plug it in")


def test_leaving_one_out_scores_every_epoch_once_a_repeat(nights_dir, tmp_path):
    text = io.StringIO()
    tiny = recipe(passes=1)
    console = Console(file=text, width=200)
    figures = tiny.experiment.cross_validate(tiny, nights_dir, tmp_path, console)
    json.dumps(figures, allow_nan=False)
    assert figures["people"] == 3
    for repeat in figures["repeats"]:
        assert repeat["merged"]["n"] == 3 * (len(LETTERS) - 1)
        counts = [sum(row) for row in repeat["merged"]["confusion"]]
        assert counts == [9, 6, 6, 9, 6]
    values = [repeat["merged"]["accuracy"] for repeat in figures["repeats"]]
    assert figures["pooled"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert figures["pooled"]["accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert set(figures["per_night"]) == {f"SC4{person}1E0" for person in PEOPLE}
    for run in figures["runs"]:
        assert len({*run["choose_groups"], *run["test_groups"]}) == 2
    seeds = {load_recipe(tmp_path / run["fold"] / "recipe.yaml").seed for run in figures["runs"]}
    assert seeds == {1, 2}  # each repeat starts anew
    assert "SIMULATED" in text.getvalue()
    assert "all sequences with an epoch" in text.getvalue()

    ran = sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*/answers.npz"))
    again = tiny.experiment.cross_validate(tiny, nights_dir, tmp_path, QUIET)
    assert again == figures
    assert ran == sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*/answers.npz"))


class CutOff(SeqSleepNetExperiment):
    """Stops in a step of the second fold, as by Ctrl-C."""

    steps = 0

    def augment(self, inputs, targets, generator):
        type(self).steps += 1
        if type(self).steps == 6:
            raise KeyboardInterrupt
        return super().augment(inputs, targets, generator)


def test_processes_and_a_cut_run_give_the_figures_of_one_whole_run(nights_dir, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tiny = recipe()
        made = material_of(tiny, nights_dir)
        folds = leave_one_group_out(made.everyone.groups, choose=1, repeats=1, seed=1)
        run_folds(made, folds, tmp_path / "whole", QUIET)
        cut = dataclasses.replace(tiny, experiment=CutOff(options()))
        stopped = Material(cut, made.everyone, cut.experiment.prepare)
        with pytest.raises(KeyboardInterrupt):
            run_folds(stopped, folds, tmp_path / "cut", QUIET)
        assert (tmp_path / "cut" / folds[0].name / "answers.npz").is_file()
        assert not (tmp_path / "cut" / folds[1].name / "answers.npz").exists()
        again = partial(material_of, tiny, nights_dir)
        run_folds(made, folds, tmp_path / "cut", QUIET, workers=2, again=again)
    finally:
        torch.set_num_threads(threads)
    for fold in folds:
        whole, resumed = (load_answers(fold, tmp_path / name) for name in ("whole", "cut"))
        np.testing.assert_array_equal(whole, resumed)


def test_a_process_that_dies_is_told_and_its_fold_goes_on_next_time(
    nights_dir, tmp_path, monkeypatch
):
    """Killed as it starts, before it has read anything, as by the system for want of memory."""
    tiny = recipe(passes=1)
    made = material_of(tiny, nights_dir)
    folds = leave_one_group_out(made.everyone.groups, choose=1, repeats=1, seed=1)[:2]

    class Dying(ProcessPoolExecutor):
        def __init__(self, workers, **options) -> None:
            super().__init__(workers, **options | {"initializer": os._exit, "initargs": (9,)})

    with monkeypatch.context() as patched:
        patched.setattr(fold_workers, "ProcessPoolExecutor", Dying)
        with pytest.raises(TrainingError, match=r"a process died: 2 fold.*repeat_1_00"):
            run_in_processes(failing, folds, tmp_path, QUIET, workers=1)
    run_folds(made, folds, tmp_path, QUIET)
    assert all(load_answers(fold, tmp_path).shape[1:] == (LENGTH, 5) for fold in folds)


def test_what_a_process_refuses_is_told_as_it_was(tmp_path, monkeypatch):
    """Our errors do not survive pickling by themselves; in threads the same road takes no time."""

    class Threads(ThreadPoolExecutor):
        def __init__(self, workers, **_options) -> None:
            super().__init__(workers)

        def submit(self, *args):
            return super().submit(through_pickle, *args)

    monkeypatch.setattr(fold_workers, "ProcessPoolExecutor", Threads)
    monkeypatch.setattr(fold_workers, "_material", [])
    fold = leave_one_group_out(np.array(PEOPLE), choose=1, repeats=1, seed=1)[0]
    level = logging.getLogger("trainer").level
    with pytest.raises(DatasetError, match=r"the disk is gone.*Plug it in") as refused:
        run_in_processes(failing, [fold], tmp_path, QUIET, workers=2)
    assert refused.value.source == "/mnt"
    assert logging.getLogger("trainer").level == level  # only the others are made quiet


def through_pickle(work, *args):
    try:
        return work(*args)
    except Exception as error:  # noqa: BLE001
        raise pickle.loads(pickle.dumps(error)) from None  # noqa: S301


def test_other_nights_in_the_folder_are_refused(nights_dir, tmp_path):
    tiny = recipe(passes=1)
    made = material_of(tiny, nights_dir)
    folds = leave_one_group_out(made.everyone.groups, choose=1, repeats=1, seed=1)[:1]
    run_folds(made, folds, tmp_path, QUIET)
    louder = dataclasses.replace(made.everyone.gather, epochs=made.everyone.gather.epochs + 1e-3)
    other = dataclasses.replace(made.everyone, gather=louder)
    with pytest.raises(TrainingError, match="other data"):
        run_folds(Material(tiny, other, made.prepare), folds, tmp_path, QUIET)


def test_the_sweep_prints_the_papers_table_beside_its_own(nights_dir, tmp_path):
    text = io.StringIO()
    loso = LosoOptions(choose=0, repeats=1, gammas=(1e-4, 0.5))
    tiny = recipe(passes=1, subjects=PEOPLE[:2], cross_validation=loso)
    console = Console(file=text, width=200)
    figures = tiny.experiment.cross_validate(tiny, nights_dir, tmp_path, console)
    json.dumps(figures, allow_nan=False)
    assert list(figures["gammas"]) == ["0.0001", "0.5"]
    assert figures["gammas"]["0.5"]["gamma"] == 0.5
    assert (tmp_path / "gamma_0.5" / "repeat_1_00" / "answers.npz").is_file()
    shown = text.getvalue()
    assert "0.862 ± 0.002" in shown
    assert "paper's kappa" in shown


def test_spread_over_repeats_by_hand():
    found = over_repeats([{"a": 1.0, "b": None}, {"a": 2.0, "b": 3.0}])
    assert found["a"] == {"mean": 1.5, "sd": pytest.approx(0.5**0.5), "values": [1.0, 2.0]}
    assert found["b"]["mean"] == 3.0
    assert found["b"]["sd"] is None
    assert spread_text(found["a"]) == "1.500 ± 0.707"
    assert spread_text({"mean": None, "sd": None}) == "-"


def test_table_1_is_the_papers():
    pooled = over_repeats([{"accuracy": 0.5, "kappa": 0.4, "macro_f1": 0.3}])
    table = table_1({gamma: {"pooled": pooled} for gamma in (1.0, 0.1, 1e-4, 0.0, 7.0)}, "made up")
    cells = [list(column.cells) for column in table.columns]
    assert cells[4] == ["0.855 ± 0.001", "0.860 ± 0.003", "0.862 ± 0.002", "0.856 ± 0.003", "-"]
    assert cells[5][2] == "0.811 ± 0.003"
    assert cells[6][3] == "0.786 ± 0.002"


def test_the_recipe_has_the_papers_numbers():
    paper = load_recipe(RECIPES_DIR / "seq_sleep_net.yaml")
    given, how = paper.experiment.options, paper.fit
    assert (given.length, given.l2, given.gamma) == (20, 1e-3, 1e-4)
    assert given.normalisation == "recurrent_batch"
    assert (how.optimiser, how.learning_rate, how.schedule) == ("adam", 1e-4, "constant")
    assert (how.batch, how.steps_per_pass, how.select_by) == (32, 100, "accuracy")
    assert (how.weight_decay, how.warmup_passes, how.ema_decay) == (0.0, 0.0, None)
    assert (given.cross_validation.choose, given.cross_validation.repeats) == (4, 5)
    assert given.subjects == tuple(f"{i:02}" for i in range(20))
    sweep = load_recipe(RECIPES_DIR / "seq_sleep_net_gamma.yaml")
    assert sweep.experiment.options.cross_validation.gammas == (1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 0)
    alone = sweep.experiment.options.model_copy(update={"cross_validation": given.cross_validation})
    assert alone == given
    assert sweep.fit == how
    bedside = load_recipe(RECIPES_DIR / "seq_sleep_net_bedside.yaml").experiment.options
    assert bedside.normalisation == "layer"
    assert bedside.pad_probability > 0


def test_the_loss_pulls_on_every_weight():
    experiment = SeqSleepNetExperiment(options(l2=0.5, gamma=0.0))
    model = experiment.build_model()
    logits, targets = torch.zeros(1, LENGTH, 5), torch.zeros(1, LENGTH, dtype=torch.int64)
    loss = experiment.loss(model, logits, targets, 0.0)
    norm = sum(float(p.detach().square().sum()) for p in model.parameters())
    assert loss.item() == pytest.approx(np.log(5.0) + 0.5 * norm, rel=1e-4)
