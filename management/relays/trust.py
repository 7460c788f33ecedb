"""Management's signed statement about itself: a new issue whenever what it says changes."""

import json
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from contracts import codec, envelope
from contracts.agent import RelayEntry, TrustStatement
from contracts.keys import public_jwk
from management.keys import Keys
from management.relays.listing import entries as list_entries
from management.relays.models import TrustIssue
from management.relays.queries import find_trust
from management.signer_client import SignerClient


def current_trust(session: Session, keys: Keys, signer: SignerClient, now: datetime) -> TrustIssue:
    """Return the statement that every relay must hold, signed anew if its content changed.

    Its number is above every one that the signer signed: after a restore of the database too, for
    devices take no lower number.
    """
    status = signer.status()
    entries = list_entries(session, now)
    content = _hash(status, public_jwk(keys.encryption_key()), entries)
    found = find_trust(session)
    newest = found is not None and found.issue >= status["trust_issue"]
    if found is not None and newest and found.content_hash == content:
        return found
    issue = max(found.issue if found else 0, status["trust_issue"]) + 1
    statement = TrustStatement(
        issue=issue,
        issued_at=now,
        order_signing_key=status["public_key"],
        encryption_key=public_jwk(keys.encryption_key()),
        successor_thumbprint=status["successor_thumbprint"],
        relays=entries,
        succession=tuple(status["succession"]),
    )
    made = TrustIssue(
        issue=issue,
        content_hash=content,
        statement=signer.sign_trust(statement),
        issued_at=now,
    )
    session.add(made)
    session.flush()
    return made


def is_told(statement: str, url: str, ca_certificate: str) -> bool:
    """Tell whether a signed statement of ours says that the relay at *url* has this CA."""
    said = codec.read(TrustStatement, envelope.unverified_payload(statement))
    return any(
        relay.url == url and ca_certificate in relay.ca_certificates for relay in said.relays
    )


def _hash(
    status: dict[str, object], encryption_key: dict[str, str], entries: tuple[RelayEntry, ...]
) -> str:
    said = [
        status["public_key"],
        status["successor_thumbprint"],
        status["succession"],
        encryption_key,
        [[entry.url, str(entry.ends_at), *entry.ca_certificates] for entry in entries],
    ]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
