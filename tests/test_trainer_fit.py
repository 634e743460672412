"""The training loop: it learns, resumes on the same curve, and stops on nonsense."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from lightning.fabric.utilities.exceptions import MisconfigurationException  # noqa: E402
from rich.console import Console  # noqa: E402

from edge_app.errors import DatasetError, TrainingError  # noqa: E402
from tests.toy_experiment import KILL_IN_CALL, ToyExperiment, ToyOptions  # noqa: E402
from trainer.devices import refuse_small_batches, start  # noqa: E402
from trainer.ema import Ema  # noqa: E402
from trainer.fit import batches_of_pass, fit  # noqa: E402
from trainer.folds import leave_one_group_out, select  # noqa: E402
from trainer.learning_curve import Row, best_row  # noqa: E402
from trainer.losses import cross_entropy  # noqa: E402
from trainer.metrics import IGNORE  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402
from trainer.schedules import learning_rate  # noqa: E402
from trainer.splits import refuse_leak  # noqa: E402

QUIET = Console(quiet=True)
WHENCE = Provenance("toy", "trainer fit", "none", "none", "none", "2026-01-01")


def recipe(*, options: dict[str, object] | None = None, **fit_options: object) -> Recipe:
    defaults = {"passes": 6, "batch": 32, "learning_rate": 0.1, "ema_decay": 0.9}
    return Recipe(
        method=None,
        name="toy",
        task="emotion",
        seed=3,
        fit=FitOptions.model_validate(defaults | fit_options),
        experiment=ToyExperiment(ToyOptions.model_validate(options or {})),
    )


def run(made: Recipe, path: Path, *, resume: bool = False) -> list[Row]:
    folder = RunDir(path)
    folder.create("the same", WHENCE, resume=resume)
    train, validation = made.experiment.load(path)
    return fit(made, train, validation, folder, QUIET)


def without_time(rows: list[Row]) -> list[Row]:
    return [dataclasses.replace(row, seconds=0.0) for row in rows]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimiser": "adamw", "learning_rate": 0.02, "label_smoothing": 0.1},
        {"ema_decay": None, "clip_norm": 1.0},
        {"precision": "bf16-mixed", "optimiser": "adam", "learning_rate": 0.02},
    ],
)
def test_learns_a_separable_problem(tmp_path: Path, change: dict[str, object]) -> None:
    rows = run(recipe(passes=8, **change), tmp_path)
    assert rows[-1].accuracy > 0.9
    assert rows[-1].train_loss < rows[0].train_loss
    assert {p.name for p in tmp_path.iterdir()} == {
        *("recipe.yaml", "run.json", "best.pt", "last.pt", "log.csv", "curve.png")
    }
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + 8


def test_learns_sequences_whose_first_step_has_no_label(tmp_path: Path) -> None:
    rows = run(recipe(options={"length": 4}, passes=6), tmp_path)
    assert rows[-1].accuracy > 0.9


def test_a_killed_run_resumes_on_the_same_curve(tmp_path: Path) -> None:
    whole = run(recipe(), tmp_path / "whole")
    steps = math.ceil(600 / 32)
    with pytest.raises(KeyboardInterrupt):
        run(recipe(options={"interrupt_in_call": 3 * steps + 5}), tmp_path / "cut")
    resumed = run(recipe(), tmp_path / "cut", resume=True)
    assert without_time(resumed) == without_time(whole)
    first, second = (RunDir(tmp_path / name).load_best() for name in ("whole", "cut"))
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


def command(*words: object, kill_in_call: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``trainer`` with the toy, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.toy_trainer", *map(str, words)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {KILL_IN_CALL: str(kill_in_call), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def toy_recipe(path: Path, text: str) -> Path:
    path.write_text(f"task: emotion\nseed: 3\n{text}")
    return path


def test_kill_9_in_the_middle_of_a_pass_loses_no_other(tmp_path: Path) -> None:
    text = "experiment: {}\nfit: {passes: 5, batch: 32, learning_rate: 0.1, ema_decay: 0.9}"
    words = ("fit", toy_recipe(tmp_path / "toy.yaml", text), "--data", tmp_path)
    cut = (*words, "--out", tmp_path / "cut")
    steps = math.ceil(600 / 32)
    assert command(*cut, kill_in_call=3 * steps + 5).returncode == -signal.SIGKILL
    assert len((tmp_path / "cut" / "log.csv").read_text().splitlines()) == 1 + 3
    done = command(*cut, "--resume")
    assert done.returncode == 0, done.stderr
    assert "pass   4/5" in done.stdout
    assert "pass   3/5" not in done.stdout
    whole = run(recipe(passes=5), tmp_path / "whole")
    first, second = (RunDir(tmp_path / name) for name in ("whole", "cut"))
    assert csv_without_time(first.path) == csv_without_time(second.path)
    assert first.load_best().row.index == second.load_best().row.index
    weights = [folder.load_best().weights for folder in (first, second)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert len(whole) == 5


def csv_without_time(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Each sees half of every batch; without noise and dropout only rounding tells them apart."""
    text = "experiment: {noise: 0, dropout: 0}\nfit: {passes: 3, batch: 30, learning_rate: 0.1}"
    words = ("fit", toy_recipe(tmp_path / "toy.yaml", text), "--data", tmp_path, "--devices", 2)
    done = command(*words, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pass   3/3") == 1  # only the first process speaks
    quiet = {"passes": 3, "batch": 30, "learning_rate": 0.1, "ema_decay": 0.999}
    one = run(recipe(options={"noise": 0.0, "dropout": 0.0}, **quiet), tmp_path / "one")
    two = RunDir(tmp_path / "two")
    with (two.path / "log.csv").open(newline="") as file:
        for row, other in zip(one, csv.DictReader(file), strict=True):
            assert float(other["train_loss"]) == pytest.approx(row.train_loss, abs=1e-4)
            assert float(other["validation_loss"]) == pytest.approx(row.validation_loss, abs=1e-4)
    other = RunDir(tmp_path / "one").load_best().weights
    for name, value in two.load_best().weights.items():
        torch.testing.assert_close(value, other[name], atol=1e-4, rtol=0)


def test_a_batch_has_an_example_for_every_device() -> None:
    refuse_small_batches(600, batch=4, devices=4)
    with pytest.raises(TrainingError, match=r"too small.*at least 8.*got: 4|at least 8"):
        refuse_small_batches(600, batch=4, devices=8)


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such(**_: object) -> None:
        raise MisconfigurationException("your machine only has: [0]")

    monkeypatch.setattr("trainer.devices.Fabric", no_such)
    with pytest.raises(TrainingError, match="only has"):
        start(4, "32-true")


def test_a_time_budget_ends_a_run_that_a_resume_goes_on_with(tmp_path: Path) -> None:
    made, folder = recipe(passes=3), new_folder(tmp_path)
    train, validation = made.experiment.load(tmp_path)
    said = Console(record=True, quiet=False, file=io.StringIO(), width=200)
    for n in (1, 2, 3):  # no time at all: one pass a call
        rows = fit(made, train, validation, folder, said, max_minutes=0.0)
        assert len(rows) == n
        assert (tmp_path / "curve.png").stat().st_size > 1000
    assert said.export_text().count("--resume goes on") == 2  # the last call ended the run
    whole = run(recipe(passes=3), tmp_path / "whole")
    assert without_time(rows) == without_time(whole)


def test_a_run_killed_before_its_first_pass_resumes_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(recipe(options={"interrupt_in_call": 2}), tmp_path / "cut")
    resumed = run(recipe(passes=1), tmp_path / "cut", resume=True)
    assert without_time(resumed) == without_time(run(recipe(passes=1), tmp_path / "whole"))


def test_a_pass_may_be_a_number_of_batches_and_still_resumes(tmp_path: Path) -> None:
    short = {"steps_per_pass": 7, "passes": 5}  # of 19 batches a split
    whole = run(recipe(**short), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(recipe(options={"interrupt_in_call": 3 * 7 + 2}, **short), tmp_path / "cut")
    resumed = run(recipe(**short), tmp_path / "cut", resume=True)
    assert without_time(resumed) == without_time(whole)


def test_short_passes_see_every_example_once_before_any_twice() -> None:
    options = recipe(batch=10, steps_per_pass=4).fit
    batches = [b for index in range(6) for b in batches_of_pass(95, options, 3, index)]
    assert len(batches) == 24  # ten batches are the whole split
    for whole in (batches[:10], batches[10:20]):
        assert sorted(torch.cat(whole).tolist()) == list(range(95))
    assert not torch.equal(batches[0], batches[10])


def test_without_validation_the_last_pass_is_taken(tmp_path: Path) -> None:
    made, folder = recipe(passes=4), RunDir(tmp_path)
    folder.create("the same", WHENCE, resume=False)
    train, validation = made.experiment.load(tmp_path)
    rows = fit(made, train, None, folder, QUIET)
    assert [row.accuracy for row in rows] == [None] * 4
    assert folder.load_best().row.index == 3
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    validated = fit(made, train, validation, new_folder(tmp_path / "other"), QUIET)
    assert [row.train_loss for row in validated] == [row.train_loss for row in rows]


def new_folder(path: Path) -> RunDir:
    folder = RunDir(path)
    folder.create("the same", WHENCE, resume=False)
    return folder


def test_inputs_gathered_by_row_learn_as_inputs_that_lie_whole(tmp_path: Path) -> None:
    made = recipe(options={"length": 4}, passes=2)
    train, validation = made.experiment.load(tmp_path)
    steps = train.inputs[0].reshape(-1, train.inputs[0].shape[-1])
    rows = torch.arange(len(steps)).reshape(-1, 4)
    gathered = dataclasses.replace(train, inputs=(rows,), gather=lambda inputs: (steps[inputs[0]],))
    one = fit(made, train, validation, new_folder(tmp_path / "whole"), QUIET)
    other = fit(made, gathered, validation, new_folder(tmp_path / "gathered"), QUIET)
    assert without_time(one) == without_time(other)
    some = select(gathered, torch.arange(5, 9).numpy(), "some")
    assert torch.equal(some.batch(slice(None))[0], train.inputs[0][5:9])


def test_nan_in_validation_stops_too(tmp_path: Path) -> None:
    made = recipe(passes=1)
    train, validation = made.experiment.load(tmp_path)
    validation.inputs[0][0] = float("nan")
    with pytest.raises(TrainingError, match="loss on simulated validation is nan"):
        fit(made, train, validation, new_folder(tmp_path), QUIET)


def test_leaving_one_person_out_tests_each_once_a_repeat() -> None:
    groups = np.repeat(["ada", "bo", "cy", "di", "ed"], [3, 1, 2, 4, 2])
    folds = leave_one_group_out(groups, choose=2, repeats=3, seed=1)
    assert len(folds) == 15
    for repeat in range(3):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(12))
    for fold in folds:
        sides = [set(groups[rows]) for rows in (fold.learn, fold.choose, fold.test)]
        assert [len(side) for side in sides] == [2, 2, 1]
        assert len(set.union(*sides)) == 5
    draws = {tuple(fold.choose) for fold in folds if fold.name.endswith("_ada")}
    assert len(draws) > 1  # another draw each repeat
    assert not len(leave_one_group_out(groups, choose=0, repeats=1, seed=1)[0].choose)
    with pytest.raises(DatasetError, match="at least 6"):
        leave_one_group_out(groups, choose=4, repeats=1, seed=1)
    with pytest.raises(DatasetError, match=r"--set section\.choose=3"):
        leave_one_group_out(groups, choose=4, repeats=1, seed=1, choose_key="section.choose")


def test_nan_loss_stops_saves_its_batch_and_keeps_the_last_pass(tmp_path: Path) -> None:
    steps = math.ceil(600 / 32)
    made = recipe(options={"nan_in_call": steps + 3})
    with pytest.raises(TrainingError, match=r"pass 2, step 3.*loss is nan.*nan_batch\.npz"):
        run(made, tmp_path)
    train, _ = made.experiment.load(tmp_path)
    with np.load(tmp_path / "nan_batch.npz") as kept:
        assert np.isnan(kept["input_0"]).all()  # as the model read it
        assert kept["input_0"].shape == (len(kept["rows"]), train.inputs[0].shape[1])
        np.testing.assert_array_equal(kept["targets"], train.targets[kept["rows"]])
        assert (int(kept["pass_number"]), int(kept["step"])) == (2, 3)
        assert float(kept["learning_rate"]) == learning_rate(1 + 2 / steps, made.fit)
        assert np.isnan(kept["loss"])
    weights = RunDir(tmp_path).load_best().weights
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_cross_entropy_leaves_unlabelled_steps_out() -> None:
    logits = torch.tensor([[[2.0, 0.0], [9.0, -9.0]], [[0.0, 1.0], [0.0, 0.0]]])
    targets = torch.tensor([[0, IGNORE], [0, 1]])
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1)) + math.log(2)) / 3
    assert cross_entropy(logits, targets).item() == pytest.approx(by_hand, abs=1e-6)
    assert cross_entropy(logits, torch.full((2, 2), IGNORE)).item() == 0.0


def test_label_smoothing_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0]])
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    loss = cross_entropy(logits, torch.tensor([0]), 0.1).item()
    assert loss == pytest.approx(0.95 * right + 0.05 * wrong, abs=1e-6)


def test_unlabelled_examples_move_no_weight() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    cross_entropy(logits, torch.tensor([1, IGNORE, 2])).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[1], torch.zeros(4))
    assert bool((logits.grad[0] != 0).all())


def test_ema_by_hand() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    ema = Ema(model, decay=0.15)
    model.weight.data.fill_(1.0)
    ema.update()  # decay min(0.15, 2 / 11) = 0.15
    assert ema.average["weight"].item() == pytest.approx(0.85)
    with ema.averaged():
        assert model.weight.item() == pytest.approx(0.85)
    assert model.weight.item() == 1.0


def test_best_row_takes_the_first_of_equals() -> None:
    rows = [
        Row(i, 0.1, 1.0, loss, acc, acc, 1.0)
        for i, (loss, acc) in enumerate([(0.9, 0.5), (0.7, 0.6), (0.8, 0.6)])
    ]
    assert best_row(rows, "accuracy").index == 1
    assert best_row(rows, "loss").index == 1


def test_a_run_is_not_overwritten_nor_mixed_with_another(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    folder.create("one recipe", WHENCE, resume=False)
    with pytest.raises(TrainingError, match="--resume"):
        folder.create("one recipe", WHENCE, resume=False)
    with pytest.raises(TrainingError, match="another recipe"):
        folder.create("another recipe", WHENCE, resume=True)


def test_a_resumed_run_names_every_commit(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    later = dataclasses.replace(WHENCE, commit="later")
    folder.create("one recipe", WHENCE, resume=False)
    folder.create("one recipe", WHENCE, resume=True)
    assert folder.provenance() == WHENCE
    for _ in range(2):
        folder.create("one recipe", later, resume=True)
        assert folder.provenance().commit == f"{WHENCE.commit}, resumed at later"


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)
    options = FitOptions(passes=1, batch=1, learning_rate=0.1)
    row = Row(0, 0.1, 1.0, 1.0, 0.5, 0.5, 1.0)
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    run = RunDir(tmp_path)
    run.save_pass([row], options, model, sgd, Ema(model, 0.9))
    with pytest.raises(TrainingError, match=r"last\.pt.*does not fit"):
        run.load_last(other, torch.optim.SGD(other.parameters(), 0.1), Ema(other, 0.9))
    with pytest.raises(TrainingError, match="another --out"):
        run.load_last(model, torch.optim.SGD([model.weight], 0.1), Ema(model, 0.9))
    with pytest.raises(TrainingError, match=r"best\.pt.*does not fit"):
        run.load_weights(other, run.load_best().weights, "best.pt")


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_checkpoint_goes_to_the_device_of_the_model(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    options = FitOptions(passes=1, batch=1, learning_rate=0.1)
    row = Row(0, 0.1, 1.0, 1.0, 0.5, 0.5, 1.0)
    run = RunDir(tmp_path)
    run.save_pass([row], options, model, torch.optim.SGD(model.parameters(), 0.1), Ema(model, 0.9))
    elsewhere = torch.nn.Linear(2, 2, device="meta")  # stands for a GPU, which few machines have
    ema = Ema(elsewhere, 0.9)
    run.load_last(elsewhere, torch.optim.SGD(elsewhere.parameters(), 0.1), ema)
    assert {value.device.type for value in ema.average.values()} == {"meta"}
    ema.update()  # tensors of two devices cannot be averaged


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    (tmp_path / "best.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(TrainingError, match="cannot be read"):
        RunDir(tmp_path).load_best()
    assert not (tmp_path / "ran").exists()


def test_a_person_on_both_sides_is_refused(tmp_path: Path) -> None:
    clean = ToyExperiment(ToyOptions())
    refuse_leak(*clean.load(tmp_path))
    leaking = ToyExperiment(ToyOptions(shared_person=True))
    with pytest.raises(DatasetError, match=r"1 group.*Ada"):
        refuse_leak(*leaking.load(tmp_path))
