"""Running devices when the order-signing key changes, and when management was restored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from agents.simulator.device import SimulatedDevice
from contracts import codec, envelope, following, keys
from contracts.agent import CommandKind, Handover, TrustStatement
from management.commands import service, work
from management.commands.queries import get_command
from management.context import Context
from management.database import Base
from management.enrolment import epochs
from management.safety.service import resume
from runtime.clock import utc_now
from runtime.errors import SekishoError, UnauthenticatedError
from tests.agents.conftest import DESCRIPTION
from tests.agents.headquarters import Headquarters

# --- what leads from one key to the next ---

CHAIN = [keys.new_key() for _ in range(4)]
THIEF = keys.new_key()


def handover(number: int, **changed: Any) -> str:
    said = Handover(
        order_signing_key=keys.public_jwk(CHAIN[number]),
        successor_thumbprint=keys.thumbprint(CHAIN[number + 1]),
        at=utc_now(),
    )
    return envelope.sign(codec.write(replace(said, **changed)), envelope.HANDOVER, CHAIN[number])


def statement(number: int, **changed: Any) -> TrustStatement:
    said = TrustStatement(
        issue=number + 1,
        issued_at=utc_now(),
        order_signing_key=keys.public_jwk(CHAIN[number]),
        encryption_key=keys.public_jwk(CHAIN[0]),
        successor_thumbprint=keys.thumbprint(CHAIN[min(number + 1, 3)]),
        relays=(),
        succession=tuple(handover(one) for one in range(number)),
    )
    return replace(said, **changed)


def signed(said: TrustStatement, key: Any) -> str:
    return envelope.sign(codec.write(said), envelope.TRUST, key)


@pytest.mark.parametrize("known", [0, 1, 2])
@pytest.mark.parametrize("now", [0, 1, 2, 3])
def test_a_device_follows_however_many_keys_it_slept_through(known: int, now: int) -> None:
    offered = statement(now)
    if now >= known:
        assert following.follow(statement(known), signed(offered, CHAIN[now])) == offered
    else:
        with pytest.raises(UnauthenticatedError):
            following.follow(statement(known), signed(offered, CHAIN[now]))


def test_no_key_that_was_not_promised_is_followed() -> None:
    known, public = statement(0), keys.public_jwk(THIEF)
    forged = envelope.sign(
        codec.write(
            Handover(
                order_signing_key=keys.public_jwk(CHAIN[1]),
                successor_thumbprint=keys.thumbprint(THIEF),
                at=utc_now(),
            )
        ),
        envelope.HANDOVER,
        THIEF,
    )
    another_heir = handover(0, successor_thumbprint=keys.thumbprint(THIEF))
    for said, key in (
        (statement(1, order_signing_key=public), THIEF),
        (statement(1, order_signing_key=public, succession=(forged,)), THIEF),
        (statement(1, order_signing_key=public, succession=(another_heir,)), THIEF),
        (statement(0, successor_thumbprint=keys.thumbprint(THIEF)), CHAIN[0]),
        (statement(2, succession=()), CHAIN[2]),
        (statement(1), CHAIN[0]),
    ):
        with pytest.raises(SekishoError):
            following.follow(known, signed(said, key))


# --- with the real management, relay and device ---


def enrolled(hq: Headquarters, folder: Path) -> SimulatedDevice:
    phone = SimulatedDevice(folder, wait=lambda seconds: None)
    phone.begin_enrolment(hq.invite(), DESCRIPTION)
    hq.visit()
    assert phone.finish_enrolment() is None
    phone.check_in()
    hq.visit()
    return phone


def meet(hq: Headquarters, phone: SimulatedDevice) -> None:
    """Let both sides settle."""
    for _ in range(3):
        work.dispatch(hq.context, {}, lambda said: None)
        hq.visit()
        if phone.state.membership is not None:
            phone.check_in()
    hq.visit()


def change_key(hq: Headquarters) -> str:
    signer = hq.context.signer
    return signer.succeed(str(signer.status()["thumbprint"]))


@pytest.mark.parametrize("changes", [1, 2])
def test_a_running_device_follows_to_the_next_key_and_loses_nothing(
    hq: Headquarters, tmp_path: Path, changes: int
) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    lock = hq.command(phone.device_id, CommandKind.LOCK)  # lies at the relay, under the old key
    for _ in range(changes):
        new = change_key(hq)

    epochs.begin_epochs(hq.context, {}, lambda said: None)
    meet(hq, phone)

    assert phone.state.fingerprint == new
    assert phone.state.member().epoch > epochs.STEP
    assert (hq.state_of(lock), phone.state.phone.locked) == ("done", True)
    unlock = hq.command(phone.device_id, CommandKind.UNLOCK)
    meet(hq, phone)
    assert hq.state_of(unlock) == "done"
    assert hq.incidents(phone.device_id) == []
    assert enrolled(hq, tmp_path / "late").state.fingerprint == new


class Backup:
    """All rows of a management database, put back whole."""

    def __init__(self, context: Context) -> None:
        self.context = context
        with context.database.reading() as session:
            self.rows = {
                table: [dict(row._mapping) for row in session.execute(select(table))]
                for table in Base.metadata.sorted_tables
            }

    def restore(self) -> None:
        with self.context.database.transaction("restore") as session:
            for table in reversed(self.rows):
                session.execute(delete(table))
            for table, rows in self.rows.items():
                if rows:
                    session.execute(insert(table), rows)


def test_after_a_restore_nothing_destructive_goes_out_unasked(
    hq: Headquarters, tmp_path: Path
) -> None:
    first, second = (enrolled(hq, tmp_path / name) for name in ("first", "second"))
    wanted = hq.command(first.device_id, CommandKind.WIPE)
    backup = Backup(hq.context)
    # What the backup does not know: the wipe of the first was overtaken by a chat with its owner
    # (the device is back), and the second is to be wiped; that order lies at the relay.
    for number in range(3):
        hq.command(second.device_id, CommandKind.MESSAGE, text=f"hello {number}")
    second.check_in()
    hq.visit()
    lost = hq.command(second.device_id, CommandKind.WIPE)
    backup.restore()

    with hq.context.database.transaction("restored") as session:
        assert epochs.restored(session, "a test", "disk failure", utc_now()) == 1
    epochs.begin_epochs(hq.context, {}, lambda said: None)
    hq.visit()
    for phone in (first, second):
        meet(hq, phone)

    for phone in (first, second):
        assert phone.state.membership is not None, phone.state.ended
        assert phone.state.member().epoch > epochs.STEP
    with hq.context.database.reading() as session:
        row = get_command(session, wanted)
        assert (row.state, row.waiting_for) == ("queued", "person")
    with pytest.raises(SekishoError):
        hq.state_of(lost)

    with hq.context.database.transaction("still wanted") as session:
        service.confirm_command(session, wanted, utc_now())
        resume(session, "a test", utc_now())
    meet(hq, first)
    assert hq.state_of(wanted) == "done"
    assert second.state.membership is not None
