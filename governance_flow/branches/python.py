"""Branch services that are imported into the worker: ``kind: python`` in the configuration."""

from __future__ import annotations

import importlib
import inspect

from governance_flow.application.ports.branch_services import BranchService
from governance_flow.domain.branch_configuration import PythonBranch
from governance_flow.domain.errors import ConfigurationError


def load_service(service: str, branch: PythonBranch) -> BranchService:
    """Import ``package.module:Name``, call it with the options, and return the service it makes.

    Raises:
        ConfigurationError: it cannot be imported or called, or is no branch service; the message
            names the path in the configuration.
    """
    path = f"branches.{service}.target"
    module_name, _, name = branch.target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # Whatever a foreign module raises while it is imported: the operator is told.
        message = (
            f"{path}: {module_name} cannot be imported: {_said(error)}; "
            "is it installed, or its folder on PYTHONPATH?"
        )
        raise _wrong(service, branch, message) from error
    factory = getattr(module, name, None)
    if not callable(factory):
        problem = "is not there" if factory is None else "cannot be called"
        message = f"{path}: {name} {problem} in {module_name}; name a class or a factory"
        raise _wrong(service, branch, message)
    try:
        made: object = factory(**branch.options)
    except Exception as error:
        options = ", ".join(sorted(branch.options)) or "none"
        message = (
            f"{path}: {branch.target} failed with the options given ({options}): {_said(error)}"
        )
        raise _wrong(service, branch, message) from error
    return require_service(made, f"{path}: {branch.target}")


def require_service(candidate: object, what: str) -> BranchService:
    """Return ``candidate`` if it is a branch service.

    Raises:
        ConfigurationError: it has no ``async def perform(self, assignment)``; ``what`` says in the
            message whose fault that is.
    """
    if inspect.isclass(candidate) or not isinstance(candidate, BranchService):
        kind = candidate.__name__ if inspect.isclass(candidate) else type(candidate).__name__
        problem = f"the class {kind} itself" if inspect.isclass(candidate) else f"a {kind}"
        raise ConfigurationError(
            f"{what} is {problem}, and not a branch service: "
            "an object with `async def perform(self, assignment)`"
        )
    if not inspect.iscoroutinefunction(candidate.perform):
        raise ConfigurationError(
            f"{what}: perform of {type(candidate).__name__} must be `async def`"
        )
    return candidate


def _wrong(service: str, branch: PythonBranch, message: str) -> ConfigurationError:
    return ConfigurationError(message, service=service, target=branch.target)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
