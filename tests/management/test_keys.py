"""Keys and certificates, and how they refuse to be read by others or lost silently."""

import multiprocessing
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from contracts import keys as jwk
from management.keys import Keys, prepare
from runtime.errors import ConfigurationError, MalformedMessageError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NAMES = ["console.example", "localhost", "127.0.0.1", "::1"]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return prepare(tmp_path / "keys", NOW)


def test_preparing_again_changes_nothing(keys: Keys) -> None:
    before = {path.name: path.read_bytes() for path in keys.folder.iterdir()}

    prepare(keys.folder, NOW + timedelta(days=400))

    assert {path.name: path.read_bytes() for path in keys.folder.iterdir()} == before


def test_preparing_goes_on_where_it_was_interrupted(keys: Keys) -> None:
    thumbprint = jwk.thumbprint(keys.link_key())
    (keys.folder / "audit.sealed").unlink()
    (keys.folder / "ca.pem").unlink()

    again = prepare(keys.folder, NOW)

    assert jwk.thumbprint(again.link_key()) == thumbprint
    assert again.mac(b"x") and "BEGIN CERTIFICATE" in again.ca_certificate()


def _prepare(folder: Path) -> None:
    prepare(folder, NOW, NAMES)


@pytest.mark.servers
def test_several_processes_may_prepare_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_prepare, args=(tmp_path / "keys",)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert Keys(tmp_path / "keys").unseal(Keys(tmp_path / "keys").seal("x")) == "x"


def test_nothing_private_is_readable_by_others_or_lies_open(keys: Keys) -> None:
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    for path in keys.folder.iterdir():
        if path.suffix != ".pem":
            assert path.stat().st_mode & 0o777 == 0o600, path.name
        assert b'"d"' not in path.read_bytes()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o700])
def test_a_key_file_with_wider_permissions_is_refused(keys: Keys, mode: int) -> None:
    (keys.folder / "secret.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Keys(keys.folder)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        prepare(keys.folder, NOW)


def test_a_lost_secret_key_is_never_replaced_beside_sealed_files(keys: Keys) -> None:
    (keys.folder / "secret.key").unlink()
    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        prepare(keys.folder, NOW)


def test_a_missing_or_broken_key_file_is_named(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(ConfigurationError, match="is missing"):
        Keys(tmp_path / "nothing")
    (keys.folder / "secret.key").write_text("not a key")
    with pytest.raises(ConfigurationError, match="does not hold a key"):
        Keys(keys.folder)


def test_a_sealed_file_of_another_server_is_refused(tmp_path: Path, keys: Keys) -> None:
    other = prepare(tmp_path / "other", NOW)
    (keys.folder / "link.sealed").write_bytes((other.folder / "link.sealed").read_bytes())
    with pytest.raises(ConfigurationError, match="one backup"):
        Keys(keys.folder).link_key()


def test_sealed_texts_come_back_and_altered_ones_do_not(keys: Keys) -> None:
    sealed = keys.seal("秘密 enrolment key")
    assert keys.unseal(sealed) == "秘密 enrolment key"
    with pytest.raises(MalformedMessageError):
        keys.unseal(sealed[:-4] + "AAA=")
    with pytest.raises(MalformedMessageError):
        keys.unseal("é")


def test_a_device_certificate_chains_to_the_ca_for_clients_only(keys: Keys) -> None:
    device_id, key = uuid4(), jwk.new_key()

    issued = keys.issue_device_certificate(device_id, key, NOW)

    leaf = x509.load_pem_x509_certificate(issued.pem.encode())
    ca = x509.load_pem_x509_certificate(keys.ca_certificate().encode())
    leaf.verify_directly_issued_by(ca)
    assert f"{leaf.serial_number:x}" == issued.serial
    assert leaf.not_valid_after_utc == issued.until
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == [str(device_id)]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert leaf.public_key() == jwk.raw_public(key)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=730)


def test_a_server_certificate_passes_the_checks_of_tls_clients(keys: Keys) -> None:
    chain, key = keys.issue_server_certificate(NAMES, NOW)

    leaf, ca = x509.load_pem_x509_certificates(chain.encode())
    verifier = PolicyBuilder().store(Store([ca])).time(NOW)
    verifier.build_server_verifier(x509.DNSName("console.example")).verify(leaf, [])
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=397)
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert load_pem_private_key(key.encode(), None).public_key() == leaf.public_key()


def test_tls_is_spoken_with_it_by_name_and_by_address(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    keys = prepare(tmp_path / "keys", now, NAMES)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(keys.folder / "console.pem", keys.folder / "console.key")
    for name in NAMES:
        client = ssl.create_default_context(cadata=keys.ca_certificate())
        _shake_hands(server, client, name)


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    import socket

    left, right = socket.socketpair()

    def answer() -> None:
        with server.wrap_socket(left, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    with client.wrap_socket(right, server_hostname=name) as connection:
        connection.send(b"x")
    thread.join()


def test_a_japanese_host_name_is_written_as_the_dns_has_it(keys: Keys) -> None:
    chain, _ = keys.issue_server_certificate(["関所.example"], NOW)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == ["xn--8ous75i.example"]


def test_a_name_that_is_none_is_refused(keys: Keys) -> None:
    with pytest.raises(MalformedMessageError, match="neither"):
        keys.issue_server_certificate(["a" * 64 + "." + "b" * 300], NOW)
    with pytest.raises(MalformedMessageError, match="at least one"):
        keys.issue_server_certificate([], NOW)


def test_the_consoles_certificate_is_renewed_in_time_and_for_new_names(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    prepare(folder, NOW, ["a.example"])
    first = (folder / "console.pem").read_text()

    prepare(folder, NOW + timedelta(days=300), ["a.example"])
    assert (folder / "console.pem").read_text() == first
    prepare(folder, NOW + timedelta(days=370), ["a.example"])
    second = (folder / "console.pem").read_text()
    assert second != first
    prepare(folder, NOW + timedelta(days=370), ["b.example"])
    assert (folder / "console.pem").read_text() != second


def test_the_companys_own_certificate_stays(tmp_path: Path) -> None:
    theirs = prepare(tmp_path / "theirs", NOW)
    chain, key = theirs.issue_server_certificate(["intra.example"], NOW)
    folder = tmp_path / "keys"
    prepare(folder, NOW)
    (folder / "console.pem").write_text(chain)
    (folder / "console.key").write_text(key)

    prepare(folder, NOW, ["other.example"])

    assert (folder / "console.pem").read_text() == chain


def test_macs_differ_by_server_and_content(tmp_path: Path, keys: Keys) -> None:
    other = prepare(tmp_path / "other", NOW)
    assert len({keys.mac(b"a"), keys.mac(b"b"), other.mac(b"a")}) == 3
    assert keys.mac(b"a") == Keys(keys.folder).mac(b"a")
