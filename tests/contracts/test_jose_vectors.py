"""What we seal, another implementation opens, and the other way round (Debian's `jose`)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from contracts import envelope, keys
from runtime.errors import MalformedMessageError, UnauthenticatedError
from tests.contracts.jose_tool import RECIPIENT, SIGNER, JoseTool

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "jose_vectors.json").read_text(encoding="utf-8")
)
MESSAGES: list[dict[str, str]] = VECTORS["messages"]
KINDS = (envelope.ORDER, envelope.REPORT, envelope.ENROLMENT, envelope.TRUST)
of_each_kind = pytest.mark.parametrize("message", MESSAGES, ids=[m["typ"] for m in MESSAGES])


@pytest.fixture
def signer() -> ECKey:
    return keys.read_private(json.dumps(SIGNER))


@pytest.fixture
def recipient() -> ECKey:
    return keys.read_private(json.dumps(RECIPIENT))


@pytest.fixture
def tool(tmp_path: Path) -> JoseTool:
    return JoseTool(tmp_path)


def test_the_vectors_cover_every_kind_of_signed_message() -> None:
    assert tuple(message["typ"] for message in MESSAGES) == KINDS


def test_thumbprints_are_those_of_the_other_implementation(signer: ECKey, recipient: ECKey) -> None:
    assert keys.thumbprint(signer) == VECTORS["signer_thumbprint"]
    assert keys.thumbprint(recipient) == VECTORS["recipient_thumbprint"]


@of_each_kind
def test_we_open_what_jose_sealed(message: dict[str, str], signer: ECKey, recipient: ECKey) -> None:
    opened = envelope.open_sealed(message["sealed_by_jose"], message["typ"], signer, recipient)

    assert opened.decode() == message["payload"]
    assert envelope.verify(message["signed_by_jose"], message["typ"], signer) == opened
    assert envelope.recipient_of(message["sealed_by_jose"]) == VECTORS["recipient_thumbprint"]


@of_each_kind
def test_we_still_open_what_we_sealed_when_the_vectors_were_made(
    message: dict[str, str], signer: ECKey, recipient: ECKey
) -> None:
    opened = envelope.open_sealed(message["sealed_by_us"], message["typ"], signer, recipient)

    assert opened.decode() == message["payload"]


@of_each_kind
def test_a_signature_by_jose_does_not_pass_as_another_kind_or_from_another_key(
    message: dict[str, str], signer: ECKey, recipient: ECKey
) -> None:
    for other in set(KINDS) - {message["typ"]}:
        with pytest.raises(UnauthenticatedError):
            envelope.open_sealed(message["sealed_by_jose"], other, signer, recipient)
    with pytest.raises(UnauthenticatedError):
        envelope.open_sealed(message["sealed_by_jose"], message["typ"], recipient, recipient)
    with pytest.raises(MalformedMessageError):
        envelope.open_sealed(message["sealed_by_jose"], message["typ"], signer, signer)


@of_each_kind
def test_jose_opens_what_we_sealed_long_ago_and_now(
    tool: JoseTool, message: dict[str, str], signer: ECKey, recipient: ECKey
) -> None:
    fresh = envelope.seal(message["payload"].encode(), message["typ"], signer, recipient)

    for sealed in (message["sealed_by_us"], fresh):
        token = tool.decrypt(sealed, RECIPIENT)
        assert tool.verify(token, SIGNER).decode() == message["payload"]


@of_each_kind
def test_we_open_what_jose_seals_now(
    tool: JoseTool, message: dict[str, str], signer: ECKey, recipient: ECKey
) -> None:
    token = tool.sign(message["payload"].encode(), message["typ"], SIGNER)
    sealed = tool.encrypt(token, RECIPIENT)

    opened = envelope.open_sealed(sealed, message["typ"], signer, recipient)
    assert opened.decode() == message["payload"]


def test_jose_refuses_what_was_altered_after_we_sealed_it(tool: JoseTool) -> None:
    parts = MESSAGES[0]["sealed_by_us"].split(".")
    parts[3] = ("B" if parts[3][0] == "A" else "A") + parts[3][1:]

    with pytest.raises(subprocess.CalledProcessError):
        tool.decrypt(".".join(parts), RECIPIENT)


def test_keys_of_either_side_serve_the_other(tool: JoseTool) -> None:
    theirs = keys.read_private(json.dumps(tool.new_key()))
    ours = json.loads(keys.private_json(keys.new_key()))

    assert tool.thumbprint(ours) == keys.thumbprint(keys.read_private(json.dumps(ours)))
    assert envelope.verify(tool.sign(b"x", "t", ours), "t", keys.read_public(ours)) == b"x"
    assert tool.verify(envelope.sign(b"x", "t", theirs), theirs.as_dict(private=True)) == b"x"
