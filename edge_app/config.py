"""The device configuration: one YAML file says what hardware there is and which bundles it feeds.

No model parameter stands here: those are in the bundle's manifest. Paths are relative to the YAML
file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from edge_app.config_sources import (
    SOURCES,
    BleImuConfig,
    CameraConfig,
    LslConfig,
    Name,
    Part,
    Positive,
    RecordingConfig,
    SimulatedConfig,
    SourceConfig,
)
from edge_app.errors import ConfigError
from edge_app.yaml_file import read_yaml


class PersonConfig(Part):
    """What is kept of the person over restarts: gait, or resting baseline; one file a person."""

    file: Path = Field(description="JSON, made when missing; remove it for another person.")
    half_life_days: Positive | None = Field(
        None, description="Frailty: age at which a stride counts half; null: all count alike."
    )
    baseline_strides: int = Field(
        200, ge=20, description="Frailty: first strides, which later ones are compared with."
    )


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Extent = Annotated[float, Field(gt=0.0, le=1.0)]
FaceRegion = tuple[Share, Share, Extent, Extent]


class StreamConfig(Part):
    """One sensor and the bundle that reads it."""

    name: Name = Field(description="Unique name, used in every prediction.")
    bundle: Path = Field(description="Folder of the exported model; it names the task.")
    source: SourceConfig
    face_detector: Path | None = Field(
        None,
        description="YuNet ONNX file for emotion; null: the one that `edge-app install-detector`"
        " has installed, else OpenCV's own Haar cascade.",
    )
    face_region: FaceRegion | None = Field(
        None,
        description="For emotion: left, top, width, height as shares of the picture, such as"
        " [0.25, 0, 0.5, 1]: only a face with its middle inside is the person's.",
    )
    person: PersonConfig | None = Field(
        None, description="For frailty, or with baseline_s: what is known outlives the program."
    )
    baseline_s: Positive | None = Field(
        None,
        description="For emotion: the first seconds of usable face, at rest, become the person's"
        " own baseline; null: none.",
    )


class ConsoleConfig(Part):
    """A live view in the terminal."""

    kind: Literal["console"]


class JsonlConfig(Part):
    """predictions.jsonl and health.jsonl, appended to."""

    kind: Literal["jsonl"]
    directory: Path = Field(description="Made when missing.")


SinkConfig = Annotated[ConsoleConfig | JsonlConfig, Field(discriminator="kind")]


class LslNetworkConfig(Part):
    """Which Lab Streaming Layer outlets this device hears, so that two beds do not mix."""

    session: Name | None = Field(
        None, description="Hear only outlets of this session; null: those without one."
    )
    known_peers: tuple[Name, ...] = Field(
        (), description="Hosts asked directly, where the network passes no broadcast."
    )
    resolve_scope: Literal["machine", "link", "site", "organization", "global"] | None = Field(
        None, description="How far to look; null: link, the own subnet."
    )


class DeviceConfig(Part):
    """One device: its streams and where results go."""

    device: Name = Field(description="Name of the device; never a patient's.")
    lsl: LslNetworkConfig = Field(
        default_factory=LslNetworkConfig, description="For all streams of kind lsl."
    )
    streams: tuple[StreamConfig, ...] = Field(min_length=1)
    sinks: tuple[SinkConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> DeviceConfig:
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError(f"stream names must differ, got {names}")
        people = [os.path.normpath(s.person.file) for s in self.streams if s.person is not None]
        if len(set(people)) != len(people):
            raise ValueError("two streams must not keep their wearer in one file")
        if sum(isinstance(sink, ConsoleConfig) for sink in self.sinks) > 1:
            raise ValueError("one console sink is enough: there is one terminal")
        folders = [os.path.normpath(s.directory) for s in self.sinks if isinstance(s, JsonlConfig)]
        if len(set(folders)) != len(folders):
            raise ValueError("two jsonl sinks must not write to one directory")
        return self

    @model_validator(mode="after")
    def _one_sensor_a_stream(self) -> DeviceConfig:
        sensors: dict[object, str] = {}
        for stream in self.streams:
            given = stream.source
            sensor: object = None
            if isinstance(given, BleImuConfig):
                sensor = (given.address or given.sensor_name or "").upper()
            elif isinstance(given, CameraConfig):
                sensor = given.device
            if sensor is not None and sensor in sensors:
                raise ValueError(
                    f"streams {sensors[sensor]} and {stream.name} name one sensor, {sensor}: "
                    "it can be read once"
                )
            if sensor is not None:
                sensors[sensor] = stream.name
        return self

    @model_validator(mode="after")
    def _one_lsl_session(self) -> DeviceConfig:
        sources = [stream.source for stream in self.streams]
        live = any(isinstance(source, LslConfig) for source in sources)
        if live and any(isinstance(s, SimulatedConfig) and s.transport == "lsl" for s in sources):
            raise ValueError(
                "a simulated stream with transport lsl and a stream of kind lsl cannot be in one "
                "device: the simulation has an LSL session of its own, so that no one takes it for "
                "a patient; give it transport direct, or run two devices"
            )
        return self


_SINKS: dict[str, type[BaseModel]] = {"console": ConsoleConfig, "jsonl": JsonlConfig}
_KINDS = {**SOURCES, **_SINKS}
LONGEST_SHOWN = 64
_PATTERNS: dict[int | str, str] = {
    "address": "must be a Bluetooth address such as D4:22:CD:00:00:01",
    "adapter": "must be an adapter such as hci0",
    "notify_uuid": "must be a UUID of 128 bits",
    "service_uuid": "must be a UUID of 128 bits",
    "uuid": "must be a UUID of 128 bits",
    "hex": "must be bytes in hexadecimal such as 01 ff",
    "pixel_format": "must be four letters such as MJPG",
}
_PLAIN = {
    "model_type": "must be keys with values, such as `key: value`",
    "model_attributes_type": "must be keys with values, such as {kind: ...}",
    "tuple_type": "must be a list, each entry on a line that begins with `- `",
    "too_short": "must have at least one entry",
    "string_type": "must be text; put it in quotes if YAML takes it for something else",
}


def _place(location: tuple[int | str, ...]) -> str:
    """Return where in the file; pydantic's steps into a kind are not in the file."""
    steps = [
        str(step)
        for before, step in zip(("", *location), location, strict=False)
        if not (step in _KINDS and (before == "source" or isinstance(before, int)))
    ]
    return ".".join(steps) or "top level"


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the mappings that a field's type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _allowed_keys(location: tuple[int | str, ...]) -> str:
    """Return the keys allowed in the mapping at a location."""
    models: list[type[BaseModel]] = [DeviceConfig]
    for step in location:
        if isinstance(step, int):
            continue
        if len(models) > 1:  # the kind chooses
            models = [_KINDS[step]]
        elif step in models[0].model_fields:
            models = _models(models[0].model_fields[step].annotation)
    return f"one of {', '.join(sorted(models[0].model_fields))}"


def _in_words(error: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Return the problem, what was expected and what was got."""
    location, given, kind = error["loc"], error["input"], error["type"]
    place, inside = _place(location), _place(location[:-1])
    kinds = f"one of {', '.join(sorted(SOURCES if 'source' in location else _SINKS))}"
    if kind in ("extra_forbidden", "invalid_key"):
        return f"unknown key {location[-1]!r} at {inside}", _allowed_keys(location[:-1]), None
    if kind == "missing":
        return f"key {location[-1]!r} is missing at {inside}", None, None
    if kind == "union_tag_not_found":
        return f"key 'kind' is missing at {place}", kinds, f"keys {', '.join(map(str, given))}"
    if kind == "union_tag_invalid":
        return f"unknown kind {error['ctx']['tag']!r} at {place}", kinds, None
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind == "value_error":  # our own: says what was got
        return f"{place}: {said}" if location else said, None, None
    plain = isinstance(given, (str, int, float))
    shown = repr(given) if plain else _sort(given)
    if kind == "string_pattern_mismatch":
        said = _PATTERNS.get(location[-1], said)
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]} ..."
    return f"{place}: {_PLAIN.get(kind, said)}", None, shown


def _sort(given: object) -> str:
    names = {dict: "keys with values", list: "a list", type(None): "nothing"}
    return names.get(type(given), type(given).__name__)


def _explain(path: Path, error: ValidationError) -> ConfigError:
    errors = error.errors(include_url=False)
    # A misspelt key is also a missing one: name the misspelling.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    problem, expected, got = _in_words(first)
    return ConfigError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
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
    document = read_yaml(path)
    if document is None:
        raise ConfigError(
            "the file is empty",
            source=str(path),
            next_step="Write a device into it; device_configs/ holds examples that load",
        )
    try:
        return _anchored(DeviceConfig.model_validate(document), path.resolve().parent)
    except ValidationError as error:
        raise _explain(path, error) from error


def _anchored(config: DeviceConfig, base: Path) -> DeviceConfig:
    """Return the configuration with relative paths taken from the YAML file's folder."""

    def placed(given: Path) -> Path:
        return (base / given).resolve()

    def stream(given: StreamConfig) -> StreamConfig:
        update: dict[str, object] = {"bundle": placed(given.bundle)}
        if given.face_detector is not None:
            update["face_detector"] = placed(given.face_detector)
        if given.person is not None:
            file = placed(given.person.file)
            update["person"] = given.person.model_copy(update={"file": file})
        if isinstance(given.source, RecordingConfig):
            update["source"] = given.source.model_copy(update={"path": placed(given.source.path)})
        if isinstance(given.source, CameraConfig) and isinstance(given.source.device, str):
            file = base / given.source.device  # a file; an address or a pipeline is none
            if not given.source.device.startswith("/") and file.is_file():
                update["source"] = given.source.model_copy(update={"device": str(file)})
        return given.model_copy(update=update)

    def sink(given: ConsoleConfig | JsonlConfig) -> ConsoleConfig | JsonlConfig:
        if isinstance(given, JsonlConfig):
            return given.model_copy(update={"directory": placed(given.directory)})
        return given

    return DeviceConfig(  # checked again, with the directories of the sinks as they are
        device=config.device,
        lsl=config.lsl,
        streams=tuple(stream(given) for given in config.streams),
        sinks=tuple(sink(given) for given in config.sinks),
    )
