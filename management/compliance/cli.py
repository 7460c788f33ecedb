"""`sekisho explain`: why a device stands as it does, or stood at a past instant."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from management import settings
from management.audit.looks import note_from_command_line
from management.compliance.explaining import Explanation
from management.compliance.explaining import explain as explained
from management.compliance.in_words import as_text
from management.compliance.judgement import write_consequence, write_undecided, write_violation
from management.context import Context, open_context
from management.devices.rules import write_fact
from management.listing.queries import list_devices
from management.listing.rules import DeviceFilter
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError

MOST_NAMED = 10


@click.command()
@click.argument("device")
@click.option("--at", "moment", metavar="TIME", help="A past instant (ISO 8601; UTC without zone).")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def explain(device: str, moment: str | None, as_json: bool) -> None:
    """Say how DEVICE stands and why: every broken rule, since when, and who said so.

    DEVICE is an id, or a part of the name, owner or serial number that fits one device only. The
    audit trail notes that you looked, before anything is shown.
    """
    context = open_context(settings.load())
    at = instant(moment) if moment else None
    try:
        with context.database.reading() as session:
            device_id = find_one(context, session, device)
            answer = explained(session, device_id, at, utc_now())
        note_from_command_line(context, "look.explanation", device_id)
    finally:
        context.database.close()
    fields = as_fields(answer)
    click.echo(json.dumps(fields, ensure_ascii=False, indent=2) if as_json else as_text(fields))


def instant(text: str) -> datetime:
    """Return *text* as an instant in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no instant; write it like 2026-01-31T12:00:00Z.", param_hint="--at"
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def find_one(context: Context, session: Session, named: str) -> UUID:
    """Return the id of the one device that *named* fits; it may be the id itself.

    RefusedError names those that fit when they are several; that is a look at them.
    """
    try:
        return UUID(named)
    except ValueError:
        pass
    found = list_devices(session, DeviceFilter(text=named), limit=MOST_NAMED)
    if not found:
        raise NotFoundError(f"No device fits {named!r}.")
    if len(found) > 1:
        told = {"filter": {"text": named[:200]}, "shown": len(found)}
        note_from_command_line(context, "look.list", "devices", **told)
        several = "; ".join(f"{one.device.name} = {one.device.id}" for one in found)
        raise RefusedError(f"Several devices fit {named!r}: {several}. Name one by its id.")
    return found[0].device.id


def as_fields(answer: Explanation) -> dict[str, Any]:
    """Return the explanation as plain JSON fields."""
    judged = answer.judgement
    return {
        "device": {
            "id": str(answer.device.id),
            "name": answer.device.name,
            "owner": answer.device.owner_address,
            "platform": answer.device.platform,
        },
        "at": answer.at.isoformat(),
        "state": judged.state.value,
        "since": judged.since.isoformat(),
        "risk": judged.risk.value,
        "policy": {
            "id": answer.asked.policy_id,
            "name": answer.asked.name,
            "version": answer.asked.version,
            "since": answer.asked.no_earlier(answer.asked.since).isoformat(),
        },
        "pattern_version": answer.pattern_version,
        "violations": [write_violation(violation) for violation in judged.violations],
        "undecided": [write_undecided(one) for one in judged.undecided],
        "consequences": [write_consequence(one) for one in judged.consequences],
        "missing": [kind.value for kind in judged.missing],
        "stale": [kind.value for kind in judged.stale],
        "next_due_at": judged.next_due_at.isoformat() if judged.next_due_at else None,
        "facts": {kind.value: write_fact(fact) for kind, fact in sorted(answer.facts.items())},
        "not_applicable": sorted(kind.value for kind in answer.not_applicable),
        "contradictions": [
            {
                "fact": one.kind.value,
                "said": write_fact(one.said),
                "proved": write_fact(one.proved),
                "counts": "proved" if one.is_settled else "said",
            }
            for one in answer.contradictions
        ],
    }
