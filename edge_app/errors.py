"""The one error tree.

    EdgeAppError
    ├── ContractError            a value that crosses a boundary has a wrong shape, type or unit
    ├── ConfigError              device YAML or command line
    ├── ManifestError            a bundle: file, hash, shape, labels, version
    ├── PreprocessError          a window that cannot be conditioned
    ├── InferenceError           a model that fails while running, or misses its golden outputs
    ├── SourceError              a device, stream or file
    │   ├── SourceNotFoundError  it is not there
    │   ├── SourceLostError      it was there and went away
    │   └── PacketError          it sends what cannot be decoded
    ├── SinkError                results cannot be written
    ├── DatasetError             training data: missing, damaged, leaking
    └── TrainingError            training or export

Every error says what is wrong, what was expected and got, and what to do next. ``exit_code`` is
what a command ends with.
"""

from __future__ import annotations


class EdgeAppError(Exception):
    """Root of all errors that a user may meet.

    Args:
        problem: one sentence, what is wrong.
        next_step: one sentence, what to do about it.
        source: the file, stream, device or key concerned.
        expected: what would have been right.
        got: what was found.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        next_step: str,
        source: str = "",
        expected: object = None,
        got: object = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.source = source
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        head = f"{self.source}: {self.problem}" if self.source else self.problem
        details = [
            f"{word} {value}"
            for word, value in (("expected", self.expected), ("got", self.got))
            if value is not None
        ]
        middle = f" ({', '.join(details)})" if details else ""
        return f"{head}{middle}. {self.next_step}"


class ContractError(EdgeAppError):
    """A value that crosses a boundary has a wrong shape, type or unit."""

    exit_code = 70


class ConfigError(EdgeAppError):
    """A device configuration or a command line that cannot be used."""

    exit_code = 2


class ManifestError(EdgeAppError):
    """A bundle whose manifest or files are wrong, missing or altered."""

    exit_code = 3


class PreprocessError(EdgeAppError):
    """A window that cannot be conditioned."""


class InferenceError(EdgeAppError):
    """A model that fails while running, or misses its golden outputs."""

    exit_code = 3


class SourceError(EdgeAppError):
    """A device, stream or file that cannot be read."""

    exit_code = 4


class SourceNotFoundError(SourceError):
    """The device, stream or file is not there."""


class SourceLostError(SourceError):
    """The device or stream was there and went away."""


class PacketError(SourceError):
    """The device sends bytes that cannot be decoded."""


class SinkError(EdgeAppError):
    """Results cannot be written."""

    exit_code = 5


class DatasetError(EdgeAppError):
    """Training data that is missing, damaged or leaks between splits."""

    exit_code = 6


class TrainingError(EdgeAppError):
    """A training run or an export that cannot go on."""

    exit_code = 7
