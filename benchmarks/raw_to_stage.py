"""Raw EEG to stages on the one real recording at hand, beside YASA and the expert.

    python benchmarks/raw_to_stage.py
    python benchmarks/raw_to_stage.py --yasa-python /path/to/python-with-yasa

Plays DREAMS excerpt 3 (30 min, 50 Hz, unit spelled UV, a header that is not quite valid) through
`edge-app replay` as a user would, and holds what was said of the 60 epochs against the expert.
YASA, no dependency of this project, stages the same samples where it can be imported. The file is
CC BY-NC-ND: only counts are printed. 60 epochs of one person say next to nothing about a model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge_app.sources.recording.formats import open_recording
from trainer.datasets.sleep_stages import STAGES
from trainer.metrics import IGNORE, class_figures, confusion_matrix
from trainer.sleep_evaluation.agreement import counting_abstentions, headline
from trainer.sleep_evaluation.expert import SignalOptions, expert_stages

ROOT = Path(__file__).resolve().parents[1]
NO_ANSWER = -1

Stages = npt.NDArray[np.int64]


def replayed(recording: Path, channel: str, bundle: Path, n: int) -> tuple[Stages, Stages]:
    """Return (n,) stages as `edge-app replay` first said them, and as they became final."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "edge_app", "replay", str(recording), "--task", "sleep"]
        command += ["--channel", channel, "--bundle", str(bundle), "--out", out]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"edge-app replay ended with {done.returncode}:\n{done.stderr}")
        lines = (Path(out) / "predictions.jsonl").read_text().splitlines()
    first: dict[float, str | None] = {}
    said = np.full((2, n), NO_ANSWER, np.int64)
    for record in map(json.loads, lines):
        start_s, label = record["window"]["start_s"], record["label"]
        first.setdefault(start_s, label)
        epoch = round(start_s / 30)
        if record["final"] and epoch < n:
            for row, word in enumerate((first[start_s], label)):
                said[row, epoch] = NO_ANSWER if word is None else STAGES.index(word)
    return said[0], said[1]


def yasa_stages(recording: Path, channel: str, python: str, n: int) -> tuple[Stages | None, str]:
    """Return (n,) stages by YASA, None where it is not there; and its versions, or why not."""
    opened = open_recording(recording, kind="eeg", channel=channel)
    samples_uv = np.concatenate([chunk.samples[:, 0] for chunk in opened.chunks()])
    with tempfile.TemporaryDirectory() as folder:
        eeg = Path(folder) / "eeg.npz"
        np.savez(eeg, samples_uv=samples_uv, rate_hz=opened.info.rate_hz)
        opened.close()
        command = [python, str(ROOT / "benchmarks" / "yasa_stages.py"), str(eeg)]
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, env=alone)
    told = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    if "stages" not in told:
        why = told.get("missing") or done.stderr.strip().splitlines()[-1:]
        return None, f"{why}; name an environment that has yasa and mne with --yasa-python"
    stages = np.full(n, NO_ANSWER, np.int64)
    words = [STAGES.index(word) for word in told["stages"]][:n]
    stages[: len(words)] = words
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return stages, f"{versions}; given {told['given']}; it sees the whole recording"


def column(expert: Stages, answers: Stages) -> list[str]:
    """Return figures over answered epochs, what no answer costs, and hits and false by stage."""
    counts = (expert != IGNORE) & (answers != NO_ANSWER)
    confusion = confusion_matrix(expert[counts], answers[counts], len(STAGES))
    silent = np.bincount(expert[(expert != IGNORE) & ~counts], minlength=len(STAGES))
    head, wrong = headline(confusion), counting_abstentions(confusion, silent.astype(np.int64))
    f1 = class_figures(confusion)[2]
    by_stage = [
        f"{confusion[i, i]} / {confusion[:, i].sum() - confusion[i, i]} / {f1[i]:.2f}"
        for i in range(len(STAGES))
    ]
    figures = [f"{head[key]:.3f}" for key in ("accuracy", "kappa", "macro_f1")]
    return [str(counts.sum()), *figures, f"{wrong['accuracy']:.3f}", *by_stage]


def print_channel(console: Console, given: argparse.Namespace, channel: str) -> None:
    """Stage one channel by everything there is and print it beside the expert."""
    raw = given.data / "sleep" / "raw"
    recording = raw / "excerpt3.edf"
    signal = SignalOptions(channel=channel)
    expert = expert_stages(recording, raw / "Hypnogram_excerpt3.txt", signal)
    stages, n = expert.stages, len(expert.stages)
    first, final = replayed(recording, channel, given.bundle.resolve(), n)
    said = {"edge-app, at once": first, "edge-app, final": final}
    other, told = yasa_stages(recording, channel, given.yasa_python, n)
    if other is not None:
        said["YASA"] = other
    said["always N2"] = np.full(n, STAGES.index("N2"))
    support = np.bincount(stages[stages != IGNORE], minlength=len(STAGES))
    names = ["epochs answered", "accuracy of those", "kappa", "macro-F1", "no answer = wrong"]
    names += [
        f"{stage}, {n} epochs: right / false / F1" for stage, n in zip(STAGES, support, strict=True)
    ]
    table = Table("", *said, title=f"DREAMS excerpt 3, {channel}: {support.sum()} scored epochs")
    for line in zip(names, *(column(stages, answers) for answers in said.values()), strict=True):
        table.add_row(*line)
    console.print(table)
    console.print(f"YASA: {told if other is not None else f'not run: {told}'}")
    for note in expert.notes:
        console.print(f"  {note}")


def main() -> None:
    """Parse the command line, stage, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("BEDSIDE_DATA", ROOT / "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="folder that holds sleep/raw")
    parser.add_argument("--bundle", type=Path, default=ROOT / "exports" / "sleep")
    parser.add_argument("--channel", action="append", help="default: FP1-A1 and C3-A1")
    parser.add_argument("--yasa-python", default=sys.executable, help="Python that has yasa, mne")
    given = parser.parse_args()
    console = Console(width=max(120, Console().width), soft_wrap=True, highlight=False)
    for channel in given.channel or ("FP1-A1", "C3-A1"):
        print_channel(console, given, channel)
    console.print(
        "One person, half an hour, few stages, scored by R&K every 20 s: no figure above ranks"
        " anything."
    )


if __name__ == "__main__":
    main()
