"""The device configuration: one YAML file says what hardware there is and which bundles it feeds.

No model parameter stands here: those are in the bundle's manifest. Paths are relative to the YAML
file.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_app.errors import ConfigError

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordingConfig(_Part):
    """A file or image folder, played as if it were a sensor."""

    kind: Literal["recording"]
    path: Path = Field(description="EDF, BDF, XDF, CSV or text, video, or folder of images.")
    channel: str | None = Field(None, description="EEG channel by name.")
    unit: str | None = Field(None, description="Unit of the signal where the file does not say.")
    gyr_unit: str | None = Field(None, description="Unit of the gyroscope where it is not clear.")
    rate_hz: Positive | None = Field(None, description="Rate where the file does not say.")
    speed: Positive | None = Field(1.0, description="1 = real time; null = as fast as possible.")


class SimulatedConfig(_Part):
    """A simulated sensor; everything made of it is marked as simulated."""

    kind: Literal["simulated"]
    sensor: Literal["eeg", "imu", "face"] = Field(description="Which sensor to simulate.")
    seed: int = Field(0, ge=0, description="The same seed gives the same signal.")
    transport: Literal["direct", "lsl"] = Field(
        "direct", description="lsl: through a real LSL outlet and inlet on this machine (eeg only)."
    )

    @model_validator(mode="after")
    def _transportable(self) -> SimulatedConfig:
        if self.transport == "lsl" and self.sensor != "eeg":
            raise ValueError("transport lsl carries the simulated eeg only")
        return self


class LslConfig(_Part):
    """One EEG channel of a Lab Streaming Layer stream."""

    kind: Literal["lsl"]
    source_id: str | None = Field(None, description="The outlet's source id: the surest name.")
    stream_name: str | None = Field(None, description="The outlet's name, if it has no source id.")
    channel: str | None = Field(None, description="Channel by label or index; null: the only one.")
    unit: str | None = Field(None, description="uV, mV, V or nV, where the stream does not say.")
    jitter_s: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.02, description="How far raw stamps may stray before a step counts as a gap."
    )
    resolve_timeout_s: Positive = Field(5.0, description="How long to look for the stream.")
    stale_after_s: Positive = Field(3.0, description="Silence that counts as a lost stream.")


SourceConfig = Annotated[RecordingConfig | SimulatedConfig | LslConfig, Field(discriminator="kind")]


class StreamConfig(_Part):
    """One sensor and the bundle that reads it."""

    name: Name = Field(description="Unique name, used in every prediction.")
    bundle: Path = Field(description="Folder of the exported model; it names the task.")
    source: SourceConfig
    face_detector: Path | None = Field(
        None, description="YuNet ONNX file for emotion; null: OpenCV's own Haar cascade."
    )


class ConsoleConfig(_Part):
    """A live view in the terminal."""

    kind: Literal["console"]


class JsonlConfig(_Part):
    """predictions.jsonl and health.jsonl, appended to."""

    kind: Literal["jsonl"]
    directory: Path = Field(description="Made when missing.")


SinkConfig = Annotated[ConsoleConfig | JsonlConfig, Field(discriminator="kind")]


class DeviceConfig(_Part):
    """One device: its streams and where results go."""

    device: Name = Field(description="Name of the device; never a patient's.")
    streams: tuple[StreamConfig, ...] = Field(min_length=1)
    sinks: tuple[SinkConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> DeviceConfig:
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError(f"stream names must differ, got {names}")
        return self


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (YAML would silently keep the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, each key once."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed where an unknown one was found."""
    models: dict[str, type[BaseModel]] = {
        model.model_fields["kind"].annotation.__args__[0]: model  # type: ignore[union-attr]
        for model in (RecordingConfig, SimulatedConfig, LslConfig, ConsoleConfig, JsonlConfig)
    }
    model: type[BaseModel] = DeviceConfig
    for step in location[:-1]:
        if isinstance(step, str) and step in models:
            model = models[step]
        elif step == "streams":
            model = StreamConfig
    return sorted(model.model_fields)


def _explain(path: Path, error: ValidationError) -> ConfigError:
    errors = error.errors(include_url=False)
    # A misspelt key is also a missing one: name the misspelling.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(step) for step in first["loc"]) or "the whole file"
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"unknown key {first['loc'][-1]!r} at {where}",
            source=str(path),
            expected=f"one of {', '.join(_allowed_keys(first['loc']))}",
            next_step="Correct or remove the key",
        )
    return ConfigError(
        f"{where}: {first['msg']}",
        source=str(path),
        next_step="Correct the file; device_configs/ holds examples that load",
    )


def load_config(path: Path) -> DeviceConfig:
    """Read a device configuration.

    Args:
        path: the YAML file.

    Returns:
        The configuration with all paths made absolute.

    Raises:
        ConfigError: no such file, not YAML, an unknown, doubled, missing or wrong key.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {error}",
            source=str(path),
            next_step="Name a YAML file such as device_configs/demo.yaml",
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"not valid YAML: {' '.join(str(error).split())}",
            source=str(path),
            next_step="Correct the file; device_configs/ holds examples that load",
        ) from error
    try:
        config = DeviceConfig.model_validate(document)
    except ValidationError as error:
        raise _explain(path, error) from error
    return _anchored(config, path.resolve().parent)


def _anchored(config: DeviceConfig, base: Path) -> DeviceConfig:
    """Return the configuration with relative paths taken from the YAML file's folder."""

    def stream(given: StreamConfig) -> StreamConfig:
        update: dict[str, object] = {"bundle": base / given.bundle}
        if given.face_detector is not None:
            update["face_detector"] = base / given.face_detector
        if isinstance(given.source, RecordingConfig):
            update["source"] = given.source.model_copy(update={"path": base / given.source.path})
        return given.model_copy(update=update)

    def sink(given: ConsoleConfig | JsonlConfig) -> ConsoleConfig | JsonlConfig:
        if isinstance(given, JsonlConfig):
            return given.model_copy(update={"directory": base / given.directory})
        return given

    return config.model_copy(
        update={
            "streams": tuple(stream(given) for given in config.streams),
            "sinks": tuple(sink(given) for given in config.sinks),
        }
    )
