"""What Exchange connectors call: ``/connector/v1/*``, every request signed, no session, no cookie.

The contract is `contracts.connector`. A request is signed with tag ``sekisho-connector`` by the key
of the connector that ``keyid`` names; the pairing request by the very key that it brings, under
that key's thumbprint. A nonce works once. Errors are RFC 9457 problem+json.
"""

from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from flask import Blueprint, Response, current_app, request, send_file
from flask.typing import ResponseReturnValue

from contracts import codec, request_signature
from contracts import connector as messages
from contracts import keys as jwk
from management.access import public
from management.administrators.rules import place_of
from management.mail_access import authorities, connectors, logs, queries, service, wiping
from management.relays.queries import find_trust
from management.updates import releases
from management.web import context, reading, transaction, visitor_address
from management.web_errors import problem
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError, UnauthenticatedError

bp = Blueprint("connector_api", __name__, url_prefix="/connector/v1")
"""Exempt from CSRF protection and sessions: a signature, not a cookie, says who asks."""

SIGNED = "every connector request carries a signature, which the view itself checks"
DECISIONS_TAKE = timedelta(minutes=2)
"""A decision bears the time at which its work began; it may wait so long to be stored."""
FAILED_PAIRINGS = 10
"""Wrong codes a minute from one address before this process hears no more of them from there."""

MOST_REMEMBERED = 5_000


class TooOftenError(RefusedError):
    """Too many wrong pairing codes came; asking again in a minute may work."""


@bp.errorhandler(TooOftenError)
def _too_often(error: TooOftenError) -> ResponseReturnValue:
    return problem(429, str(error)), 429, {**_PROBLEM, "Retry-After": "60"}


@bp.errorhandler(request_signature.ClockSkewError)
def _clock_skew(error: request_signature.ClockSkewError) -> ResponseReturnValue:
    return {**problem(401, str(error)), "type": "urn:sekisho:clock-skew"}, 401, _PROBLEM


_PROBLEM = {"Content-Type": "application/problem+json"}


@bp.get("/ca")
@public("a connector compares it with the fingerprint in its pairing code")
def certificate_authority() -> Response:
    """Answer the CA certificate (PEM) that certifies this console."""
    return Response(context().keys.ca_certificate(), mimetype="application/x-pem-file")


@bp.post("/pairings")
@public("the one-time pairing code is the permission")
def pair() -> Response:
    """Pair a connector: 201 `Paired`; 401 for a wrong code or signature; 429 after many."""
    now = utc_now()
    failures = _failures()
    place = place_of(visitor_address())
    failures.check(place, now)
    asked = codec.read(messages.PairingRequest, request.get_data())
    key = jwk.read_public(asked.key)
    thumbprint = jwk.thumbprint(key)
    raw = jwk.raw_public(key)
    _signature(lambda key_id: raw if key_id == thumbprint else None, now)
    try:
        order_key = context().signer.public_key()
        with transaction("pair a connector") as session:
            connector = connectors.pair(session, context().keys, asked, visitor_address(), now)
    except UnauthenticatedError:
        failures.add(place, now)
        raise
    return _json(messages.Paired(connector_id=connector.id, order_key=order_key), 201)


@bp.post("/partnerships")
@public(SIGNED)
def partnerships() -> ResponseReturnValue:
    """Take a `PartnershipBatch`: 204 once it is stored and decided."""
    now = utc_now()
    request.max_content_length = codec.MAXIMUM_BYTES
    caller = _caller(now)
    batch = codec.read(messages.PartnershipBatch, request.get_data())
    with transaction("take partnerships") as session:
        connector = connectors.note_call(session, caller, now)
        service.take_partnerships(session, connector, batch, now)
    return "", 204


@bp.get("/access")
@public(SIGNED)
def access() -> ResponseReturnValue:
    """Answer `WantedAccess`; 304 when ``If-None-Match`` names what the connector has already.

    ``?since=INSTANT`` asks only for what was decided since then (``ever``: for everything); such an
    answer carries its time, from which the next one may go on.
    """
    now = utc_now()
    caller = _caller(now)
    seconds = context().settings.connector_seconds
    since, says_when = _since(request.args.get("since", "")), "since" in request.args
    with transaction("answer wanted access") as session:
        connector = connectors.note_call(session, caller, now)
        found = service.wanted_access(session, connector, seconds, now, since, says_when)
        known = find_trust(session) if found.whole else None
        offered = authorities.offered(context().keys)
        found = replace(found, trust=known.statement if known else None, authorities=offered)
        body = codec.write(found)
    answer = Response(body, mimetype="application/json")
    answer.set_etag(sha256(body).hexdigest()[:32])
    return answer.make_conditional(request)


def _since(said: str) -> datetime | None:
    """Return the instant that a gate names, less what a decision may take to be stored."""
    if said in ("", "ever"):
        return None
    try:
        since = datetime.fromisoformat(said)
    except ValueError:
        raise MalformedMessageError("since is no instant.") from None
    if since.tzinfo is None:
        raise MalformedMessageError("since names no time zone.")
    return since - DECISIONS_TAKE


@bp.get("/mark")
@public(SIGNED)
def mark() -> Response:
    """Answer `AccessMark`. Reads only, so a signature that comes twice does no harm here."""
    now = utc_now()
    caller = UUID(_signature(_find_key, now).key_id)
    with reading() as session:
        found = service.access_mark(session, caller, now)
    return _json(messages.AccessMark(mark=found), 200)


@bp.post("/applied")
@public(SIGNED)
def applied() -> ResponseReturnValue:
    """Take an `AppliedBatch`: 204; repeating one changes nothing."""
    now = utc_now()
    caller = _caller(now)
    batch = codec.read(messages.AppliedBatch, request.get_data())
    with transaction("take applied access") as session:
        connector = connectors.note_call(session, caller, now)
        service.take_applied(session, connector, batch.applied, now)
    return "", 204


@bp.post("/synced")
@public(SIGNED)
def synced() -> ResponseReturnValue:
    """Take a `SyncedBatch`: 204; repeating one changes nothing."""
    now = utc_now()
    caller = _caller(now)
    batch = codec.read(messages.SyncedBatch, request.get_data())
    with transaction("take last syncs") as session:
        connector = connectors.note_call(session, caller, now)
        service.take_synced(session, connector, batch)
    return "", 204


@bp.post("/wipes")
@public(SIGNED)
def wipe_reports() -> ResponseReturnValue:
    """Take a `WipeReport`: 204; repeating one changes nothing."""
    now = utc_now()
    caller = _caller(now)
    report = codec.read(messages.WipeReport, request.get_data())
    with transaction("take a wipe report") as session:
        connector = connectors.note_call(session, caller, now)
        wiping.take_report(session, context().keys, connector, report, now)
    return "", 204


@bp.post("/logs/<uuid:order_id>/<name>")
@public(SIGNED)
def take_log(order_id: UUID, name: str) -> ResponseReturnValue:
    """Take the ZIP of a log that was ordered: 204; 409 when it is not wanted any more."""
    now = utc_now()
    request.max_content_length = messages.LARGEST_LOG_BYTES
    caller = _caller(now)
    with transaction("take a connector's log") as session:
        connector = connectors.note_call(session, caller, now)
        logs.take_log(session, connector, order_id, name, request.get_data(), now)
    return "", 204


@bp.get("/releases/metadata/<name>")
@public(SIGNED)
def release_list(name: str) -> Response:
    """Answer a signed list of the update source as it came; 404 when it is not here."""
    _enabled_caller(utc_now())
    with reading() as session:
        content = releases.list_file(session, context().settings, name)
    return Response(content, mimetype="application/json")


@bp.get("/releases/targets/server/<name>")
@public(SIGNED)
def release_wheel(name: str) -> Response:
    """Answer the wheel of the newest release; 404 for any other file."""
    _enabled_caller(utc_now())
    with reading() as session:
        path = releases.wheel_file(session, context().settings, name)
    return send_file(path, mimetype="application/octet-stream")


@bp.post("/status")
@public(SIGNED)
def status() -> ResponseReturnValue:
    """Take a `ConnectorStatus`: 204."""
    now = utc_now()
    caller = _caller(now)
    said = codec.read(messages.ConnectorStatus, request.get_data())
    with transaction("take connector status") as session:
        connectors.take_status(connectors.note_call(session, caller, now), said)
    return "", 204


def _caller(now: datetime) -> UUID:
    """Return the id of the connector that signed the request; its nonce is used up."""
    signed = _signature(_find_key, now)
    connector_id = UUID(signed.key_id)
    with transaction("use a nonce") as session:
        connectors.use_nonce(session, connector_id, signed.nonce, now)
    return connector_id


def _enabled_caller(now: datetime) -> None:
    caller = _caller(now)
    with reading() as session:
        connectors.require_enabled(queries.get_connector(session, caller))


def _find_key(key_id: str) -> EllipticCurvePublicKey | None:
    try:
        connector_id = UUID(key_id)
    except ValueError:
        return None
    with reading() as session:
        connector = queries.find_connector(session, connector_id)
        return None if connector is None else jwk.read_raw_public(connector.key)


def _signature(find_key: request_signature.FindKey, now: datetime) -> request_signature.Signed:
    return request_signature.verify_request(
        request.method,
        request.url,
        dict(request.headers),
        request.get_data(),
        find_key,
        request_signature.CONNECTOR,
        now,
    )


def _json(message: object, status: int) -> Response:
    return Response(codec.write(message), status, mimetype="application/json")


class _Failures:
    """Wrong pairing codes within the last minute, in this process, by where they came from."""

    def __init__(self) -> None:
        self._at: deque[tuple[datetime, str]] = deque(maxlen=MOST_REMEMBERED)
        self._lock = Lock()

    def check(self, place: str, now: datetime) -> None:
        """Raise TooOftenError while too many from *place* are remembered."""
        with self._lock:
            while self._at and (now - self._at[0][0]).total_seconds() > 60:
                self._at.popleft()
            if sum(one == place for _, one in self._at) >= FAILED_PAIRINGS:
                raise TooOftenError("Too many wrong pairing codes. Wait a minute and try again.")

    def add(self, place: str, now: datetime) -> None:
        """Remember one; beyond `MOST_REMEMBERED` the oldest is forgotten."""
        with self._lock:
            self._at.append((now, place))


def _failures() -> _Failures:
    found: _Failures = current_app.extensions.setdefault("pairing_failures", _Failures())
    return found
