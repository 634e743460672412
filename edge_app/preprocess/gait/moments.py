"""Weighted mean and variance, one value at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edge_app.errors import ContractError

_NAN = float("nan")


class RunningMoments:
    """Weighted mean and variance of a vector, one value at a time.

    West 1979, doi 10.1145/359146.359153. With decay, what came before loses weight as time passes;
    the variance is that of reliability weights, unbiased for the weights at hand.

    Args:
        n: length of the vector.
    """

    def __init__(self, n: int) -> None:
        self._mean = [0.0] * n
        self._squares = [0.0] * n  # weighted sum of squared distances from the mean
        self._weight = 0.0
        self._weight_squares = 0.0

    def decay(self, factor: float) -> None:
        """Multiply the weight of everything so far by a factor of 0 to 1."""
        self._weight *= factor
        self._weight_squares *= factor * factor
        self._squares = [value * factor for value in self._squares]

    def add(self, values: list[float]) -> None:
        """Take a vector of finite values with weight 1."""
        self._weight += 1.0
        self._weight_squares += 1.0
        for i, value in enumerate(values):
            step = value - self._mean[i]
            self._mean[i] += step / self._weight
            self._squares[i] += step * (value - self._mean[i])

    @property
    def weight(self) -> float:
        """Sum of the weights: without decay the number of vectors."""
        return self._weight

    def mean(self, i: int) -> float:
        """Return the mean of one component; NaN before the first value."""
        return self._mean[i] if self._weight > 0.0 else _NAN

    def sd(self, i: int) -> float:
        """Return the standard deviation of one component; NaN below two values."""
        freedom = self._weight - self._weight_squares / self._weight if self._weight > 0.0 else 0.0
        if freedom <= 1e-9 * self._weight:
            return _NAN
        return math.sqrt(max(self._squares[i], 0.0) / freedom)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "mean": list(self._mean),
            "squares": list(self._squares),
            "weight": self._weight,
            "weight_squares": self._weight_squares,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], n: int) -> RunningMoments:
        """Return what ``as_dict`` gave.

        Args:
            values: as stored.
            n: length of the vector.

        Returns:
            The same moments.

        Raises:
            ContractError: other keys, another length, a value that no such state has.
        """
        new = cls(n)
        try:
            new._mean = [float(value) for value in values["mean"]]
            new._squares = [float(value) for value in values["squares"]]
            new._weight = float(values["weight"])
            new._weight_squares = float(values["weight_squares"])
        except (KeyError, TypeError, ValueError) as error:
            raise refusal(f"{type(error).__name__}: {error}") from error
        numbers = [*new._mean, *new._squares, new._weight, new._weight_squares]
        if len(new._mean) != n or len(new._squares) != n:
            raise refusal(f"{len(new._mean)} means, {len(new._squares)} sums for {n} parameters")
        if not all(map(math.isfinite, numbers)) or min(numbers[n:]) < 0.0:
            raise refusal("a sum that is negative or not finite")
        return new


def refusal(got: str) -> ContractError:
    """Return the error for statistics that cannot be."""
    return ContractError(
        "gait statistics cannot be made of this",
        expected="finite values, counts from 0, parameters as in PARAMETERS",
        got=got,
        next_step="Start with empty statistics",
    )
