"""The console shows a gate as what it is, and says how a decision acts there."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from contracts import connector as messages
from contracts import keys as jwk
from management.context import Context
from management.mail_access import connectors, service
from management.mail_access.queries import get_connector
from management.mail_access.rules import By
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.conftest import app, console, context, home, signer_limits

__all__ = ["app", "console", "context", "home", "signer_limits"]

BY = By("keeper", "127.0.0.1")


@pytest.fixture
def gate_id(context: Context) -> UUID:
    """A paired gate that reported one phone and how it stands."""
    now = utc_now()
    with context.database.transaction("test") as session:
        code = connectors.make_pairing_code(session, context.keys, BY, now)
        asked = messages.PairingRequest(
            code=code, key=jwk.public_jwk(jwk.new_key()), name="door", version="1", kind="gate"
        )
        paired = connectors.pair(session, context.keys, asked, "127.0.0.1", now)
        seen = messages.Partnership(mailbox="ada", device_id="ADA1", access_state="Allowed")
        batch = messages.PartnershipBatch(
            pass_id=uuid4(), seen_at=now, complete=True, partnerships=(seen,)
        )
        service.take_partnerships(session, paired, batch, now)
        status = messages.ConnectorStatus(
            version="1",
            at=now,
            exchange_reachable=True,
            waiting=0,
            calls=1234,
            refused=56,
            cut=7,
            open_requests=89,
        )
        connectors.note_call(session, paired.id, now)
        connectors.take_status(paired, status)
        return paired.id


def test_a_gate_is_listed_with_its_own_figures(
    console: ConsoleClient, gate_id: UUID, context: Context
) -> None:
    page = console.get("/mail-access/connectors").text

    for text in ("door", "Inline gate", "Normal", "1,234 requests", "56 refused"):
        assert text in page
    assert "7 ended by a decision" in page
    assert "89 under way" in page
    with context.database.transaction("test") as session:
        contact_at = utc_now() - timedelta(minutes=10)
        get_connector(session, gate_id).contact_at = contact_at
    assert "Disconnected for over 9 minutes" in console.get("/mail-access/connectors").text


def test_a_phone_at_a_gate_says_how_a_decision_acts(console: ConsoleClient, gate_id: UUID) -> None:
    page = console.get("/mail-access/partnerships/1").text

    assert "At the inline gate door, within a second" in page
    assert "Wipe this phone" not in page


def test_a_pairing_code_comes_with_the_command_for_a_gate(
    console: ConsoleClient, gate_id: UUID
) -> None:
    page = console.post("/mail-access/connectors/code").text

    assert "sekisho exchange-connector gate pair" in page
    assert "--server https://mail.example.com" in page
