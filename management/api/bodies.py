"""What several operations take or answer; a name is there once in the document."""

from dataclasses import dataclass
from typing import ClassVar

from management.api.operations import STRICT, Code, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """Why; it goes into the audit trail."""

    __pydantic_config__ = STRICT

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That it is the caller who wants it."""

    __pydantic_config__ = STRICT

    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class MaybeProof:
    """That it is the caller who wants it, where what is wanted destroys; else leave it out."""

    __pydantic_config__ = STRICT
    MAY_MISS: ClassVar = True

    code: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountAnswer:
    """How many fit."""

    value: int
    capped: bool
    """At least so many: nobody counted on."""
