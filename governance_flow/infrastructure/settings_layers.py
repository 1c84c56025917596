"""Where settings come from: YAML text and environment variables, as trees that know their source.

A layer keeps the line (or the variable) each of its keys came from, so that an error that only
shows after merging can still be traced to the place a person must mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from governance_flow.domain.errors import ConfigurationError

TOP_KEY = "flow_orchestrator"
STATES_KEY = "state_timeout_hours"
ENVIRONMENT_PREFIX = "GOVERNANCE_FLOW__"

MAX_DEPTH = 20
"""No setting is nested deeper; a deeper file is a mistake, and would exhaust the parser's stack."""

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings. ``origins`` says, for a path in ``data``, where exactly it stands."""

    source: str
    data: Mapping[str, Any]
    origins: Mapping[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: Iterable[str | int]) -> tuple[int, str]:
        """Return how much of ``path`` this layer has, and the place where that much stands."""
        known = {_spelled(place): text for place, text in self.origins.items()}
        wanted = _spelled(tuple(map(str, path)))
        for length in range(len(wanted), 0, -1):
            if wanted[:length] in known:
                return length, known[wanted[:length]]
        return 0, self.source


def _spelled(path: KeyPath) -> KeyPath:
    """Return the path as the model spells it: states may be given in lower case, too."""
    return (path[0], *map(str.upper, path[1:])) if path[:1] == (STATES_KEY,) else path


def layer_from_mapping(data: Mapping[str, Any]) -> Layer:
    """Take settings given in code, with or without the key that is on top of a file."""
    inner = data[TOP_KEY] if set(data) == {TOP_KEY} else data
    source = "the mapping given as configuration"
    if not isinstance(inner, Mapping):
        raise ConfigurationError(f"{TOP_KEY}: expected a mapping ({source})", paths=(TOP_KEY,))
    origins: dict[KeyPath, str] = {}
    _note_origins(inner, (), source, origins)
    return Layer(source, inner, origins)


def layer_from_yaml(text: str, source: str) -> Layer:
    """Read a configuration file's text.

    Raises:
        ConfigurationError: it is not YAML, not a mapping under ``flow_orchestrator``, names a key
            twice, or uses an anchor; the message says where.
    """
    try:
        node = _compose(text, source)
        if node is None:
            raise ConfigurationError(
                f"{source} is empty; it should begin with {TOP_KEY}:", paths=(TOP_KEY,)
            )
        origins: dict[KeyPath, str] = {}
        _walk(node, (), source, origins)
        data = _construct(node)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not valid YAML: {_describe(error)}") from error
    if not isinstance(data, dict) or not data:
        raise ConfigurationError(
            f"{source}: expected a mapping with the key {TOP_KEY}, but found {_kind(data)}",
            paths=(TOP_KEY,),
        )
    others = [str(key) for key in data if key != TOP_KEY]
    if others:
        place = origins.get((others[0],), source)
        raise ConfigurationError(
            f"{others[0]}: unknown key at the top ({place}); "
            f"allowed is {TOP_KEY}, and everything else below it",
            paths=(others[0],),
        )
    inner = {} if data[TOP_KEY] is None else data[TOP_KEY]
    if not isinstance(inner, dict):
        raise ConfigurationError(
            f"{TOP_KEY}: expected a mapping, but found {_kind(inner)} ({origins[(TOP_KEY,)]})",
            paths=(TOP_KEY,),
        )
    return Layer(source, inner, {path[1:]: place for path, place in origins.items() if path[1:]})


def layer_from_environment(environ: Mapping[str, str]) -> Layer:
    """Collect the variables that begin with ``GOVERNANCE_FLOW__``; other ones are not ours.

    Raises:
        ConfigurationError: a name has an empty part, a value is not YAML, or two variables
            contradict each other.
    """
    data: dict[str, Any] = {}
    origins: dict[KeyPath, str] = {}
    # In order of name a parent comes before its children, which then refine it.
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).casefold().split("__"))
        if not all(path) or len(path) > MAX_DEPTH:
            raise ConfigurationError(
                f"the environment variable {name} names no setting: "
                f"write {ENVIRONMENT_PREFIX}RETRY__MAX_ATTEMPTS for retry.max_attempts"
            )
        source = f"the environment variable {name}"
        value = _environment_value(environ[name], source)
        branch = data
        for part in path[:-1]:
            below = branch.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigurationError(
                    f"{'.'.join((TOP_KEY, *path))}: {source} sets a key below a setting that "
                    f"another variable gives as {_kind(below)}",
                    paths=(".".join((TOP_KEY, *path)),),
                )
            branch = below
        branch[path[-1]] = value
        for length in range(1, len(path) + 1):
            origins[path[:length]] = source
        _note_origins(value, path, source, origins)
    return Layer("the environment", data, origins)


def _environment_value(text: str, source: str) -> Any:
    try:
        node = _compose(text, source)
        if node is None:
            return None
        _walk(node, (), source, {})
        return _construct(node)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not valid YAML: {_describe(error)}") from error


def _compose(text: str, source: str) -> yaml.Node | None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigurationError(
                f"{_place(event, source)}: "
                "anchors and aliases (& and *) are not supported here; write the value out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigurationError(
                f"{_place(event, source)}: nested deeper than {MAX_DEPTH} levels"
            )
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    return node


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except ValueError as error:
        # PyYAML lets through what int() and datetime() say about 2026-99-99 and the like.
        raise yaml.YAMLError(f"{error}") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: KeyPath, source: str, origins: dict[KeyPath, str]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            origins[(*path, str(index))] = _place(item, source)
            _walk(item, (*path, str(index)), source, origins)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            place = _place(key, source)
            if below in origins:
                raise ConfigurationError(
                    f"{'.'.join(below)}: given twice ({origins[below]}; again {place})",
                    paths=(".".join(below),),
                )
            origins[below] = place
            _walk(value, below, source, origins)


def _place(node: yaml.Node | yaml.Event, source: str) -> str:
    # The stubs allow for no mark; the parser always sets one.
    return source if node.start_mark is None else f"{source}, line {node.start_mark.line + 1}"


def _note_origins(value: Any, path: KeyPath, source: str, origins: dict[KeyPath, str]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            origins[(*path, str(key))] = source
            _note_origins(item, (*path, str(key)), source, origins)


def _describe(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem}, line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case list():
            return "a list"
        case Mapping():
            return "a mapping" if value else "an empty mapping"
        case _:
            return "a single value"
