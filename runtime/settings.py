"""Settings come from the environment or one file and are parsed strictly, once, at start."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runtime.errors import ConfigurationError

T = TypeVar("T")
FILE_NAME = "sekisho.toml"


def load(
    kind: type[T], part: str = "", environment: Mapping[str, str] | None = None, **fixed: object
) -> T:
    """Return *kind* (a frozen dataclass) filled from *fixed*, the environment and the file.

    Field ``port`` of part ``communication`` is read from ``SEKISHO_COMMUNICATION_PORT``, else from
    ``port`` in section ``[communication]`` of ``sekisho.toml`` in the data folder, else its default
    holds; without a part, from ``SEKISHO_PORT`` and the top of the file. *fixed* (the command line)
    wins where it is not None. Raises ConfigurationError naming each bad or unknown value.
    """
    environment = os.environ if environment is None else environment
    prefix = f"SEKISHO_{part.upper()}_" if part else "SEKISHO_"
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    from_file = _section(home(environment), part, set(names))
    from_environment = {
        name: environment[prefix + name.upper()]
        for name in names
        if prefix + name.upper() in environment
    }
    given = {k: v for k, v in fixed.items() if v is not None}
    try:
        loaded: T = _adapter(kind).validate_python({**from_file, **from_environment, **given})
    except ValidationError as error:
        raise ConfigurationError(_sentence(prefix, error)) from None
    return loaded


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the data folder: ``SEKISHO_HOME``, or ``var`` in the current folder."""
    environment = os.environ if environment is None else environment
    return Path(environment.get("SEKISHO_HOME") or "var").absolute()


def _section(folder: Path, part: str, known: set[str]) -> dict[str, Any]:
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{FILE_NAME} cannot be read: {error}") from None
    section = whole.get(part, {}) if part else _top(whole)
    if strange := sorted(set(section) - known):
        raise ConfigurationError(f"{FILE_NAME} names unknown settings: {', '.join(strange)}.")
    return section


def _top(whole: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if not isinstance(value, dict)}


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Return the adapter of *kind*, made once: making one is slow."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _sentence(prefix: str, error: ValidationError) -> str:
    found = (
        f"{prefix}{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )
    return "Wrong setting. " + "; ".join(found)
