"""Bodies that several operations take; a name of a body is there once in the document."""

from dataclasses import dataclass

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
