"""Routes that management calls: collect reports, leave orders, say which devices may come.

Every request is signed with the one link key that was pinned at pairing (tag ``sekisho-link``,
keyid = the key's thumbprint); before pairing every call is refused with the reason.
"""

import time
from datetime import UTC, datetime
from importlib import metadata

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from communication import pairing_code, wsgi
from communication.answer import Answer
from communication.device_identity import ForeignKeyError, asked, nonce_until
from communication.mailbox import Mailbox
from communication.owner import INSTANCE
from communication.parts import Parts
from communication.responses import empty, message_response
from contracts import codec
from contracts.link import (
    BATCH,
    InboundBatch,
    KnownDevices,
    LiveDevices,
    OutboundBatch,
    RelayStatus,
    Rival,
    SeenBatch,
    Taken,
    Trust,
)
from contracts.request_signature import Signed
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("link", __name__, url_prefix="/link/v1")
INBOUND_BYTES = 3_500_000
"""Most that one batch carries, so that it stays below `codec.MAXIMUM_BYTES`."""
LONGEST_WAIT = 55


@bp.get("/status")
def status() -> ResponseReturnValue:
    """Return `RelayStatus`: also how management notices that a relay lost its mailbox."""
    parts, _ = allowed()
    inbound, outbound, devices, as_of = parts.mailbox.counts()
    shown, other = parts.certificate(), parts.owner.rival()
    rival = None
    if other is not None:
        rival = Rival(at=other.at, address=other.address, same_keys=other.instance is not None)
    return message_response(
        RelayStatus(
            version=metadata.version("sekisho"),
            started_at=parts.started_at,
            now=utc_now(),
            inbound_waiting=inbound,
            outbound_waiting=outbound,
            devices_known=devices,
            devices_as_of=as_of,
            certificate_sha256=pairing_code.sha256(shown) if shown else None,
            certificate_until=shown.not_valid_after_utc if shown else None,
            settings=parts.told(),
            rival=rival,
            download=parts.downloads.current.tag if parts.downloads.current else "",
            log_level=parts.logging.level(),
        )
    )


@bp.get("/inbound")
def inbound() -> ResponseReturnValue:
    """Return an `InboundBatch`, oldest first: ``?limit=`` (1 to 200), at most 3.5 MB.

    ``?wait=`` (0 to 55 seconds) holds an empty answer back until something comes or time is up.
    The same messages come again until they are posted to ``/inbound/taken``.
    """
    parts, _ = allowed()
    limit, wait = _whole_number("limit", BATCH, BATCH), _whole_number("wait", 0, LONGEST_WAIT)
    found = parts.mailbox.list_inbound(max(1, limit), INBOUND_BYTES)
    if wait and not found:
        request.environ[wsgi.LOOK_AGAIN] = wsgi.LookAgain(
            wait=lambda: parts.wait_for_inbound(wait),
            look=lambda: _batch(parts.mailbox, limit),
        )
    return message_response(InboundBatch(items=found))


def _batch(mailbox: Mailbox, limit: int) -> Answer:
    found = InboundBatch(items=mailbox.list_inbound(max(1, limit), INBOUND_BYTES))
    return Answer(200, [("Content-Type", "application/json")], codec.write(found))


@bp.post("/inbound/taken")
def taken() -> ResponseReturnValue:
    """Forget what `Taken` names; ids that are not here are ignored. 204."""
    parts, signed = allowed()
    message = codec.read(Taken, request.get_data())
    with parts.mailbox.writing("taken") as mailbox:
        use_nonce(mailbox, signed)
        mailbox.forget_inbound(message.ids)
    return empty(204)


@bp.post("/outbound")
def outbound() -> ResponseReturnValue:
    """Discard, then keep what `OutboundBatch` names; 204 once both are on disk.

    507 when devices left too much uncollected: then nothing of the batch was kept, but its discards
    hold, so that room is made.
    """
    parts, signed = allowed()
    message = codec.read(OutboundBatch, request.get_data())
    with parts.mailbox.writing("discards") as mailbox:
        use_nonce(mailbox, signed)
        mailbox.discard(message.discards)
    parts.board.read_orders(gone.recipient for gone in message.discards)
    if message.items:
        with parts.mailbox.writing("orders") as mailbox:
            mailbox.put_outbound(message.items)
        parts.board.read_orders(item.recipient for item in message.items)
    return empty(204)


@bp.post("/devices")
def devices() -> ResponseReturnValue:
    """Add and change `KnownDevices`; one that is no longer active is refused from now on. 204."""
    parts, signed = allowed()
    message = codec.read(KnownDevices, request.get_data())
    with parts.mailbox.writing("devices") as mailbox:
        use_nonce(mailbox, signed)
        mailbox.put_devices(message.devices, message.as_of)
    changed = [device.device_id for device in message.devices]
    parts.board.read_devices(changed)
    parts.board.read_orders(changed)
    return empty(204)


@bp.post("/live")
def live() -> ResponseReturnValue:
    """Let `LiveDevices` poll quickly for a while; what is not known here is ignored. 204."""
    parts, _ = allowed()
    message = codec.read(LiveDevices, request.get_data())
    parts.board.make_live(message.devices, time.time() + message.seconds)
    return empty(204)


@bp.put("/trust")
def trust() -> ResponseReturnValue:
    """Keep the `Trust` statement that any device may read. 204."""
    parts, signed = allowed()
    message = codec.read(Trust, request.get_data())
    with parts.mailbox.writing("trust") as mailbox:
        use_nonce(mailbox, signed)
        mailbox.put_trust(message.statement)
    return empty(204)


@bp.get("/seen")
def seen() -> ResponseReturnValue:
    """Return a `SeenBatch` of the devices that polled after ``?since=`` (RFC 3339), oldest first.

    At most 10,000; ask again from the last one's instant. Polls are noted every few seconds.
    """
    parts, _ = allowed()
    return message_response(SeenBatch(devices=parts.mailbox.list_seen(_instant("since"))))


def allowed() -> tuple[Parts, Signed]:
    """Return what routes work with if the one management server asks, and no second one."""
    parts: Parts = current_app.extensions["sekisho"]
    request_, now = asked(request), utc_now()
    try:
        signed = parts.identity.management(request_)
    except ForeignKeyError:
        parts.owner.note_stranger(request_.address, now)
        raise
    parts.owner.check(request.headers.get(INSTANCE, "")[:100], request_.address, now)
    parts.management_came(now.timestamp())
    return parts, signed


def use_nonce(mailbox: Mailbox, signed: Signed) -> None:
    """Refuse a writing request that was carried out before, also after a restart."""
    mailbox.use_nonce(signed.key_id, signed.nonce, nonce_until(signed))


def _whole_number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isdecimal() or len(text) > 16 or int(text) > most:
        raise MalformedMessageError(f"{name} must be a whole number from 0 to {most}.")
    return int(text)


def _instant(name: str) -> datetime:
    text = request.args.get(name)
    if text is None:
        return datetime(1970, 1, 1, tzinfo=UTC)
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # "+00:00" reads as " 00:00" in a query
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise MalformedMessageError(f"{name} must be an instant like 2026-01-31T12:00:00Z.")
    return at
