"""Routes with which management sets this server up: pairing, TLS certificate, ports and name."""

from importlib import metadata

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from communication import pairing, pairing_code, told
from communication.link_api import allowed, use_nonce
from communication.parts import Parts
from communication.responses import empty, message_response
from contracts import codec, keys
from contracts.link import RelayCertificate, RelaySettings
from contracts.relay_pairing import PairingAnswer, PairingRequest
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, RefusedError

bp = Blueprint("setup", __name__, url_prefix="/link/v1")


@bp.post("/pairing")
def pair() -> ResponseReturnValue:
    """Belong to the management server that proves the code on this server's screen; 403 else.

    One that belonged to another management server forgets what it held for that one.
    """
    parts: Parts = current_app.extensions["sekisho"]
    asked = codec.read(PairingRequest, request.get_data())
    before = parts.identity.owner_thumbprint()
    paired = pairing_code.use(parts.settings.folder, asked, utc_now())
    if before not in ("", keys.thumbprint(paired.key)):
        parts.forget_everything()
    parts.identity.belong_to(paired.key)
    return message_response(PairingAnswer(proof=paired.proof, version=metadata.version("sekisho")))


@bp.put("/certificate")
def certificate() -> ResponseReturnValue:
    """Show devices another `RelayCertificate` from now on; no request fails meanwhile. 204."""
    parts, signed = allowed()
    message = codec.read(RelayCertificate, request.get_data())
    with parts.mailbox.writing("certificate") as mailbox:
        use_nonce(mailbox, signed)
    try:
        pairing.prepare_tls(parts.settings.folder, message.chain, message.key)
    except ConfigurationError as error:
        raise RefusedError(str(error)) from None
    parts.ports.renew("devices")
    return empty(204)


@bp.put("/settings")
def settings() -> ResponseReturnValue:
    """Listen where `RelaySettings` says, from now on and after every start. 204.

    409 when a port is taken; then everything stays as it was.
    """
    parts, signed = allowed()
    message = codec.read(RelaySettings, request.get_data())
    with parts.mailbox.writing("settings") as mailbox:
        use_nonce(mailbox, signed)
    try:
        parts.ports.set(told.ports(message))
    except ConfigurationError as error:
        raise RefusedError(str(error)) from None
    told.keep(parts.settings.folder, message)
    parts.public_name = message.public_name
    return empty(204)
