"""The CA that certifies management renews itself under connectors, and nobody can plant another."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from contracts.certificates import fingerprint
from exchange_connector import authority, configuration, pairing
from exchange_connector.cli import exchange_connector
from exchange_connector.gate import process
from exchange_connector.gate.reporting import Counters
from exchange_connector.gate.settings import Settings as GateSettings
from exchange_connector.sync import Look
from management import certificates
from management.access import Role
from management.keys import CA_RENEW_BEFORE
from management.mail_access import authorities
from management.mail_access.connectors import read_status
from management.mail_access.queries import list_connectors
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, ForbiddenError
from tests.exchange_connector.bed import Bed
from tests.management.clients import ConsoleClient, api_client
from tests.management.conftest import console

__all__ = ["console"]

NOW = utc_now()
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
OLD = certificates.authority(KEY, NOW - timedelta(days=3000))
NEW = certificates.authority(KEY, NOW)
ENDED = certificates.authority(KEY, NOW - timedelta(days=4000))
PEM = certificates.pem
DER = NEW.public_bytes(Encoding.DER)


def planted(
    key: ec.EllipticCurvePrivateKey = OTHER,
    subject: x509.Certificate = NEW,
    public: ec.EllipticCurvePublicKey | None = None,
    ca: bool = True,
    now: datetime = NOW,
) -> str:
    """Return a CA that somebody else would like to be believed."""
    made = (
        x509.CertificateBuilder()
        .subject_name(subject.subject)
        .issuer_name(subject.subject)
        .public_key(public or key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return PEM(made.sign(key, hashes.SHA256()))


PLANTED = {
    "another key": planted(),
    "another key that claims to be ours": planted(public=KEY.public_key()),
    "no CA": planted(KEY, ca=False),
    "not valid yet": planted(KEY, now=NOW + timedelta(days=2)),
    "another name": PEM(certificates.for_server(certificates.Issuer(OLD, KEY), ["a"], NOW)[0][0]),
    "older": PEM(ENDED),
    "no certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


def test_a_successor_of_the_same_key_joins_the_one_it_follows() -> None:
    after = authority.with_successor(PEM(OLD), PEM(NEW), NOW)

    assert after == PEM(NEW) + PEM(OLD)
    assert authority.with_successor(after, PEM(OLD), NOW) == after
    assert authority.with_successor(PEM(ENDED), PEM(NEW), NOW) == PEM(NEW)
    later = OLD.not_valid_after_utc + timedelta(days=1)
    assert [one.fingerprint for one in authority.described(after, later)] == [fingerprint(PEM(NEW))]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_ca_is_refused(name: str) -> None:
    assert authority.with_successor(PEM(OLD), PLANTED[name], NOW) == PEM(OLD)


@given(st.text(max_size=200) | st.integers(0, 500).map(lambda cut: PEM(NEW)[:cut]))
def test_nonsense_changes_nothing(offered: str) -> None:
    assert authority.with_successor(PEM(OLD), offered, NOW) == PEM(OLD)


# --- a file that a person gives ---


@pytest.mark.parametrize(
    "content",
    [
        DER,
        PEM(NEW).encode(),
        "会社の認証局\n".encode() + PEM(NEW).replace("\n", "\r\n").encode(),
        "会社の認証局 ".encode("cp932") + b"\n" + PEM(NEW).encode() + "終".encode(),
        b"\xef\xbb\xbf" + PEM(NEW).encode(),
    ],
    ids=["der", "pem", "comment", "comment in cp932", "byte order mark"],
)
def test_a_file_is_read_as_windows_and_people_write_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "company.cer"
    file.write_bytes(content)
    assert authority.read_given(file, "") == PEM(NEW)
    assert authority.read_given(file, fingerprint(PEM(NEW))) == PEM(NEW)
    with pytest.raises(ForbiddenError, match="does not hold the one certificate"):
        authority.read_given(file, fingerprint(PEM(OLD)))


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", DER[:-1], PEM(NEW)[:-40].encode(), b"-----BEGIN CERTIFICATE-----"],
    ids=["empty", "text", "cut der", "cut pem", "only a beginning"],
)
def test_a_file_without_a_certificate_is_told_with_what_mends_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "company.cer"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"company\.cer holds no .* PEM .* or DER"):
        authority.read_given(file, "")


def test_a_file_with_another_beside_the_named_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "two.pem"
    file.write_text(PEM(NEW) + planted())
    assert authority.read_given(file, "") == file.read_text()
    with pytest.raises(ForbiddenError):
        authority.read_given(file, fingerprint(PEM(NEW)))


# --- through a real console ---


def use_authority(bed: Bed, certificate: x509.Certificate) -> str:
    """Let the built-in CA have this certificate, and the console one that it issued."""
    keys = bed.context.keys
    (keys.folder / "ca.pem").write_text(PEM(certificate))
    for name in ("console.pem", "console.key"):
        (bed.console.folder / name).unlink(missing_ok=True)
    bed.console.stop()
    bed.console.start()
    return fingerprint(PEM(certificate))


@pytest.fixture
def ca(bed: Bed) -> Callable[[timedelta], x509.Certificate]:
    """Return a certificate of the built-in CA's key that ends so long from now."""

    def made(left: timedelta) -> x509.Certificate:
        begins = utc_now() - certificates.AUTHORITY_VALID + left
        return certificates.authority(bed.context.keys._authority_key, begins)

    return made


def trusted(bed: Bed) -> list[str]:
    text = (bed.folder / configuration.AUTHORITY).read_text()
    return [one.fingerprint for one in authority.described(text, utc_now())]


def test_the_ca_renews_itself_under_a_running_connector_and_the_old_one_ends(
    bed: Bed, console: ConsoleClient, ca: Callable[[timedelta], x509.Certificate]
) -> None:
    old = use_authority(bed, ca(CA_RENEW_BEFORE / 2))
    bed.pair()
    assert bed.run_pass(look=Look.NOT).management_problem == ""
    assert console.get("/mail-access/connectors").text.count(old[:12]) == 2
    assert bed.context.keys.renew_authority(utc_now())
    new = fingerprint(bed.context.keys.ca_certificate())
    page = console.get("/mail-access/connectors").text
    assert "does not know this server" in page and f"management-ca --fingerprint {new}" in page

    assert bed.run_pass(look=Look.NOT).management_problem == ""
    assert trusted(bed) == [new, old]
    assert bed.run_pass(look=Look.NOT).management_problem == ""
    page = console.get("/mail-access/connectors").text
    assert "does not know this server" not in page and new[:12] in page
    program = api_client(bed.console.app, bed.context, "robot", Role.OWNER)
    (told,) = program.get("/api/v1/mail-access/connectors").get_json()["items"]
    assert [one["fingerprint"] for one in told["authorities"]] == [new, old]
    assert told["authority_problem"] == ""

    ended = ca(-timedelta(hours=1))  # the old one, as it will be then
    text = PEM(x509.load_pem_x509_certificate(bed.context.keys.ca_certificate().encode()))
    (bed.folder / configuration.AUTHORITY).write_text(text + PEM(ended))
    use_authority(bed, x509.load_pem_x509_certificate(text.encode()))
    assert bed.run_pass(look=Look.NOT).management_problem == ""
    bed.open()
    assert bed.run_pass(look=Look.NOT).management_problem == ""
    assert trusted(bed) == [new]


def test_a_connector_that_was_away_says_what_mends_it_and_that_does(
    bed: Bed,
    ca: Callable[[timedelta], x509.Certificate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_authority(bed, ca(timedelta(days=2)))
    bed.pair()
    (bed.folder / configuration.AUTHORITY).write_text(PEM(ca(-timedelta(hours=1))))
    new = use_authority(bed, ca(certificates.AUTHORITY_VALID))
    sync = bed.open()

    problem = bed.run_pass(look=Look.NOT).management_problem
    assert "renewed while this was away" in problem
    assert "sekisho exchange-connector management-ca --fingerprint" in problem
    monkeypatch.setenv("SEKISHO_HOME", str(bed.home))
    done = CliRunner().invoke(exchange_connector, ["management-ca"], catch_exceptions=False)
    assert f"Fingerprint: {new}" in done.output
    assert sync.run_pass(Look.NOT).management_problem == ""  # without a new start
    assert trusted(bed) == [new]


def test_a_ca_of_another_key_is_believed_only_by_its_fingerprint(bed: Bed) -> None:
    bed.pair()
    before = trusted(bed)
    other = certificates.authority(OTHER, utc_now())
    chain, key = certificates.for_server(
        certificates.Issuer(other, OTHER), ["localhost"], utc_now()
    )
    bed.console.stop()
    (bed.console.folder / "console.pem").write_text("".join(map(PEM, chain)))
    (bed.console.folder / "console.key").write_text(certificates.key_pem(key))
    (bed.context.keys.folder / "ca.pem").write_text(PEM(other))
    bed.console.start()

    assert "not trusted" in bed.run_pass(look=Look.NOT).management_problem
    with pytest.raises(ForbiddenError, match="did not sign"):
        pairing.trust_again(bed.folder, "", None)
    with pytest.raises(ForbiddenError, match="not the one that was named"):
        pairing.trust_again(bed.folder, before[0], None)
    file = bed.home / "company.cer"
    file.write_bytes(other.public_bytes(Encoding.DER))
    with pytest.raises(ForbiddenError, match="does not hold the one"):
        pairing.trust_again(bed.folder, before[0], file)
    assert trusted(bed) == before
    assert pairing.trust_again(bed.folder, fingerprint(PEM(other)), None).until > utc_now()
    (bed.folder / configuration.AUTHORITY).write_text(PEM(OLD))
    assert pairing.trust_again(bed.folder, "", file).fingerprint == fingerprint(PEM(other))
    assert trusted(bed) == [fingerprint(PEM(other))]
    assert bed.run_pass(look=Look.NOT).management_problem == ""


def test_a_management_in_other_hands_plants_no_ca(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.pair()
    before = trusted(bed)
    (bed.context.keys.folder / "ca.pem").write_text(
        planted()
    )  # what it hands out, not what it shows

    assert bed.run_pass(look=Look.NOT).management_problem == ""
    bed.run_pass(look=Look.NOT)
    assert trusted(bed) == before
    assert sum("it is refused" in one.message for one in caplog.records) == 1
    with bed.context.database.reading() as session:
        (row,) = list_connectors(session)
    wanted = authorities.newest(bed.context.keys)
    found = authorities.of(row, wanted, utc_now())
    assert found is not None and (found.tone, wanted in found.why) == ("warn", True)


def test_a_gate_learns_the_successor_for_both_its_connections(
    bed: Bed, ca: Callable[[timedelta], x509.Certificate]
) -> None:
    old = use_authority(bed, ca(CA_RENEW_BEFORE / 2))
    wish = pairing.Invitation(management=bed.console.url, code=bed.code(), name="door")
    joined = pairing.join(wish, "gate")
    paired = configuration.Paired(
        connector_id=joined.said.connector_id,
        name="door",
        management=bed.console.url,
        exchange_url="https://mail.example.com",
    )
    credentials = configuration.Credentials(joined.key)
    configuration.save(bed.folder, paired, credentials, joined.authority)
    assert bed.context.keys.renew_authority(utc_now())

    async def work() -> None:
        gate_settings = GateSettings(folder=bed.folder)
        with ExitStack() as stack:
            keeper, counters = process.new_keeper(gate_settings), Counters()
            listener, reporter = process._talkers(
                stack, gate_settings, paired, credentials, keeper, counters
            )
            for worker in (listener, reporter):
                await asyncio.to_thread(worker.step)
                assert worker.problem == ""
                worker.store.close()

    asyncio.run(work())
    new = fingerprint(bed.context.keys.ca_certificate())
    assert trusted(bed) == [new, old]
    with bed.context.database.reading() as session:
        (row,) = list_connectors(session)
        said = read_status(row)
    assert said is not None and [one.fingerprint for one in said.authorities] == [new, old]


def test_a_companys_own_ca_is_warned_about_in_time(bed: Bed) -> None:
    bed.pair()
    bed.run_pass(look=Look.NOT)
    with bed.context.database.reading() as session:
        (row,) = list_connectors(session)
    assert authorities.of(row, "", utc_now()) is not None
    ends = authorities.of(row, "", utc_now() + certificates.AUTHORITY_VALID - timedelta(days=20))
    assert ends is not None and (ends.tone, "--file company-ca.pem" in ends.why) == ("warn", True)
