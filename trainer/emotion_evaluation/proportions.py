"""Shares with their Wilson interval, and predictive values at a stated prevalence."""

from __future__ import annotations

from math import sqrt

from edge_app.errors import ContractError

Z_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; unlike the normal one, also fit for few and for 1.00.

    Args:
        hits: how many of them.
        n: of how many.

    Returns:
        Low and high, 0 and 1 where ``n`` is 0: nothing is known.

    Raises:
        ContractError: more hits than cases, or a negative count.

    Source: Wilson 1927, doi 10.1080/01621459.1927.10502953.
    """
    if not 0 <= hits <= n:
        raise ContractError(
            "a share needs 0 <= hits <= n", got=(hits, n), next_step="Count both on the same cases"
        )
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, Z_95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z_95 / (1 + square / n) * sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return low, high


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float | None, float | None]:
    """Return PPV and NPV where a class has another share than in the test data.

    Args:
        sensitivity: recall of the class.
        specificity: share of the others that are not called so.
        prevalence: stated share of the class.

    Returns:
        PPV and NPV by Bayes' rule; None where nobody would be called so (or otherwise).
    """
    called = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
    cleared = (1 - sensitivity) * prevalence + specificity * (1 - prevalence)
    return (
        sensitivity * prevalence / called if called > 0 else None,
        specificity * (1 - prevalence) / cleared if cleared > 0 else None,
    )
