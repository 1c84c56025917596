"""How each branch service is reached: built in, imported, called over HTTP, or fetched from us.

A secret is never written here: a key ending in ``_env`` holds the *name* of the environment
variable that has it, so that a configuration can be recorded, hashed and shown to anyone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from governance_flow.domain.frozen import FrozenMapping

ATTEMPT_TIMEOUT_SECONDS = 300.0
"""How long a branch may work on one attempt, unless configured otherwise."""

YEAR_SECONDS = 366 * 24 * 3600.0
"""No duration in seconds may be longer: a longer one is a slip of the keyboard."""

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class ConfigurationModel(BaseModel):
    """Base of every part of the configuration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        serialize_by_alias=True,
        validate_by_alias=True,
        validate_by_name=True,
    )


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, usable = None, False
    if parts is None or not usable or re.search(r"\s", url):
        raise PydanticCustomError(
            "web_address", "Input should be an address beginning with http:// or https://"
        )
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "web_address",
            "Input should not contain a user name or password; "
            "put the secret into an environment variable and give that variable's name",
        )
    return url


def _import_target(target: str) -> str:
    if _TARGET.fullmatch(target) is None:
        raise PydanticCustomError(
            "import_target", "Input should have the form package.module:Name, e.g. acme.duke:Duke"
        )
    return target


WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address)]
EnvironmentName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)
]
"""The name of an environment variable."""

# Strict, because YAML's `true` and "5" are not numbers and were not meant as such.
PositiveSeconds = Annotated[float, Field(gt=0, le=YEAR_SECONDS, strict=True)]
Seconds = Annotated[float, Field(ge=0, le=YEAR_SECONDS, strict=True)]

Options = Annotated[
    Mapping[str, JsonValue], AfterValidator(FrozenMapping), PlainSerializer(dict, return_type=dict)
]


class BuiltinBranch(ConfigurationModel):
    """The service that comes with Governance Flow."""

    kind: Literal["builtin"] = "builtin"
    attempt_timeout_seconds: PositiveSeconds = ATTEMPT_TIMEOUT_SECONDS


class PythonBranch(ConfigurationModel):
    """A class or factory imported into the worker and called with ``options`` as keywords."""

    kind: Literal["python"] = "python"
    target: Annotated[str, StringConstraints(max_length=500), AfterValidator(_import_target)]
    options: Options = Field(default_factory=FrozenMapping)
    attempt_timeout_seconds: PositiveSeconds = ATTEMPT_TIMEOUT_SECONDS


class HttpBranch(ConfigurationModel):
    """A service that assignments are POSTed to; it replies now or completes later."""

    kind: Literal["http"] = "http"
    url: WebAddress
    secret_env: EnvironmentName | None = None
    attempt_timeout_seconds: PositiveSeconds = ATTEMPT_TIMEOUT_SECONDS


class ExternalBranch(ConfigurationModel):
    """People or programs that fetch assignments themselves, and may take any time by default."""

    kind: Literal["external"] = "external"
    attempt_timeout_seconds: PositiveSeconds | None = None


BranchConfig = Annotated[
    BuiltinBranch | PythonBranch | HttpBranch | ExternalBranch, Field(discriminator="kind")
]
"""Any one of the kinds, told apart by ``kind``."""
