"""Proving again who one is by a passkey; see `step_up`."""

from management.access import signed_in
from management.administrators import challenges, passkeys
from management.administrators.passkey_site import site
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import ForbiddenError


def prove(said: str) -> None:
    """Let on whose own passkey answered; RefusedError, MalformedMessageError, ForbiddenError else.

    Nobody waits: a passkey cannot be guessed.
    """
    now = utc_now()
    challenge = challenges.take("step up", now)
    with reading() as session:
        shown = passkeys.check(session, site(), challenge, said)
    if shown.passkey.administrator_id != signed_in().administrator_id:
        raise ForbiddenError("This passkey is somebody else's. Nothing was changed.")
    with transaction("prove again by a passkey") as session:
        refused = passkeys.accept(session, context().keys, shown, challenge, visitor_address(), now)
    if refused:
        raise ForbiddenError(refused)
