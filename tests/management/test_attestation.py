"""Secure hardware proves a device's key and system, from the chain to the judgement."""

import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey
from sqlalchemy.orm import Session

from agents.simulator.attesting import Hardware, attest, describe, ensure_root
from contracts import codec, envelope, keys
from contracts.agent import (
    AskAttestation,
    Attestation,
    DeviceDescription,
    Digest,
    EnrolmentRequest,
    KeyProof,
    Posture,
    Renewal,
)
from contracts.attestation import (
    EXTENSION,
    PROVISIONING,
    BootState,
    SecurityLevel,
    enrolment_challenge,
    read_key_description,
    renewal_challenge,
)
from contracts.link import Inbound
from management.attestation.models import DeviceAttestation
from management.attestation.rules import (
    GOOGLE_ROOTS,
    Anchors,
    UnprovedError,
    failing,
    fingerprint,
    prove,
)
from management.attestation.service import PATIENCE
from management.attestation.trust import anchors
from management.compliance.explaining import explain
from management.compliance.judgement import Rule
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.queries import get_facts
from management.devices.replay import rebuild_facts
from management.devices.rules import FactKind
from management.policies.rules import Requirements
from management.policies.service import change_policy
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, UnavailableError
from tests.management.phones import Office, Phone, office

QUESTION = b"q" * 32


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(root_file=str(tmp_path / "root.pem"))


@pytest.fixture
def key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def trusting(hardware: Hardware, *revoked: str) -> Anchors:
    _, root = ensure_root(Path(hardware.root_file))
    return Anchors(frozenset({fingerprint(root)}), frozenset(revoked))


def opened(chain: tuple[str, ...]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(b64decode(one)) for one in chain]


def closed(*chain: x509.Certificate) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return tuple(b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain)


# --- the chain ---


def test_a_sound_chain_proves_key_boot_and_patch(
    hardware: Hardware, key: ec.EllipticCurvePublicKey
) -> None:
    chain = attest(hardware, key, QUESTION, "15", "2026-09-05")

    proof = prove(chain, QUESTION, trusting(hardware), utc_now())

    assert proof.key == key
    assert (proof.described.os_version, proof.described.patch_level) == ("15", "2026-09")
    assert failing(proof.described) == ""


def test_nobody_elses_root_counts(hardware: Hardware, key: ec.EllipticCurvePublicKey) -> None:
    chain = attest(hardware, key, QUESTION, "15", None)

    with pytest.raises(UnprovedError, match="root that does not count"):
        prove(chain, QUESTION, Anchors(), utc_now())
    assert len(GOOGLE_ROOTS) == 2


def test_a_chain_for_another_question_is_refused(
    hardware: Hardware, key: ec.EllipticCurvePublicKey
) -> None:
    chain = attest(hardware, key, b"another", "15", None)

    with pytest.raises(UnprovedError, match="another question"):
        prove(chain, QUESTION, trusting(hardware), utc_now())


def test_a_revoked_key_anywhere_in_the_chain_is_refused(
    hardware: Hardware, key: ec.EllipticCurvePublicKey
) -> None:
    chain = attest(hardware, key, QUESTION, "15", None)

    for one in opened(chain):
        with pytest.raises(UnprovedError, match="revoked"):
            prove(chain, QUESTION, trusting(hardware, f"{one.serial_number:x}"), utc_now())


def test_a_chain_that_is_broken_short_or_rubbish_is_refused(
    hardware: Hardware, key: ec.EllipticCurvePublicKey
) -> None:
    leaf, batch, root = attest(hardware, key, QUESTION, "15", None)
    other = attest(hardware, key, QUESTION, "15", None)
    wrong = {
        (): "no chain",
        (leaf,): "no chain",
        (leaf, other[1], root): "not signed by the next",
        (leaf, root): "not signed by the next",
        (leaf, batch, "AAAA"): "cannot be read",
        (batch, root): "does not say how the key was made",
    }
    for chain, why in wrong.items():
        with pytest.raises(UnprovedError, match=why):
            prove(chain, QUESTION, trusting(hardware), utc_now())


def _signed(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *extensions: tuple[str, bytes],
    days: int = 30,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=60))
        .not_valid_after(utc_now() + timedelta(days=days))
    )
    for oid, value in extensions:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unknown, False)
    return builder.sign(signer, hashes.SHA256())


def test_an_attested_key_cannot_vouch_for_another(hardware: Hardware) -> None:
    """A key in honest hardware signs, so its owner could write a certificate below its own."""
    attested, invented = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    honest = opened(attest(hardware, attested.public_key(), b"honest", "15", None))
    lie = describe(QUESTION, BootState.VERIFIED, True, "16", "2026-12")
    forged = _signed("Lie", invented.public_key(), honest[0].subject, attested, (EXTENSION, lie))

    with pytest.raises(UnprovedError, match="made longer"):
        prove(closed(forged, *honest), QUESTION, trusting(hardware), utc_now())


@pytest.mark.parametrize("days", [30, -1], ids=["valid", "run out"])
def test_keys_issued_over_the_network_hold_only_in_their_time(
    hardware: Hardware, key: ec.EllipticCurvePublicKey, days: int
) -> None:
    root_key, root = ensure_root(Path(hardware.root_file))
    batch_key = ec.generate_private_key(ec.SECP256R1())
    batch = _signed(
        "Batch", batch_key.public_key(), root.subject, root_key, (PROVISIONING, b"\xa0"), days=days
    )
    said = describe(QUESTION, BootState.VERIFIED, True, "15", "2026-09")
    leaf = _signed("Leaf", key, batch.subject, batch_key, (EXTENSION, said))
    chain = closed(leaf, batch, root)

    if days > 0:
        assert prove(chain, QUESTION, trusting(hardware), utc_now()).key == key
    else:
        with pytest.raises(UnprovedError, match="not valid today"):
            prove(chain, QUESTION, trusting(hardware), utc_now())


@pytest.mark.parametrize(
    ("boot", "locked", "level", "why"),
    [
        ("verified", False, 1, "the boot loader is unlocked"),
        ("unverified", False, 2, "not verified at the start and the boot loader is unlocked"),
        ("self_signed", True, 1, "signed by somebody other"),
        ("failed", True, 1, "failed verification"),
        ("verified", True, 0, "in software"),
    ],
)
def test_a_system_that_is_not_the_makers_fails_with_the_reason(
    boot: str, locked: bool, level: int, why: str
) -> None:
    said = describe(QUESTION, BootState[boot.upper()], locked, "15", "", SecurityLevel(level))

    assert why in failing(read_key_description(said))


def test_a_system_of_another_maker_counts_when_its_key_is_accepted(context: Context) -> None:
    said = read_key_description(describe(QUESTION, BootState.SELF_SIGNED, True, "15", ""))
    root = said.root_of_trust
    assert root is not None
    key = root.boot_key.hex()
    asked = replace(context.settings, attestation_boot_keys=f"{'ab' * 32}, {key.upper()}")

    assert key in failing(said)
    assert failing(said, anchors(asked).boot_keys) == ""
    assert "unlocked" in failing(
        replace(said, root_of_trust=replace(root, is_locked=False)), anchors(asked).boot_keys
    )


# --- whose word counts ---


def test_roots_and_revoked_keys_come_from_files(context: Context, hardware: Hardware) -> None:
    _, root = ensure_root(Path(hardware.root_file))
    settings = replace(context.settings, attestation_roots=hardware.root_file)
    assert anchors(settings).roots == GOOGLE_ROOTS | {fingerprint(root)}
    assert anchors(settings).revoked == frozenset()

    status = {"entries": {"00ABcd": {"status": "REVOKED"}, "12": {"status": "SUSPENDED"}}}
    (settings.home / "attestation-status.json").write_text(json.dumps(status))
    assert anchors(settings).revoked == {"abcd", "12"}


@pytest.mark.parametrize("text", ["", "[]", '{"entries": 5}'], ids=["empty", "list", "number"])
def test_a_broken_list_of_revoked_keys_is_named(context: Context, text: str) -> None:
    (context.settings.home / "attestation-status.json").write_text(text)

    with pytest.raises(ConfigurationError, match="no list of revoked"):
        anchors(context.settings)


def test_a_list_that_is_spoilt_later_counts_as_it_was_read_last(context: Context) -> None:
    status = context.settings.home / "attestation-status.json"
    status.write_text('{"entries": {"abcd": {}}}')
    assert anchors(context.settings).revoked == {"abcd"}
    status.write_text("half a li")
    assert anchors(context.settings).revoked == {"abcd"}
    status.write_text('{"entries": {}}')
    assert anchors(context.settings).revoked == frozenset()


# --- devices ---


@pytest.fixture
def desk(context: Context, hardware: Hardware) -> Office:
    """A server that believes the simulated maker, with a policy that asks for proof."""
    ensure_root(Path(hardware.root_file))
    trusting_it = replace(context.settings, attestation_roots=hardware.root_file)
    desk = office(replace(context, settings=trusting_it))
    with context.database.transaction("ask for proof") as session:
        asked = Requirements(attested=True)
        change_policy(session, desk.policy_id, asked, {}, "keeper", "proof", utc_now())
    return desk


@pytest.fixture
def read(context: Context) -> Iterator[Session]:
    with Session(context.database.engine) as session:
        yield session


class ProvingPhone(Phone):
    """A phone whose secure hardware answers."""

    hardware: Hardware

    def proving_request(self, hardware: Hardware, key: Any = None) -> Inbound:
        self.hardware = hardware
        code = self.office.invite()
        challenge = enrolment_challenge(code, self.enrolment_id)
        attested = key or keys.raw_public(self.signing_key)
        request = EnrolmentRequest(
            enrolment_id=self.enrolment_id,
            aud="management",
            sent_at=utc_now(),
            enrolment_key=code,
            signing_key=keys.public_jwk(self.signing_key),
            encryption_key=keys.public_jwk(self.encryption_key),
            device=DeviceDescription(platform="android", model="Pixel"),
            attestation=attest(hardware, attested, challenge, "15", "2026-09-05"),
        )
        sealed = self.seal(codec.write(request), envelope.ENROLMENT)
        return self.office.inbound_item("enrolment", self.enrolment_id, sealed)

    def prove_and_enrol(
        self, hardware: Hardware, key: Any = None, request: Inbound | None = None
    ) -> "ProvingPhone":
        self.office.take(request or self.proving_request(hardware, key))
        body = self.answer().body
        self.device_id, self.policy, self.ack = body.device_id, body.policy, 1  # type: ignore[union-attr]
        return self

    def questions(self) -> list[str]:
        found = [order.body for order in self.orders()]
        return [one.challenge for one in found if isinstance(one, AskAttestation)]

    def answers(self, challenge: str) -> Attestation:
        fresh = ec.generate_private_key(ec.SECP256R1()).public_key()
        raw = urlsafe_b64decode(challenge + "=")
        return Attestation(
            challenge=challenge, chain=attest(self.hardware, fresh, raw, "15", "2026-09-05")
        )

    def renewal(self, fresh: ECKey, box: ECKey, attested: bool = True) -> Renewal:
        renewal_id = uuid4()
        token = KeyProof(
            device_id=self.device_id,
            renewal_id=renewal_id,
            former_thumbprint=keys.thumbprint(self.signing_key),
            signing_key=keys.public_jwk(fresh),
            encryption_key=keys.public_jwk(box),
        )
        challenge = renewal_challenge(self.device_id, renewal_id)
        chain = attest(self.hardware, keys.raw_public(fresh), challenge, "15", "2026-09-05")
        return Renewal(
            renewal_id=renewal_id,
            proof=envelope.sign(codec.write(token), envelope.RENEWAL, fresh),
            attestation=chain if attested else (),
        )

    def renew(self, attested: bool = True) -> None:
        """Ask for new keys and use them from the next report on."""
        fresh, box = keys.new_key(), keys.new_key()
        self.office.take(self.report(self.renewal(fresh, box, attested)))
        self.signing_key = fresh
        self.office.take(self.report(Digest()))
        self.encryption_key = box


def attested(read: Session, phone: Phone) -> dict[str, Any]:
    read.rollback()
    found: dict[str, Any] = get_facts(read, phone.device_id)[FactKind.ATTESTATION].value
    return found


def broken(read: Session, phone: Phone) -> set[Rule]:
    read.rollback()
    return {one.rule for one in get_judgement(read, phone.device_id).violations}


def test_a_device_that_proves_its_key_at_enrolment_keeps_the_rule(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    desk.take(phone.report(phone.good(security_patch="2026-09-05")))

    assert attested(read, phone) == {"passed": True, "because": ""}
    facts = get_facts(read, phone.device_id)
    assert facts[FactKind.ATTESTED].source == "attestation"
    assert facts[FactKind.ATTESTED].value["boot_state"] == "verified"
    assert Rule.ATTESTED not in broken(read, phone)
    assert rebuild_facts(read, phone.row(read)) == facts


def test_a_chain_for_another_key_proves_nothing(
    desk: Office, read: Session, hardware: Hardware, key: ec.EllipticCurvePublicKey
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware, key)
    desk.take(phone.report(phone.good()))

    assert attested(read, phone)["because"].startswith("the attested key is not the one")
    assert FactKind.ATTESTED not in get_facts(read, phone.device_id)
    assert Rule.ATTESTED in broken(read, phone)


def test_an_unlocked_device_is_let_in_and_named(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    unlocked = replace(hardware, is_locked=False, boot_state="unverified")
    phone = ProvingPhone(desk).prove_and_enrol(unlocked)
    desk.take(phone.report(phone.good()))

    assert {Rule.ATTESTED, Rule.NOT_ROOTED} <= broken(read, phone)
    why = explain(read, phone.device_id, None, utc_now())
    assert [(one.kind, one.said.value, one.proved.value) for one in why.contradictions] == [
        (FactKind.ROOTED, False, True)
    ]


def test_a_device_without_hardware_is_unknown_and_never_asked(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))

    assert FactKind.ATTESTATION not in get_facts(read, phone.device_id)
    assert Rule.ATTESTED in broken(read, phone)
    assert read.get(DeviceAttestation, phone.device_id) is None


def test_a_device_that_comes_back_with_an_unproved_key_has_failed(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    """Else the proof of a key that it uses no longer would stand for ever."""
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    desk.take(phone.report(phone.good()))
    phone.renew(attested=False)
    assert attested(read, phone)["passed"] is True

    phone.enrolment_id = uuid4()
    phone.enrol()

    assert attested(read, phone)["because"] == "it enrolled without proving its key"
    assert Rule.ATTESTED in broken(read, phone)


def test_a_device_that_comes_back_with_its_proved_key_keeps_its_proof(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)

    phone.enrolment_id = uuid4()
    phone.enrol()

    assert attested(read, phone)["passed"] is True


def test_it_is_asked_anew_after_a_week_and_answers_with_a_fresh_key(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    desk.take(phone.report(phone.good()))
    assert phone.questions() == []

    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(Digest(), sent_at=later), now=later)
    (challenge,) = phone.questions()
    desk.take(phone.report(Digest()), now=later)
    assert phone.questions() == [challenge]
    phone.hardware = replace(hardware, is_locked=False)
    desk.take(phone.report(phone.answers(challenge)), now=later)

    assert attested(read, phone)["because"] == "the boot loader is unlocked"
    row = read.get_one(DeviceAttestation, phone.device_id)
    assert (row.challenge, row.answered_at) == ("", later)


def test_an_answer_counts_once(desk: Office, read: Session, hardware: Hardware) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(phone.good()), now=later)
    (challenge,) = phone.questions()
    desk.take(phone.report(phone.answers(challenge)), now=later)

    phone.hardware = replace(hardware, boot_state="failed")
    desk.take(phone.report(phone.answers(challenge)), now=later)

    assert attested(read, phone)["passed"] is True


def test_who_is_asked_and_stays_silent_about_it_has_failed(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    asked = utc_now() + timedelta(days=8)
    desk.take(phone.report(phone.good()), now=asked)
    desk.take(phone.report(Digest()), now=asked + PATIENCE - timedelta(hours=1))
    assert attested(read, phone)["passed"] is True

    desk.take(phone.report(Digest()), now=asked + PATIENCE)

    assert "has not answered" in attested(read, phone)["because"]
    (challenge,) = phone.questions()
    desk.take(phone.report(phone.answers(challenge)), now=asked + PATIENCE)
    assert attested(read, phone)["passed"] is True


def test_the_hardware_wins_over_the_devices_own_word(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    """A later word holds until the question that it causes is answered."""
    truth = replace(hardware, os_version="13", security_patch="2024-01")
    phone = ProvingPhone(desk).prove_and_enrol(truth)
    claim = phone.good(security_patch="2026-09-05")
    start = utc_now() + timedelta(hours=2)
    desk.take(phone.report(claim, sent_at=start), now=start)
    (challenge,) = phone.questions()
    why = explain(read, phone.device_id, None, start)
    assert {one.kind: one.is_settled for one in why.contradictions} == {
        FactKind.OS_VERSION: False,
        FactKind.SECURITY_PATCH: False,
    }

    desk.take(phone.report(phone.answers(challenge)), now=start + timedelta(minutes=5))

    read.rollback()
    why = explain(read, phone.device_id, None, start + timedelta(minutes=6))
    assert [one.is_settled for one in why.contradictions] == [True, True]
    assert why.facts[FactKind.SECURITY_PATCH].value == "2026-09-05"


def test_a_server_that_cannot_read_its_list_blames_no_device(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(phone.good()), now=later)
    (challenge,) = phone.questions()
    (desk.context.settings.home / "attestation-status.json").write_text("broken")

    desk.take(phone.report(phone.answers(challenge)), now=later)

    assert attested(read, phone)["passed"] is True
    desk.take(phone.report(Digest()), now=later + timedelta(hours=2))
    assert len(phone.questions()) == 2


def test_an_enrolment_and_a_renewal_wait_until_the_server_can_check_them(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    """A chain comes only once: who was refused by our own fault could never prove its key."""
    status = desk.context.settings.home / "attestation-status.json"
    status.write_text("broken")
    phone = ProvingPhone(desk)
    request = phone.proving_request(hardware)
    with pytest.raises(UnavailableError, match="no list of revoked"):
        desk.take(request)
    status.unlink()
    phone.prove_and_enrol(hardware, request=request)
    desk.take(phone.report(phone.good()))

    status.write_text("broken")
    fresh = keys.new_key()
    report = phone.report(phone.renewal(fresh, keys.new_key()))
    with pytest.raises(UnavailableError, match="no list of revoked"):
        desk.take(report)
    status.unlink()
    desk.take(report)

    assert attested(read, phone)["passed"] is True
    row = read.get_one(DeviceAttestation, phone.device_id)
    assert row.next_thumbprint == keys.thumbprint(fresh)


def test_a_posture_says_nothing_of_the_hardware(
    desk: Office, read: Session, hardware: Hardware
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(replace(hardware, boot_state="failed"))
    desk.take(phone.report(Posture(rooted=None)))

    why = explain(read, phone.device_id, None, utc_now())
    assert why.contradictions == ()


@pytest.mark.parametrize("proved", [True, False], ids=["proved", "not proved"])
def test_renewed_keys_are_proved_too_or_later_proofs_do_not_count(
    desk: Office, read: Session, hardware: Hardware, proved: bool
) -> None:
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    desk.take(phone.report(phone.good()))
    phone.renew(proved)
    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(Digest()), now=later)
    asked = phone.opened(desk.waiting(phone.device_id)[-1]).body
    assert isinstance(asked, AskAttestation)

    desk.take(phone.report(phone.answers(asked.challenge)), now=later)

    assert attested(read, phone)["passed"] is proved


@pytest.mark.parametrize("answers_between", [True, False], ids=["asked between", "not asked"])
def test_a_proof_goes_on_through_many_renewals(
    desk: Office, read: Session, hardware: Hardware, answers_between: bool
) -> None:
    """An answer while the first renewal's key signs and the second's waits counts too."""
    phone = ProvingPhone(desk).prove_and_enrol(hardware)
    desk.take(phone.report(phone.good()))
    phone.renew()
    later = utc_now() + timedelta(days=8)
    desk.take(phone.report(Digest()), now=later)
    asked = phone.opened(desk.waiting(phone.device_id)[-1]).body
    assert isinstance(asked, AskAttestation)
    fresh, box = keys.new_key(), keys.new_key()
    desk.take(phone.report(phone.renewal(fresh, box)), now=later)
    if not answers_between:
        phone.signing_key = fresh
    desk.take(phone.report(phone.answers(asked.challenge)), now=later)

    assert attested(read, phone) == {"passed": True, "because": ""}
