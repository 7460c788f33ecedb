"""The built-in CA and the key that opens reports are replaced under a fleet, with deaths."""

import json
import os
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey
from sqlalchemy import func, select

from agents.simulator.device import SimulatedDevice
from contracts import keys as jwk
from contracts.agent import RelayEntry, TrustStatement
from management import certificates, opening_keys, own_renewal
from management import signer_trust as trust
from management.audit.models import AuditEntry
from management.check_in.visit import visit_all
from management.compliance.judgement import State
from management.context import Context
from management.devices.models import Device
from management.keys import CA_RENEW_BEFORE
from management.relays.link_client import pinned
from management.relays.models import Relay, RelayIncident
from management.relays.queries import list_relays
from management.relays.work import watch
from management.signer_store import Clock, Store
from runtime.clock import utc_now
from tests.agents import relay_process
from tests.management.test_visit import Site, pair, phone_seq

pytestmark = pytest.mark.servers
DEATHS = [
    "after effect former authority",
    "after effect authority",
    "after effect next encryption key",
    "after effect former encryption key",
    "after effect present encryption key",
]
PROGRAM = (
    "from management.context import open_context\n"
    "from management.own_renewal import renew\n"
    "from management.settings import load\n"
    "from runtime.clock import utc_now\n"
    "renew(open_context(load()), utc_now())\n"
)


@pytest.fixture
def site(context: Context, tmp_path: Path) -> Iterator[Site]:
    """A server whose CA ends in less than two years."""
    keys, long_ago = context.keys, utc_now() - certificates.AUTHORITY_VALID + CA_RENEW_BEFORE / 2
    old = certificates.authority(keys._authority_key, long_ago)
    (keys.folder / "ca.pem").write_text(certificates.pem(old))
    with relay_process.running(tmp_path / "relay", keys) as relay:
        pair(context, relay, relay.link_certificate)
        visit_all(context)
        yield Site(context, relay, tmp_path)


def a_year_passes(context: Context) -> None:
    """Let the encryption key be old in the books of management and of the signer."""
    opening, long_ago = context.keys.opening, utc_now() - timedelta(days=366)
    since = {jwk.thumbprint(opening.present()): long_ago.isoformat()}
    opening._write(opening_keys.HISTORY, json.dumps({"former": [], "since": since}))
    with sqlite3.connect(context.settings.home / "signer" / "signer.db") as books:
        books.execute(
            "UPDATE meta SET value = CAST(value AS REAL) - 366 * 86400 WHERE name = ?",
            ("encryption key since",),
        )


def die(site: Site, point: str, mark: Path) -> None:
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(site.context.settings.home),
        "SEKISHO_CRASH_AT": point,
        "SEKISHO_CRASH_MARK": str(mark),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, timeout=120)
    assert (done.returncode, mark.exists()) == (-9, True), point


def knows(phone: SimulatedDevice) -> str:
    return jwk.thumbprint(jwk.read_public(phone.state.known_trust().encryption_key))


def asks_for_trust(phone: SimulatedDevice) -> None:
    """Let the time be over after which a device asks for a newer statement."""
    with phone.file.changing("time passes") as state:
        state.trust_asked_at = None


def test_ca_and_encryption_key_are_replaced_with_deaths_and_nobody_is_locked_out(
    site: Site, tmp_path: Path
) -> None:
    context = site.context
    awake, asleep = site.phone("awake"), site.phone("asleep")
    old_ca, old_key = context.keys.ca_certificate(), jwk.thumbprint(context.keys.encryption_key())
    a_year_passes(context)
    asleep.set(rooted="true")
    asleep.check_in()  # sealed to the old key; management takes it after the change
    for number, point in enumerate(DEATHS):
        die(site, point, tmp_path / f"mark{number}")
    visit_all(context)
    assert site.state(asleep) is State.NON_COMPLIANT

    watch(context, {}, print)
    site.meet(awake)
    assert knows(awake) == old_key  # and it goes on with it
    watch(context, {}, print)
    asks_for_trust(awake)
    site.meet(awake)

    new_ca, new_key = context.keys.ca_certificate(), jwk.thumbprint(context.keys.encryption_key())
    assert (new_ca != old_ca, new_key != old_key) == (True, True)
    assert site.problem() == ""
    assert (knows(awake), knows(asleep)) == (new_key, old_key)
    told = awake.state.known_trust().relays[0].ca_certificates
    assert set(told) == {old_ca, new_ca}
    row = _relay(context)
    assert (row.problem, row.tls_shown, row.ca_certificate) == ("", row.tls_sha256, new_ca)
    asleep.set(rooted="false")
    asks_for_trust(asleep)
    site.meet(asleep)  # it knew the old CA only
    assert (site.state(asleep), knows(asleep)) == (State.HEALTHY, new_key)
    assert site.state(site.phone("newcomer")) is State.HEALTHY
    with context.database.reading() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action.like("keys.%")))
        assert sorted(entry.action for entry in entries) == ["keys.authority", "keys.encryption"]
        for phone in (awake, asleep):
            assert session.get_one(Device, phone.device_id).inbound_seq == phone_seq(phone)
        assert session.scalar(select(func.count()).select_from(RelayIncident)) == 0


def _relay(context: Context) -> Relay:
    with context.database.reading() as session:
        return list_relays(session)[0]


def test_nothing_is_renewed_before_its_time(context: Context) -> None:
    before = context.keys.ca_certificate(), jwk.thumbprint(context.keys.encryption_key())

    own_renewal.renew(context, utc_now())
    own_renewal.renew(context, utc_now() + timedelta(days=364))

    after = context.keys.ca_certificate(), jwk.thumbprint(context.keys.encryption_key())
    assert after == before
    own_renewal.renew(context, utc_now() + timedelta(days=366))
    assert jwk.thumbprint(context.keys.encryption_key()) != before[1]
    assert context.keys.ca_certificate() == before[0]


def test_the_link_to_a_relay_outlives_the_certificate_that_was_pinned(tmp_path: Path) -> None:
    long_ago, key = utc_now() - timedelta(days=4000), ec.generate_private_key(ec.SECP256R1())
    issuer = certificates.Issuer(certificates.authority(key, long_ago), key)
    (ended, link_key), (other, _) = (
        (certificates.pem(chain[0]), made)
        for chain, made in (certificates.for_server(issuer, ["any"], long_ago) for _ in range(2))
    )
    (tmp_path / "link.pem").write_text(ended + certificates.key_pem(link_key))
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(tmp_path / "link.pem")

    assert _hands_shaken(shown, pinned(ended))
    with pytest.raises(ssl.SSLCertVerificationError):
        _hands_shaken(shown, pinned(other))


def _hands_shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Do a TLS handshake in memory; SSLCertVerificationError when the client does not trust."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname="any"),
        server.wrap_bio(there, back, server_side=True),
    ]
    while sides:
        for side in list(sides):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
                sides.remove(side)
    return True


def test_the_signer_lets_a_successor_in_once_in_half_a_year_and_a_ca_by_its_key(
    tmp_path: Path,
) -> None:
    time = [1e9]
    store = Store(tmp_path / "signer.db", Clock(lambda: time[0], lambda: ("boot", time[0])))
    authority, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    old, new, strange = (
        certificates.pem(certificates.authority(key, utc_now()))
        for key in (authority, authority, stranger)
    )
    first, second, third = (jwk.new_key() for _ in range(3))

    def names(key: ECKey, *authorities: str) -> list[str]:
        statement = _statement(key, authorities)
        with store.transaction("test") as books:
            found = trust.strange(books, statement)
            if not found:
                trust.pin(books, statement)
        return found

    assert names(first, old) == []
    assert [words[:14] for words in names(second, old)] == ["encryption key"]
    assert names(first, old, new) == []
    assert [words[:6] for words in names(first, old, strange)] == ["relay "]
    time[0] += trust.KEY_LIFE.total_seconds()
    assert names(second, new) == []
    assert [words[:14] for words in names(third, new)] == ["encryption key"]
    store.close()


def _statement(key: ECKey, authorities: tuple[str, ...]) -> TrustStatement:
    relay = RelayEntry(url="https://relay.example:4343", ca_certificates=authorities)
    return TrustStatement(
        issue=1,
        issued_at=utc_now(),
        order_signing_key=jwk.public_jwk(key),
        encryption_key=jwk.public_jwk(key),
        successor_thumbprint=jwk.thumbprint(key),
        relays=(relay,),
    )
