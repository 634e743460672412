"""The last minute of facial expression in words, for the console."""

from __future__ import annotations

from edge_app.contracts import Prediction
from edge_app.expression_shares import SHARE_WINDOWS_S

SHOWN_LABELS = 2
_WINDOW_S = max(SHARE_WINDOWS_S)


def last_minute(prediction: Prediction) -> list[str]:
    """Return how the last minute was shared out, how much was covered, and the change from rest.

    Args:
        prediction: of any task.

    Returns:
        Short lines; none for other tasks.
    """
    evidence = dict(prediction.evidence)
    coverage = evidence.get(f"coverage_{_WINDOW_S:g}_s")
    if coverage is None:
        return []
    shares = _by_label(evidence, "share_", f"_{_WINDOW_S:g}_s")
    ranked = sorted(shares, key=lambda label: -shares[label])[:SHOWN_LABELS]
    told = ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in ranked if shares[name] > 0.0)
    lines = [f"{_WINDOW_S:g} s: {told or 'no expression'}", f"usable face {100 * coverage:.0f} %"]
    changes = _by_label(evidence, "change_", "")
    if changes:
        most = max(changes, key=lambda label: changes[label])
        lines.append(f"from rest: {most} {changes[most]:+.1f}")
    elif "baseline_s" in evidence:
        lines.append(f"resting baseline: {evidence['baseline_s']:.0f} s collected")
    return lines


def _by_label(evidence: dict[str, float], before: str, after: str) -> dict[str, float]:
    return {
        name[len(before) : len(name) - len(after)]: value
        for name, value in evidence.items()
        if name.startswith(before) and name.endswith(after)
    }
