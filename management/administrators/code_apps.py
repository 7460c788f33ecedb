"""The authenticator app of an account: replaced, taken off, set up again.

The signer keeps the seeds, one for each of two places an account has there: the app that counts,
and the one that is to replace it. So nobody is without an app while they set up the next one. A
place is forgotten once the change is kept: a seed that does not count harms less than one missing.
"""

from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from management.administrators import passkeys
from management.administrators.models import Administrator
from management.signer_client import SignerClient
from runtime.errors import NotFoundError, RefusedError

LAST_PROOF = (
    "The app is your only second proof. Register a passkey first, or replace the app by another "
    "one."
)


def place_of(owner: Administrator) -> UUID:
    """Return under which id the signer keeps the app that counts."""
    return _other(owner.id) if owner.second_place else owner.id


def check(signer: SignerClient, owner: Administrator, code: str) -> bool:
    """Tell whether *code* is right and new; RefusedError, NotFoundError as the signer says."""
    return owner.uses_codes and signer.check_totp(place_of(owner), code)


def begin(signer: SignerClient, owner: Administrator) -> str:
    """Return the otpauth URI of a new app; what was begun before and not finished ends."""
    signer.forget_totp(_next(owner))
    return again(signer, owner)


def again(signer: SignerClient, owner: Administrator) -> str:
    """Return the URI that `begin` returned last."""
    return signer.begin_totp(_next(owner), owner.name)


def is_confirmed(signer: SignerClient, owner: Administrator, code: str) -> bool:
    """Tell whether the new app shows *code* now."""
    try:
        return signer.check_totp(_next(owner), code)
    except NotFoundError:
        return False


def change_over(owner: Administrator) -> UUID:
    """Let the new app count from now on; return the old one's place, to be forgotten."""
    old = place_of(owner)
    owner.second_place, owner.uses_codes = not owner.second_place, True
    return old


def take_off(session: Session, owner: Administrator) -> UUID:
    """Let codes of the app count no more; return its place, to be forgotten.

    RefusedError when there is no passkey.
    """
    if not owner.uses_codes:
        raise RefusedError("There is no authenticator app on your account.")
    if not passkeys.count(session, owner.id):
        raise RefusedError(LAST_PROOF)
    owner.uses_codes = False
    return place_of(owner)


def forget(signer: SignerClient, owner: Administrator) -> None:
    """Forget both places: the account is set up anew."""
    owner.second_place, owner.uses_codes = False, True
    for place in (owner.id, _other(owner.id)):
        signer.forget_totp(place)


def _next(owner: Administrator) -> UUID:
    return owner.id if owner.second_place else _other(owner.id)


def _other(owner: UUID) -> UUID:
    return UUID(bytes=sha256(f"second place of {owner}".encode()).digest()[:16], version=4)
