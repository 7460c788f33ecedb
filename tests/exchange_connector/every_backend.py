"""One scenario for every way to Exchange, and the table of it in docs/exchange.md."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import select

from exchange_connector.backends import psrp
from exchange_connector.backends.opening import Server
from exchange_connector.sync import Look
from management.devices.models import Device
from management.mail_access import by_hand, wiping
from management.mail_access.connectors import read_status
from management.mail_access.models import Connector, MailWipe
from runtime.clock import utc_now
from tests.communication.authority import certificate
from tests.exchange_connector.bed import BY, Bed
from tests.servers import exchange_online, exchange_wsman, kerberos
from tests.servers.exchange import PASSWORD, USER, Exchange
from tests.servers.exchange_negotiate import KerberosAnswers, NegotiatedAnswers

Backend = Callable[[Exchange, Path, pytest.MonkeyPatch], AbstractContextManager[Server]]
_FORM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _basic(exchange: Exchange, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Server]:
    with exchange_wsman.listening(exchange, {USER: PASSWORD}) as url:
        yield psrp.Server(url=url, user=USER, password=PASSWORD)


@contextmanager
def _certificate(exchange: Exchange, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Server]:
    ca = certificate("a company's CA", None)
    server, key = certificate("exchange", ca, ("127.0.0.1",))
    user, user_key = certificate(
        "svc", ca, ("svc.corp.test",), purpose=ExtendedKeyUsageOID.CLIENT_AUTH
    )
    files = {name: folder / f"exchange-{name}.pem" for name in ("chain", "key", "ca")}
    files["chain"].write_bytes(server.public_bytes(Encoding.PEM))
    files["key"].write_bytes(key.private_bytes(*_FORM))
    files["ca"].write_bytes(ca[0].public_bytes(Encoding.PEM))
    tls, trusted = (str(files["chain"]), str(files["key"])), str(files["ca"])
    with exchange_wsman.listening(exchange, {"svc": ""}, tls, client_ca=trusted) as url:
        pem = user_key.private_bytes(*_FORM) + user.public_bytes(Encoding.PEM)
        yield psrp.Server(
            url=url, user="", auth="certificate", certificate=pem.decode(), ca_file=trusted
        )


@contextmanager
def _ntlm(exchange: Exchange, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Server]:
    users = folder / "ntlm.users"
    users.write_text("EXCH:svc:secret\n")
    patch.setenv("NTLM_USER_FILE", str(users))
    with exchange_wsman.listening(exchange, {}, answers=NegotiatedAnswers) as url:
        yield psrp.Server(url=url, user=USER, password=PASSWORD, auth="ntlm")


@contextmanager
def _kerberos(exchange: Exchange, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Server]:
    with kerberos.realm(folder) as realm:
        for name, value in realm.environment.items():
            patch.setenv(name, value)
        with exchange_wsman.listening(exchange, {}, answers=KerberosAnswers) as url:
            named = url.replace("127.0.0.1", "localhost")
            yield psrp.Server(
                url=named, user=kerberos.USER, password=kerberos.PASSWORD, auth="kerberos"
            )


@contextmanager
def _online(exchange: Exchange, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Server]:
    with exchange_online.listening(exchange, folder) as (_, tenant):
        yield tenant


BACKENDS: Mapping[str, Backend] = {
    "Basic": _basic,
    "certificate": _certificate,
    "NTLM": _ntlm,
    "Kerberos": _kerberos,
    "Online": _online,
}


# --- the scenario, step by step on one bed ---


def discovery(bed: Bed) -> None:
    """One read of everything finds each phone, with its user, without a call a mailbox."""
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.add_phone("ada", "ADA2")
    bed.exchange.fill(3)
    bed.settings(close_doors=("imap", "pop"))
    bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    assert bed.run_pass().discovered == 5
    assert bed.partnership("ADA1").user_address == "ada@corp.test"
    assert bed.partnership("ADA1").match == "sure"
    named = [said for cmdlet, said in bed.exchange.calls if cmdlet.startswith("Get-Mobile")]
    assert not any({"Mailbox", "Identity"} & said.keys() for said in named)


def delta(bed: Bed) -> None:
    """A delta without news is one call; a new phone comes with the next one."""
    before = len(bed.exchange.calls)
    bed.run_pass(look=Look.NEW)
    assert len(bed.exchange.calls) == before + 1
    bed.exchange.add_phone("cyd", "CYD1", first_sync_at=utc_now())
    bed.run_pass(look=Look.NEW)
    assert bed.partnership("CYD1").user_address == "cyd@corp.test"


def block(bed: Bed) -> None:
    """A rooted phone is blocked, its neighbour is not, and the rule's other doors close."""
    bed.exchange.mailboxes["ada"].closed.add("PopEnabled")
    bed.say(_device(bed), rooted=True)
    before = len(bed.exchange.called("Set-CASMailbox"))
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.exchange.mailboxes["ada"].closed == {"ImapEnabled", "PopEnabled"}
    assert len(bed.exchange.called("Set-CASMailbox")) == before + 1
    assert (bed.partnership("ADA1").applied, bed.partnership("ADA1").closed_doors) == (
        "block",
        "imap",
    )


def allow(bed: Bed) -> None:
    """Mended, it is allowed again, and exactly the door that we closed is opened."""
    bed.say(_device(bed), rooted=False)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == set()
    assert bed.exchange.allowed() == {("ada", "ADA1")}
    assert bed.exchange.mailboxes["ada"].closed == {"PopEnabled"}
    assert bed.partnership("ADA1").closed_doors == ""


def undo(bed: Bed) -> None:
    """Undoing takes back all that we did and nothing else."""
    bed.exchange.mailboxes["ada"].blocked.add("FOREIGN")
    bed.say(_device(bed), rooted=True)
    bed.run_pass()
    _undo(bed, True)
    bed.run_pass(look=Look.NOT)
    assert bed.exchange.blocked() == {("ada", "FOREIGN")}
    assert bed.exchange.allowed() == set()
    assert bed.exchange.mailboxes["ada"].closed == {"PopEnabled"}
    _undo(bed, False)
    bed.run_pass()
    assert bed.exchange.blocked() == {("ada", "ADA1"), ("ada", "FOREIGN")}


def wipe(bed: Bed) -> None:
    """A signed wipe reaches exactly that phone and is followed to its acknowledgement."""
    row, now = bed.partnership("ADA1"), utc_now()
    with bed.context.database.transaction("test") as session:
        made = wiping.order_wipe(
            session, bed.context.keys, row.id, "ADA1", False, BY, "lost in a train", now
        )
    wiping.sign_queued(bed.context, utc_now())
    bed.run_pass(discover=False)
    phones = {one.device_id: one for one in bed.exchange.phones.values()}
    assert {one.device_id for one in phones.values() if one.wiped} == {"ADA1"}
    phones["ADA1"].wiped_at = utc_now()
    bed.run_pass(look=Look.NEW)
    bed.run_pass(discover=False)
    with bed.context.database.reading() as session:
        assert session.get_one(MailWipe, made.id).state == "acknowledged"


def rights(bed: Bed) -> None:
    """The self-test names each cmdlet that the role lacks."""
    bed.exchange.faults.missing_cmdlets = {"Clear-MobileDevice"}
    bed.open()
    bed.run_pass(look=Look.NEW)
    status = read_status(_connector(bed))
    assert status
    missing = {right.cmdlet: right.missing for right in status.rights if right.missing}
    assert missing.keys() == {"Clear-MobileDevice"}
    assert "Mail Recipients" in missing["Clear-MobileDevice"]
    bed.exchange.faults.missing_cmdlets = set()


def throttling(bed: Bed) -> None:
    """Asked for a pause, the pass ends; the next one goes on where it stopped."""
    bed.say(_device(bed), rooted=False)
    bed.exchange.faults.throttled_calls = 1
    outcome = bed.run_pass(discover=False)
    assert outcome.throttled
    assert "asks for a pause" in outcome.exchange_problem
    assert ("ada", "ADA1") not in bed.exchange.allowed()
    bed.run_pass(discover=False)
    assert ("ada", "ADA1") in bed.exchange.allowed()


STEPS = (discovery, delta, block, allow, undo, wipe, rights, throttling)


def table() -> str:
    """Return the table of docs/exchange.md: what `STEPS` shows, by backend."""
    head = ["scenario", *BACKENDS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [
        f"| {str(step.__doc__).strip().rstrip('.')} |{' yes |' * len(BACKENDS)}" for step in STEPS
    ]
    return "\n".join(lines)


def _device(bed: Bed) -> UUID:
    with bed.context.database.reading() as session:
        return session.scalars(select(Device.id)).one()


def _connector(bed: Bed) -> Connector:
    with bed.context.database.reading() as session:
        return session.scalars(select(Connector)).one()


def _undo(bed: Bed, undone: bool) -> None:
    connector_id = _connector(bed).id
    with bed.context.database.transaction("test") as session:
        keys = bed.context.keys
        by_hand.undo(session, keys, connector_id, undone, BY, "a trial", utc_now())
