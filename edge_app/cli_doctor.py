"""What ``edge-app check`` prints of the machine, and all of a check as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from edge_app.cli_show import OUT, say
from edge_app.doctor.diagnosis import EVERY_DEVICE, Diagnosis, State

if TYPE_CHECKING:
    from edge_app.check import Finding

_STYLES = {State.OK: "green", State.DEGRADED: "yellow", State.MISSING: "bold red"}
_WIDTH = max(len(state.value) for state in State)


def show_machine(diagnoses: Iterable[Diagnosis]) -> bool:
    """Show what the doctor finds, as soon as it is found, and what mends it.

    Args:
        diagnoses: in the order looked at.

    Returns:
        Whether every device can run on this machine.
    """
    counts = dict.fromkeys(State, 0)
    passed = True
    for diagnosis in diagnoses:
        counts[diagnosis.state] += 1
        passed = passed and not diagnosis.failed
        line = Text(f"{diagnosis.state.value:<{_WIDTH}}  ", style=_STYLES[diagnosis.state])
        line.append(f"{diagnosis.part}: ", style="bold")
        line.append(diagnosis.detail, style="default")
        if diagnosis.state is not State.OK and diagnosis.needed_for != EVERY_DEVICE:
            line.append(f" (for {diagnosis.needed_for})", style="default")
        OUT.print(line, soft_wrap=True)
        if diagnosis.mend and diagnosis.state is not State.OK:
            indent = " " * (_WIDTH + 2)
            OUT.print(Text(f"{indent}{diagnosis.mend}", style="yellow"), soft_wrap=True)
    say("machine: " + ", ".join(f"{n} {state.value}" for state, n in counts.items()))
    return passed


def show_json(diagnoses: Iterable[Diagnosis], findings: Iterable[Finding]) -> bool:
    """Print a whole check as one JSON object: ``passed``, ``machine``, ``findings``.

    Args:
        diagnoses: of the machine; none where it was not looked at.
        findings: of a configuration or bundle; none where none was given.

    Returns:
        Whether all is well.
    """
    machine, found = list(diagnoses), list(findings)
    passed = not any(one.failed for one in machine) and all(one.passed for one in found)
    whole = {
        "passed": passed,
        "machine": [one.as_json() for one in machine],
        "findings": [asdict(one) for one in found],
    }
    OUT.print(Text(json.dumps(whole, indent=2, ensure_ascii=False)), soft_wrap=True)
    return passed
