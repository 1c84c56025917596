"""Reads the configuration: packaged defaults, then a file, then the environment.

Every mistake becomes a ConfigurationError that names the path of the setting, what is allowed
there, and the file and line or the environment variable it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, assert_never

from pydantic import ValidationError

from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import ConfigurationError
from governance_flow.infrastructure.settings_errors import explain
from governance_flow.infrastructure.settings_layers import (
    STATES_KEY,
    Layer,
    layer_from_environment,
    layer_from_mapping,
    layer_from_yaml,
)

MAX_FILE_BYTES = 1_000_000
"""A larger file is not a configuration."""

ConfigurationSource = None | Path | str | Mapping[str, Any] | FlowConfiguration


def as_configuration(
    config: ConfigurationSource, environ: Mapping[str, str] | None = None
) -> FlowConfiguration:
    """Turn whatever a caller has into a configuration.

    ``None`` means the defaults, a path or ``str`` a file, a mapping the content of a file (with or
    without its top key); the environment (``os.environ`` unless given) overrides all three. A
    FlowConfiguration is returned as it is.

    Raises:
        ConfigurationError: something in it is wrong; the message says what and where.
    """
    environ = os.environ if environ is None else environ
    match config:
        case FlowConfiguration():
            return config
        case None:
            return load_configuration(None, environ)
        case Mapping():
            return _validated(
                [_packaged(), layer_from_mapping(config), layer_from_environment(environ)]
            )
        case str() | Path():
            return load_configuration(Path(config), environ)
        case _:
            assert_never(config)


def load_configuration(path: Path | None, environ: Mapping[str, str]) -> FlowConfiguration:
    """Read the defaults, the file at ``path`` if there is one, and the environment.

    Raises:
        ConfigurationError: something in them is wrong; the message says what and where.
    """
    layers = [_packaged()]
    if path is not None:
        layers.append(layer_from_yaml(_read(path), str(path)))
    layers.append(layer_from_environment(environ))
    return _validated(layers)


def _packaged() -> Layer:
    text = (
        resources.files("governance_flow")
        .joinpath("config", "flow-orchestrator.yaml")
        .read_text(encoding="utf-8")
    )
    return layer_from_yaml(text, "the packaged flow-orchestrator.yaml")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no configuration file {path}") from error
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read: {error.strerror}"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(
            f"the configuration file {path} is larger than {MAX_FILE_BYTES} bytes"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"the configuration file {path} is not UTF-8 text (line {line})"
        ) from error


def _validated(layers: Sequence[Layer]) -> FlowConfiguration:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer.data, ())
    try:
        return FlowConfiguration.model_validate(merged)
    except ValidationError as error:
        raise explain(error, layers) from error


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Lay one tree over another; where both have a mapping, key by key."""
    if _replaces_whole(below, above, path):
        return dict(above)
    # Names of states may be in lower case, as they are when they come from the environment.
    known = {_spelled(key, path): value for key, value in below.items()}
    merged = dict(known)
    for key, value in above.items():
        spelled = _spelled(key, path)
        old = known.get(spelled)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[spelled] = _merge(old, value, (*path, str(key)))
        else:
            merged[spelled if spelled in known else key] = value
    return merged


def _spelled(key: Any, path: tuple[str, ...]) -> Any:
    return key.upper() if path == _STATES and isinstance(key, str) else key


_STATES = (STATES_KEY,)
_MATRIX = ("separation_of_powers", "excludes")
_SERVICE_DEPTH = 2


def _replaces_whole(
    below: Mapping[str, Any], above: Mapping[str, Any], path: tuple[str, ...]
) -> bool:
    """Whether mixing the two would make something that neither of them means."""
    if path == _STATES and len({str(key).upper() for key in above}) < len(above):
        # One state twice, in two spellings: the model refuses it, if it gets to see both.
        return True
    if path == _MATRIX:
        # Symmetric: a pair left out above would come back from the other side below.
        return True
    if len(path) == _SERVICE_DEPTH and path[0] == "branches":
        # The keys of one kind of branch mean nothing to another.
        return "kind" in above and above["kind"] != below.get("kind")
    return False
