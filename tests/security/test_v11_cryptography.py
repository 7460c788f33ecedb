"""ASVS 5 V11, cryptography: what a stolen database is worth.

| attack | also shown by |
|---|---|
| session ids, tokens, links, passwords, codes in the database | here |
| parameters of password hashes | here |
| keys and seeds on disk | `test_signer`, `test_keys` |
| end-to-end encryption of orders and reports | `tests/contracts`, `tests/hostile_relay` |
"""

from argon2 import extract_parameters
from argon2.low_level import Type
from sqlalchemy import select

from management.administrators import service
from management.administrators.models import NO_PASSWORD, Administrator
from management.administrators.sessions import COOKIE
from management.database import Base
from runtime.clock import utc_now
from tests.management.clients import PASSWORD
from tests.security.conftest import Target


def _everything(target: Target) -> str:
    with target.context.database.reading() as session:
        rows = [session.execute(select(table)).all() for table in Base.metadata.sorted_tables]
    return "\n".join(str(tuple(row)) for table in rows for row in table)


def test_whoever_reads_the_database_signs_in_as_nobody(target: Target) -> None:
    with target.context.database.transaction("make secrets") as session:
        owner = session.scalars(select(Administrator).where(Administrator.name == "reader")).one()
        token = service.make_token(session, owner, "test", utc_now())
        link = service.make_join_link(session, owner, utc_now())
    cookie = target.owner.get_cookie(COOKIE, "localhost")
    assert cookie is not None
    stored = _everything(target)
    for secret in (token, link, cookie.value, PASSWORD):
        assert secret not in stored
    assert "otpauth" not in stored
    assert "BEGIN PRIVATE KEY" not in stored
    assert "BEGIN EC PRIVATE KEY" not in stored


def test_passwords_are_kept_as_argon2id_with_at_least_19_mib(target: Target) -> None:
    with target.context.database.reading() as session:
        for hashed in session.scalars(select(Administrator.password_hash)):
            if hashed == NO_PASSWORD:
                continue
            used = extract_parameters(hashed)
            assert used.type is Type.ID
            assert used.memory_cost >= 19 * 1024
            assert used.time_cost >= 2
            assert len(set(hashed)) > 10
