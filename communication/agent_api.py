"""Routes that agents call. Every answer is small and every body is opaque: sealed for management.

Except for the trust statement and the first post of an enrolment, every request is signed
(`contracts.request_signature`, tag ``sekisho-agent``). A 202 is sent only once it is on disk.
What there is much of does not come here: polls and tokens (`fast_path`), reports (`report_path`).
"""

from uuid import UUID

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from communication.device_identity import asked
from communication.parts import Parts
from communication.responses import empty, message_response
from contracts import codec, keys
from contracts.agent import EnrolmentPost, SealedOrders
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, UnavailableError

bp = Blueprint("agent", __name__, url_prefix="/agent/v1")
ORDERS = 50
ORDERS_BYTES = 3 * 1024 * 1024
"""Most that one answer carries; the agent asks again from where it ends."""
ASK_AGAIN_SECONDS = 5
ENROLMENT_BYTES = 64 * 1024


@bp.get("/trust")
def trust() -> ResponseReturnValue:
    """Return management's signed statement: a compact JWS, as text/plain. Unsigned request."""
    statement = _parts().mailbox.find_trust()
    if statement is None:
        raise UnavailableError("Management has not told this server yet which keys hold.")
    return Response(statement, content_type="text/plain; charset=us-ascii")


@bp.post("/enrolments")
def post_enrolment() -> ResponseReturnValue:
    """Keep an `EnrolmentPost` (at most 64 KiB); 202 with Retry-After, also for a repeat.

    The request itself is not signed (the key is not known yet); what is sealed inside is. 429 when
    one address or all together posted too many; 401 when another key began this enrolment.
    """
    post = codec.read(EnrolmentPost, request.get_data(), ENROLMENT_BYTES)
    key = keys.public_jwk(keys.read_public(post.signing_key))
    parts, now = _parts(), utc_now()
    parts.count_enrolment(request.remote_addr or "", now)
    with parts.mailbox.writing("enrolment") as mailbox:
        mailbox.put_enrolment(post.enrolment_id, key, post.sealed, now)
    parts.inbound_came()
    return _ask_again()


@bp.get("/enrolments/<uuid:enrolment_id>")
def enrolment(enrolment_id: UUID) -> ResponseReturnValue:
    """Return 200 `SealedOrders` with management's answer, or 202 with Retry-After until it is here.

    Signed with the key of the enrolment, keyid = the enrolment's id. 401 when this server does not
    know the enrolment (any more): then the agent posts it again.
    """
    parts = _parts()
    parts.identity.enrolment(asked(request), enrolment_id)
    answer = parts.mailbox.list_answers(enrolment_id)
    return message_response(SealedOrders(orders=answer)) if answer else _ask_again()


@bp.get("/orders")
def orders() -> ResponseReturnValue:
    """Return `SealedOrders` above ``?after=`` of ``?epoch=``, oldest first; signed.

    At most 50 orders or 3 MiB, but at least one if there is any: ask again until none comes.
    Without an epoch everything that waits counts as above.
    """
    parts = _parts()
    device, _, _ = parts.identity.device(asked(request))
    epoch, after = _whole_number("epoch"), _whole_number("after")
    found = parts.mailbox.list_orders(device, epoch, after, ORDERS, ORDERS_BYTES)
    return message_response(SealedOrders(orders=found))


def _ask_again() -> Response:
    return empty(202, ("Retry-After", str(ASK_AGAIN_SECONDS)))


def _whole_number(name: str) -> int:
    text = request.args.get(name, "0")
    if not text.isdecimal() or len(text) > 16 or int(text) > 2**53:
        raise MalformedMessageError(f"{name} must be a whole number from 0 to 2^53.")
    return int(text)


def _parts() -> Parts:
    found: Parts = current_app.extensions["sekisho"]
    return found
