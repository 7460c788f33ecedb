"""Whom to believe: from one signed statement of management to the next, by what was promised.

Devices and connectors pin management's order-signing key once and then follow it. Pure.
"""

from joserfc.jwk import ECKey

from contracts import codec, envelope, keys
from contracts.trust import Handover, TrustStatement
from runtime.errors import RefusedError, UnauthenticatedError


def read_statement(token: str, fingerprint: str) -> TrustStatement:
    """Return the statement in *token*.

    Raises UnauthenticatedError unless the key that the statement itself names as management's
    order-signing key has *fingerprint* and signed it.
    """
    statement = codec.read(TrustStatement, envelope.unverified_payload(token))
    signer = keys.read_public(statement.order_signing_key)
    if keys.thumbprint(signer) != fingerprint:
        raise UnauthenticatedError(
            "The relay speaks for another management: its key is not the one in the enrolment code."
        )
    envelope.verify(token, envelope.TRUST, signer)
    keys.read_public(statement.encryption_key)
    return statement


def follow(known: TrustStatement, token: str) -> TrustStatement:
    """Return the newer statement in *token*, by the known key or by one that follows it.

    Each key named its successor by hash before anybody could know it, and that word is final: a
    statement of the same key that names another successor was made by a thief.
    """
    statement = codec.read(TrustStatement, envelope.unverified_payload(token))
    now, then = (keys.thumbprint(keys.read_public(one.order_signing_key))
                 for one in (statement, known))  # fmt: skip
    if now == then:
        read_statement(token, then)
        if statement.successor_thumbprint != known.successor_thumbprint:
            raise UnauthenticatedError("The statement names another successor than was promised.")
        return statement
    if _heir(known.successor_thumbprint, statement.succession) != now:
        raise UnauthenticatedError("The statement is signed with a key that was never promised.")
    return read_statement(token, now)


def follow_key(pinned: ECKey, token: str) -> TrustStatement:
    """Return the statement in *token*, by the *pinned* key or by one that it handed over to.

    For whoever knows the key and heard of no promise yet; afterwards `follow` is stricter.
    """
    statement = codec.read(TrustStatement, envelope.unverified_payload(token))
    now = keys.thumbprint(keys.read_public(statement.order_signing_key))
    if (
        now != keys.thumbprint(pinned)
        and _heir(keys.thumbprint(pinned), statement.succession) != now
    ):
        raise UnauthenticatedError("The statement is signed with a key that was never promised.")
    return read_statement(token, now)


def _heir(promised: str, succession: tuple[str, ...]) -> str:
    """Return the thumbprint to which the chain leads from the promised key, key by key."""
    for token in succession:
        said = codec.read(Handover, envelope.unverified_payload(token))
        signer = keys.read_public(said.order_signing_key)
        if keys.thumbprint(signer) == promised:
            envelope.verify(token, envelope.HANDOVER, signer)
            promised = said.successor_thumbprint
    return promised


def former_keys(statement: TrustStatement) -> list[ECKey]:
    """Return the order-signing keys that the present one followed."""
    said = (codec.read(Handover, envelope.unverified_payload(one)) for one in statement.succession)
    return [keys.read_public(one.order_signing_key) for one in said]


def newer(current: TrustStatement, offered: TrustStatement) -> bool:
    """Is *offered* to be taken? RefusedError when it is older than *current*, or rewritten."""
    if offered.issue < current.issue:
        raise RefusedError(
            f"The relay offers trust statement {offered.issue}, but {current.issue} is known."
        )
    if offered.issue == current.issue and offered != current:
        raise RefusedError(f"Two different trust statements are numbered {offered.issue}.")
    return offered.issue > current.issue
