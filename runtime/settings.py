"""Settings come from the environment or one file and are parsed strictly, once, at start."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runtime.errors import ConfigurationError

T = TypeVar("T")
FILE_NAME = "sekisho.toml"
PARTS = ("signer", "communication", "connector", "gate")
"""Parts whose variables carry their name; management's carry none."""
MANAGEMENTS_OWN = frozenset({"connector_seconds", "signer_health_port"})
"""Management's although it begins like a part's."""
NO_SETTINGS = re.compile(
    r"home|supervised|held|web_parent|crash_.*|soak_minutes|update_passphrase|remote|token"
)
"""Variables of ours that are read elsewhere; ``token`` stands in the examples of the API."""


def load(
    kind: type[T], part: str = "", environment: Mapping[str, str] | None = None, **fixed: object
) -> T:
    """Return *kind* (a frozen dataclass) filled from *fixed*, the environment and the file.

    Field ``port`` of part ``communication`` is read from ``SEKISHO_COMMUNICATION_PORT``, else from
    ``port`` in section ``[communication]`` of ``sekisho.toml`` in the data folder, else its default
    holds; without a part, from ``SEKISHO_PORT`` and the top of the file. *fixed* (the command line)
    wins where it is not None. Raises ConfigurationError naming each bad or unknown value, also a
    variable with our prefix that no part reads.
    """
    environment = os.environ if environment is None else environment
    prefix = f"SEKISHO_{part.upper()}_" if part else "SEKISHO_"
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    _refuse_strange(environment, part, prefix, set(names))
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


def origins(
    kind: type[Any], folder: Path, environment: Mapping[str, str] | None = None, part: str = ""
) -> dict[str, str]:
    """Return whence each setting that is set comes: ``environment`` or ``file`` (in *folder*)."""
    environment = os.environ if environment is None else environment
    prefix = f"SEKISHO_{part.upper()}_" if part else "SEKISHO_"
    names = set(kind.__dataclass_fields__)
    in_file = dict.fromkeys(_section(folder, part, names), "file")
    return in_file | {n: "environment" for n in names if prefix + n.upper() in environment}


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the data folder: ``SEKISHO_HOME``, or ``var`` in the current folder."""
    environment = os.environ if environment is None else environment
    return Path(environment.get("SEKISHO_HOME") or "var").absolute()


def _refuse_strange(
    environment: Mapping[str, str], part: str, prefix: str, known: set[str]
) -> None:
    """Refuse a variable that nobody reads: a mistyped setting must not be ignored silently."""
    ours = {v.removeprefix(prefix).lower() for v in environment if v.startswith(prefix)}
    strange = {
        name
        for name in ours - known
        if not (f"{part}_{name}" in MANAGEMENTS_OWN if part else _is_of_others(name))
    }
    if strange:
        wrong = "; ".join(_hint(prefix, name, known) for name in sorted(strange))
        raise ConfigurationError(f"Unknown setting in the environment: {wrong}.")


def _is_of_others(name: str) -> bool:
    return bool(NO_SETTINGS.fullmatch(name)) or name.startswith(tuple(f"{p}_" for p in PARTS))


def _hint(prefix: str, name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    more = f" (did you mean {prefix}{near[0].upper()}?)" if near else ""
    return f"{prefix}{name.upper()}{more}"


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
