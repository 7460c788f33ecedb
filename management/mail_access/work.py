"""Background work on mail: decides access, and notes what mail servers say."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from management.context import Context
from management.devices.fact_log import record_facts
from management.devices.queries import get_facts, lock_device
from management.devices.rules import EXCHANGE, Fact, FactKind
from management.mail_access import decisions, queries, wiping
from management.progress import said as _l
from runtime.clock import utc_now

Progress = Callable[[str], None]
LIMIT = 500


def decide(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Bring wanted mail access up to date; repeating it is harmless.

    *payload*: ``device_ids`` (texts) decides what these devices touch, ``everything`` all
    partnerships; whatever fell due is decided in any case. ``renewed``: the devices have another
    certificate.
    """
    if device_ids := payload.get("device_ids"):
        with context.database.transaction("decide mail access of devices") as session:
            ids = [UUID(str(one)) for one in device_ids]
            decisions.decide_for_devices(session, ids, utc_now())
            if payload.get("renewed"):  # gates compare the certificate that a phone shows
                queries.bump(session, queries.connectors_of(session, ids))
    if payload.get("everything"):
        _decide_everything(context, progress)
    _decide_due(context, progress)


def _decide_everything(context: Context, progress: Progress) -> None:
    after: int | None = 0
    number = 0
    while after is not None:
        with context.database.transaction("decide all mail access") as session:
            after = decisions.decide_from(session, after, utc_now(), LIMIT)
        number += LIMIT if after is not None else 0
        progress(_l("Decided about %(count)s phones.", count=number))


def _decide_due(context: Context, progress: Progress) -> None:
    looked_at = LIMIT
    while looked_at == LIMIT:
        with context.database.transaction("decide mail access that is due") as session:
            looked_at = decisions.decide_due(session, utc_now(), LIMIT)
        progress(_l("Decided about %(count)s phones whose time had come.", count=looked_at))


def sign_wipes(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Have waiting wipes through mail servers signed; those that limits hold back wait."""
    count = wiping.sign_queued(context, utc_now())
    progress(_l("%(count)s wipes signed.", count=count))


def say(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Note as facts what a mail server said of the mail of our devices; what is newer stays."""
    said_at = datetime.fromisoformat(payload["said_at"])
    for one in payload["states"]:
        device_id = UUID(one["device_id"])
        said = Fact({"mailbox": one["mailbox"], "state": one["state"]}, EXCHANGE, said_at)
        with context.database.transaction("note mail state") as session:
            lock_device(session, device_id)
            known = get_facts(session, device_id).get(FactKind.MAIL_STATE)
            if known is None or known.said_at <= said_at:
                record_facts(session, device_id, {FactKind.MAIL_STATE: said}, utc_now())
