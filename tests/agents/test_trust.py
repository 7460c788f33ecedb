"""What an enrolment code and a trust statement may say."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.simulator import trust
from contracts import codec, envelope, following, keys
from contracts.agent import RelayEntry, TrustStatement
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError, SekishoError, UnauthenticatedError

KEY, OTHER = keys.new_key(), keys.new_key()
FP = keys.thumbprint(KEY)
GOOD = f"sekisho://enrol?relay=https%3A%2F%2Frelay.example%3A4343&key=K-1&fp={FP}"
STATEMENT = TrustStatement(
    issue=3,
    issued_at=utc_now(),
    order_signing_key=keys.public_jwk(KEY),
    encryption_key=keys.public_jwk(OTHER),
    successor_thumbprint=keys.thumbprint(OTHER),
    relays=(
        RelayEntry(url="https://a.example:4343", ca_certificates=("A",)),
        RelayEntry(url="https://b.example:4343/", ca_certificates=("B", "C")),
    ),
)


def _signed(statement: TrustStatement = STATEMENT, typ: str = envelope.TRUST) -> str:
    return envelope.sign(codec.write(statement), typ, KEY)


def test_a_code_says_where_with_what_and_whom_to_trust() -> None:
    read = trust.read_qr(f"  {GOOD}\n")

    assert read == trust.Invitation("https://relay.example:4343", "K-1", FP)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "hello",
        "https://relay.example/?relay=x&key=y&fp=z",
        GOOD.replace("enrol?", "other?"),
        GOOD.replace("https", "http"),
        GOOD.replace("https%3A%2F%2Frelay.example%3A4343", "https%3A%2F%2F"),
        GOOD.replace(FP, FP[:-1]),
        GOOD.replace(FP, FP[:-1] + "="),
        GOOD.replace(f"&fp={FP}", ""),
        GOOD.replace("key=K-1&", ""),
        f"{GOOD}&key=K-2",
        f"{GOOD}&fp={FP}",
        "sekisho://enrol",
        "sekisho://[enrol?",
        GOOD.replace("4343", "no-port"),
    ],
    ids=lambda _: "case",  # keys are new in each process
)
def test_a_code_that_lacks_or_repeats_a_part_is_refused(code: str) -> None:
    with pytest.raises(MalformedMessageError):
        trust.read_qr(code)


@settings(deadline=None)
@given(st.text() | st.text().map(lambda text: f"sekisho://enrol?{text}"))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        trust.read_qr(text)


def test_a_statement_is_believed_when_the_code_vouches_for_its_signer() -> None:
    assert following.read_statement(_signed(), FP) == STATEMENT


@pytest.mark.parametrize(
    "token",
    [
        _signed(replace(STATEMENT, order_signing_key=keys.public_jwk(OTHER))),
        envelope.sign(codec.write(STATEMENT), envelope.TRUST, OTHER),
        _signed(typ=envelope.ORDER),
        _signed(replace(STATEMENT, encryption_key={"kty": "EC"})),
        "",
        "a.b.c",
    ],
    ids=lambda _: "case",  # keys are new in each process
)
def test_any_other_statement_is_refused(token: str) -> None:
    with pytest.raises(SekishoError):
        following.read_statement(token, FP)


def test_a_statement_for_another_code_is_refused() -> None:
    with pytest.raises(UnauthenticatedError):
        following.read_statement(_signed(), keys.thumbprint(OTHER))


def test_only_a_higher_issue_replaces() -> None:
    assert following.newer(STATEMENT, replace(STATEMENT, issue=4))
    assert not following.newer(STATEMENT, STATEMENT)
    with pytest.raises(RefusedError, match="2, but 3"):
        following.newer(STATEMENT, replace(STATEMENT, issue=2))
    with pytest.raises(RefusedError, match="Two different"):
        following.newer(STATEMENT, replace(STATEMENT, relays=()))


def test_tls_chains_to_the_relays_own_list() -> None:
    assert trust.certificates(STATEMENT, "https://a.example:4343") == ("A",)
    assert trust.certificates(STATEMENT, "https://b.example:4343") == ("B", "C")
    assert trust.certificates(STATEMENT, "https://else.example") == ("A", "B", "C")
