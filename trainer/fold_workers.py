"""Several folds at a time, each in a process of its own with one thread of torch.

A process reads the data anew, once: nothing large is sent to it. What it is given must be
picklable, so ``Again`` is a function of a module with plain arguments.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch
from rich.console import Console

from edge_app.counted import counted
from edge_app.errors import EdgeAppError, TrainingError
from trainer.fold_run import Material, finished, run_fold
from trainer.folds import Fold

Again = Callable[[], Material]
"""Make the material of all folds once more, in another process."""
_material: list[Material] = []
"""Of this process, once its first fold has made it."""


def run_in_processes(
    again: Again, folds: Sequence[Fold], out: Path, console: Console, *, workers: int
) -> None:
    """Run folds; each leaves its answers in its folder.

    Args:
        again: makes their material.
        folds: those to run.
        out: folder of all folds' runs.
        console: told of each fold that is done.
        workers: processes, 2 or more.

    Raises:
        TrainingError: a process died, or a fold cannot be run; the others are stopped. What is
            done stays, and every fold goes on after its last whole pass when run again.
    """
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        min(workers, len(folds)), mp_context=context, initializer=_begin
    ) as pool:
        try:
            running = [pool.submit(_work, again, fold, out) for fold in folds]
            for done, future in enumerate(as_completed(running), 1):
                console.print(f"{future.result()} ({done} of {len(folds)})", highlight=False)
        except BrokenProcessPool as error:
            left = [fold.name for fold in folds if not finished(fold, out)]
            raise TrainingError(
                f"a process died: {counted(len(left), 'fold')} left to do,"
                f" first {', '.join(left[:4])}",
                source=str(out),
                next_step="Give the same command to go on; fewer --workers where memory was short",
            ) from error
        except _RefusedError as refused:
            kind, problem, details = refused.args
            raise kind(problem, **details) from refused
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()


class _RefusedError(Exception):
    """Carries an error of ours from one process to another: its type, problem and details."""


def _begin() -> None:
    torch.set_num_threads(1)
    logging.getLogger("trainer").setLevel(logging.ERROR)  # said by the first process already
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)


def _work(again: Again, fold: Fold, out: Path) -> str:
    try:
        if not _material:
            _material.append(again())
        return run_fold(_material[0], fold, out, Console(quiet=True))
    except EdgeAppError as error:
        details = {
            name: getattr(error, name) for name in ("next_step", "source", "expected", "got")
        }
        raise _RefusedError(type(error), error.problem, details) from error
