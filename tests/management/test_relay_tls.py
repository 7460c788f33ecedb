"""Every way in which a certificate for a relay can be wrong is named before a device sees it."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from management.relays import tls
from management.relays.tls import CertificateError, Flaw, read_pfx
from runtime.clock import utc_now
from tests.communication.authority import certificate, company, pfx

HOST = "relay.example.com"


def flaw(data: bytes, password: str = "secret", host: str = HOST, **how: Any) -> tuple[Flaw, str]:
    with pytest.raises(CertificateError) as caught:
        read_pfx(data, password, host, utc_now(), **{"roots": (), **how})
    assert str(caught.value).endswith(".")
    return caught.value.flaw, str(caught.value)


def test_a_good_file_is_read_in_order_without_its_root() -> None:
    data, root = company(HOST)

    read = read_pfx(data, "secret", HOST, utc_now(), ())

    names = [one.subject.rfc4514_string() for one in _certificates(read.chain)]
    assert names == [f"CN={HOST}", "CN=Company servers"]
    assert _certificates(read.ca) == [root]
    assert read.until == _certificates(read.chain)[0].not_valid_after_utc


def _certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def test_a_root_that_everybody_knows_may_be_left_out() -> None:
    root = certificate("Known", None)
    data = pfx(certificate("x", root, (HOST,)))

    assert flaw(data)[0] is Flaw.INCOMPLETE
    assert "CN=Known" in flaw(data)[1]
    assert read_pfx(data, "secret", HOST, utc_now(), (root[0],)).ca == tls._pem(root[0])


@pytest.mark.parametrize("host", ["phone.relay.example.com", "192.0.2.7", "2001:db8::7"])
def test_wildcards_and_addresses_are_covered_as_phones_see_it(host: str) -> None:
    root = certificate("CA", None)
    data = pfx(certificate("x", root, ("*.relay.example.com", "192.0.2.7", "2001:db8::7")), root[0])

    assert read_pfx(data, "secret", host, utc_now(), ()).chain


@pytest.mark.parametrize(
    "host", ["other.example.com", "a.b.example.com", "example.com", "192.0.2.8"]
)
def test_another_name_is_refused_and_says_what_it_is_for(host: str) -> None:
    root = certificate("CA", None)
    data = pfx(certificate("x", root, ("*.relay.example.com", HOST, "192.0.2.7")), root[0])

    found, sentence = flaw(data, host=host)

    assert found is Flaw.OTHER_NAME
    assert "*.relay.example.com, relay.example.com, 192.0.2.7" in sentence


def test_what_is_over_or_not_begun_is_refused() -> None:
    assert flaw(company(HOST, days=(-9, -1))[0])[0] is Flaw.EXPIRED
    assert flaw(company(HOST, days=(1, 9))[0])[0] is Flaw.NOT_YET
    root = certificate("Old root", None, days=(-100, -1))
    found, sentence = flaw(pfx(certificate("x", root, (HOST,)), root[0]))
    assert (found, "Old root" in sentence) == (Flaw.EXPIRED, True)


def test_keys_that_do_not_fit_or_are_weak_are_refused() -> None:
    root = certificate("CA", None)
    leaf = certificate("x", root, (HOST,))
    assert flaw(pfx(leaf, root[0], key=ec.generate_private_key(ec.SECP256R1())))[0] is (
        Flaw.OTHER_KEY
    )
    for key in (
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ):
        assert flaw(pfx(certificate("x", root, (HOST,), key=key), root[0]))[0] is Flaw.WEAK_KEY


def test_a_file_without_key_or_with_another_password_or_none_at_all_is_refused() -> None:
    data, root = company(HOST)
    locked = BestAvailableEncryption(b"secret")
    bare = pkcs12.serialize_key_and_certificates(b"x", None, root, None, locked)
    assert flaw(bare)[0] is Flaw.NO_KEY
    assert flaw(data, "wrong")[0] is Flaw.UNREADABLE
    assert flaw(data, "")[0] is Flaw.UNREADABLE
    assert flaw(b"")[0] is Flaw.UNREADABLE
    assert flaw(data + b"x" * 200_000)[0] is Flaw.UNREADABLE


def test_a_certificate_for_clients_is_refused() -> None:
    data = company(HOST, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)[0]

    assert flaw(data)[0] is Flaw.NO_SERVER


def test_an_issuer_that_is_no_ca_is_refused_by_the_handshake() -> None:
    root = certificate("CA", None)
    server = certificate("Server", root, ("server.example.com",))
    data = pfx(certificate("x", server, (HOST,)), server[0], root[0])

    found, sentence = flaw(data)

    assert found is Flaw.REFUSED
    assert "A device would refuse this certificate" in sentence


def test_a_file_without_password_is_read() -> None:
    root = certificate("CA", None)

    data = pfx(certificate("x", root, (HOST,)), root[0], password="")

    assert read_pfx(data, "", HOST, utc_now(), ()).chain


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    assert flaw(data)[0] is Flaw.UNREADABLE
