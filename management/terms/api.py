"""The API's view of the terms of use."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, operation
from management.audit.notes import note
from management.terms import queries, service
from management.terms.models import TermsVersion
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("terms_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTerms:
    """Terms of use as HTML; what may not stay of it is removed."""

    __pydantic_config__ = STRICT

    html: Annotated[str, Field(min_length=1, max_length=64_000, pattern=r"^[^\x00]*$")]
    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    ask_again: bool = False
    """Devices that are enrolled are asked too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsAnswer:
    """One version and how enrolled devices answered it."""

    version: int
    title: str
    sha256: str
    ask_again: bool
    published_at: datetime
    published_by: str
    withdrawn_at: datetime | None
    accepted: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsList:
    """All versions, the newest first, and which one holds."""

    items: tuple[TermsAnswer, ...]
    current: int | None
    next: str | None = None


@operation(bp, "/terms-of-use", Permission.VIEW, paged_by="version")
def list_terms() -> TermsList:
    """List the versions of the terms of use."""
    with reading() as session:
        current, answers = queries.current_terms(session), queries.count_answers(session)
        found = queries.list_terms(session)
    return TermsList(
        items=tuple(_answer(one, *answers.get(one.version, (0, 0))) for one in found),
        current=current.version if current else None,
    )


@operation(bp, "/terms-of-use", Permission.CHANGE_SETTINGS, "POST", 201, (409,))
def publish_terms(body: NewTerms) -> TermsAnswer:
    """Let a new version hold."""
    with transaction("publish terms of use") as session:
        made = service.publish(
            session,
            body.html.encode("utf-8", "replace"),
            body.title,
            body.ask_again,
            signed_in_name(),
            utc_now(),
        )
        note(session, "terms.publish", made.version, sha256=made.sha256, again=made.ask_again)
    return _answer(made, 0, 0)


@operation(bp, "/terms-of-use/withdraw", Permission.CHANGE_SETTINGS, "POST", refusals=(404, 409))
def withdraw_terms() -> TermsAnswer:
    """Let whoever enrols accept nothing; answers the version that held."""
    with transaction("withdraw terms of use") as session:
        found = service.withdraw(session, signed_in_name(), utc_now())
        note(session, "terms.withdraw", found.version)
        return _answer(found, *queries.count_answers(session).get(found.version, (0, 0)))


def _answer(one: TermsVersion, accepted: int, refused: int) -> TermsAnswer:
    return TermsAnswer(
        version=one.version,
        title=one.title,
        sha256=one.sha256,
        ask_again=one.ask_again,
        published_at=one.published_at,
        published_by=one.published_by,
        withdrawn_at=one.withdrawn_at,
        accepted=accepted,
        refused=refused,
    )
