"""One-time links, sign-in, sessions, tokens, and changes to administrators."""

from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from management import passwords
from management.access import Role
from management.administrators import (
    code_apps,
    passkeys,
    queries,
    recovery_codes,
    rules,
    sources,
)
from management.administrators.models import (
    LOCAL,
    NO_PASSWORD,
    Administrator,
    AdminSession,
    ApiToken,
    OneTimeLink,
)
from management.administrators.roles import keep_an_owner
from management.administrators.token_rules import ALL
from management.signer_client import SignerClient
from runtime.errors import NotFoundError, RefusedError

TOKEN_LIVES = timedelta(days=365)


# --- one-time links ---


def make_setup_link(session: Session, now: datetime) -> str:
    """Return a token for the first administrator's link; earlier ones die.

    RefusedError once there is an administrator.
    """
    if queries.count_administrators(session):
        raise RefusedError("There is an administrator already; use `sekisho admin recover`.")
    session.execute(delete(OneTimeLink).where(OneTimeLink.purpose == "setup"))
    return _make_link(session, "setup", None, now)


def make_join_link(session: Session, administrator: Administrator, now: datetime) -> str:
    """Return a token with which a new administrator sets password and code."""
    return _make_link(session, "join", administrator.id, now)


def make_recovery_link(
    session: Session, signer: SignerClient, administrator: Administrator, now: datetime
) -> str:
    """Return a token for a link that sets a new password and code; the old ones end at once.

    From then on the account is proved here, whoever did it before.
    So do passkeys, recovery codes, sessions and API tokens: whoever had the account must not keep
    a way in.
    """
    administrator.source, administrator.password_hash = LOCAL, NO_PASSWORD
    administrator.disabled_at = None
    passkeys.remove_all(session, administrator.id)
    recovery_codes.forget(session, administrator.id)
    code_apps.forget(signer, administrator)
    end_sessions(session, administrator.id)
    session.execute(
        update(ApiToken)
        .where(ApiToken.administrator_id == administrator.id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    session.execute(delete(OneTimeLink).where(OneTimeLink.administrator_id == administrator.id))
    return _make_link(session, "recover", administrator.id, now)


def _make_link(session: Session, purpose: str, owner: UUID | None, now: datetime) -> str:
    token = token_urlsafe(32)
    session.add(
        OneTimeLink(
            token_hash=queries.hash_of(token),
            purpose=purpose,
            administrator_id=owner,
            created_at=now,
            expires_at=now + rules.LINK_LIVES,
        )
    )
    session.flush()
    return token


def link_owner(link: OneTimeLink) -> UUID:
    """Return the id of the administrator whom *link* is for; for ``setup`` it follows from it."""
    if link.administrator_id is not None:
        return link.administrator_id
    return UUID(bytes=sha256(link.token_hash.encode()).digest()[:16], version=4)


def use_link(
    session: Session, token: str, name: str, password: str, now: datetime
) -> Administrator | None:
    """Spend the link: make or re-arm its administrator; None when it is dead already.

    The UPDATE decides between two people who use one link at once.
    """
    spent = session.execute(
        update(OneTimeLink)
        .where(
            OneTimeLink.token_hash == queries.hash_of(token),
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > now,
        )
        .values(used_at=now)
    )
    link = session.get(OneTimeLink, queries.hash_of(token))
    if spent.rowcount != 1 or link is None:  # type: ignore[attr-defined]
        return None
    if link.purpose != "setup":
        administrator = queries.get_administrator(session, link_owner(link))
    else:
        administrator = add_administrator(session, name, Role.OWNER, now, link_owner(link))
    administrator.password_hash = passwords.hashed(password)
    session.flush()
    return administrator


# --- administrators ---


def add_administrator(
    session: Session, name: str, role: Role, now: datetime, owner_id: UUID | None = None
) -> Administrator:
    """Return a new administrator who cannot sign in before their link was used."""
    if queries.find_administrator(session, name) is not None:
        raise RefusedError("There is an administrator of this name already; choose another name.")
    administrator = Administrator(
        name=rules.normal_name(name), password_hash=NO_PASSWORD, role=role.value, created_at=now
    )
    if owner_id is not None:
        administrator.id = owner_id
    session.add(administrator)
    session.flush()
    return administrator


def disable(session: Session, administrator: Administrator, now: datetime) -> None:
    """End *administrator*'s access; RefusedError when no owner would be left."""
    keep_an_owner(session, administrator)
    administrator.disabled_at = now
    end_sessions(session, administrator.id)


def enable(administrator: Administrator) -> None:
    """Give access back to a disabled administrator."""
    administrator.disabled_at = None


def change_password(administrator: Administrator, password: str) -> None:
    """Set a new password; rules.password_problem was asked before."""
    administrator.password_hash = passwords.hashed(password)


# --- sign-in ---


def begin_session(
    session: Session,
    administrator: Administrator,
    address: str,
    now: datetime,
    codes: str = "",
    browser: str = "",
) -> str:
    """Return the cookie's random id of a fresh session; old rows go. Every way in ends here.

    RefusedError when this release does not know who proves *administrator*.
    *codes*: new recovery codes, sealed, which it shows once. *browser*: what it calls itself.
    """
    sources.require_known(administrator)
    session.execute(delete(AdminSession).where(AdminSession.expires_at < now))
    raw_id = token_urlsafe(32)
    session.add(
        AdminSession(
            id_hash=queries.hash_of(raw_id),
            administrator_id=administrator.id,
            data={"proved_at": int(now.timestamp())} | _shown_once(codes),
            address=address,
            browser=browser[:300],
            created_at=now,
            seen_at=now,
            expires_at=now + rules.ABSOLUTE,
        )
    )
    session.flush()
    return raw_id


def _shown_once(codes: str) -> dict[str, str]:
    return {recovery_codes.SHOWN_ONCE: codes} if codes else {}


def end_session(session: Session, id_hash: str) -> None:
    """Sign one browser out."""
    session.execute(delete(AdminSession).where(AdminSession.id_hash == id_hash))


def end_session_of(session: Session, administrator_id: UUID, id_hash: str) -> AdminSession:
    """Sign an administrator's browser out and return what it was; NotFoundError without one."""
    found = session.get(AdminSession, id_hash)
    if found is None or found.administrator_id != administrator_id:
        raise NotFoundError("There is no such session (any more).")
    session.delete(found)
    session.flush()
    return found


def end_sessions(session: Session, administrator_id: UUID, but: str = "") -> None:
    """Sign an administrator out everywhere, except in the session *but*."""
    session.execute(
        delete(AdminSession).where(
            AdminSession.administrator_id == administrator_id, AdminSession.id_hash != but
        )
    )


# --- API tokens ---


def make_token(
    session: Session,
    administrator: Administrator,
    name: str,
    now: datetime,
    lives: timedelta = TOKEN_LIVES,
    scope: str = ALL,
) -> str:
    """Return a new API token; it is shown once and stored only as a hash."""
    token = f"sekisho_{token_urlsafe(32)}"
    session.add(
        ApiToken(
            token_hash=queries.hash_of(token),
            administrator_id=administrator.id,
            name=name[:100],
            scope=scope,
            created_at=now,
            expires_at=now + lives,
        )
    )
    session.flush()
    return token


def note_use(session: Session, token_hash: str, now: datetime) -> None:
    """Remember when a token was used last."""
    session.execute(update(ApiToken).where(ApiToken.token_hash == token_hash).values(used_at=now))


def revoke_token(session: Session, administrator_id: UUID, token_hash: str, now: datetime) -> None:
    """End one of an administrator's own tokens."""
    session.execute(
        update(ApiToken)
        .where(ApiToken.token_hash == token_hash, ApiToken.administrator_id == administrator_id)
        .values(revoked_at=now)
    )
