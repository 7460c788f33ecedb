"""Approvals: the exact set, by approvers' own codes; and what the signer says of management."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.agent import CommandKind
from management import signer_messages as messages
from management.signer import Asker, Signer
from management.signer_client import SignerClient
from management.signer_messages import MOST_PROPOSED, ProposedOrder
from management.signer_rules import Limits, Wanted, content_of, fingerprint_of
from management.signer_server import running
from management.signer_store import Clock
from runtime.errors import ForbiddenError, NotFoundError, RefusedError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FEW = Limits(wipes_per_hour=2, wipes_per_day=3, wipes_per_administrator=2)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.wall, self.booted = NOW.timestamp(), 1000.0

    def pass_(self, length: timedelta) -> None:
        self.wall += length.total_seconds()
        self.booted += length.total_seconds()

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: ("boot", self.booted))


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
def signer(tmp_path: Path, at: Time) -> Iterator[SignerClient]:
    with running(tmp_path / "signer", FEW, at.clock()) as path:
        yield SignerClient(path)


class Approver:
    """A person with an authenticator app."""

    def __init__(self, signer: SignerClient, at: Time, name: str) -> None:
        self.at, self.name = at, name
        uri = signer.begin_approver(name)
        self.totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
        assert signer.confirm_approver(name, self.code())

    def code(self) -> str:
        """Return a code that was not used yet."""
        self.at.pass_(timedelta(seconds=60))
        return self.totp.at(int(self.at.wall))


def order(wanted: ProposedOrder) -> agent.Order:
    return agent.Order(
        iss="management",
        aud=wanted.recipient,
        epoch=1,
        seq=2,
        ack=0,
        sent_at=NOW,
        body=agent.RunCommand(
            command_id=wanted.command_id,
            command=wanted.command,
            arguments=wanted.arguments,
            expires_at=NOW + timedelta(days=1),
        ),
    )


def wipes(number: int) -> list[ProposedOrder]:
    return [
        ProposedOrder(command_id=uuid4(), command=CommandKind.WIPE, recipient=uuid4(), arguments={})
        for _ in range(number)
    ]


def use_up(signer: SignerClient) -> None:
    for one in wipes(2):
        signer.sign_order(order(one), str(one.command_id))


def approved(signer: SignerClient, at: Time, wanted: list[ProposedOrder]) -> None:
    fingerprint = signer.propose(wanted, "aoi", "stolen van")["fingerprint"]
    for name in ("ren", "sora"):
        signer.approve(fingerprint, name, Approver(signer, at, name).code())


def test_two_approvers_let_exactly_their_set_pass_the_limits(
    signer: SignerClient, at: Time
) -> None:
    use_up(signer)
    wanted = wipes(5)
    said = signer.propose(wanted, "aoi", "stolen van")
    assert (said["kinds"], said["approved"], said["needed"]) == ({"wipe": 5}, False, 2)
    ren, sora = (Approver(signer, at, name) for name in ("ren", "sora"))

    half = signer.approve(said["fingerprint"], "ren", ren.code())
    with pytest.raises(RefusedError, match="2 approvers must prove"):
        signer.sign_order(order(wanted[0]))
    whole = signer.approve(said["fingerprint"], "sora", sora.code())

    assert (half["approved"], whole["approved"]) == (False, True)
    assert all(one.token for one in signer.sign_orders([(order(w), "aoi") for w in wanted]))
    assert signer.status()["approved_today"] == 5
    with pytest.raises(RefusedError):
        signer.sign_order(order(wipes(1)[0]))


def test_one_person_is_not_two(signer: SignerClient, at: Time) -> None:
    use_up(signer)
    wanted = wipes(1)
    fingerprint = signer.propose(wanted, "aoi", "")["fingerprint"]
    ren = Approver(signer, at, "Ren")
    for spelt in ("ren", "REN", " ren "):
        said = signer.approve(fingerprint, spelt, ren.code())
    assert (said["approved"], said["approved_by"]) == (False, ["ren"])
    with pytest.raises(RefusedError):
        signer.sign_order(order(wanted[0]))


@pytest.mark.parametrize("changed", ["device", "kind", "argument", "command"])
def test_an_approval_covers_nothing_else(signer: SignerClient, at: Time, changed: str) -> None:
    use_up(signer)
    wanted = wipes(3)
    approved(signer, at, wanted)
    other = {
        "device": replace(wanted[0], recipient=uuid4()),
        "kind": replace(wanted[0], command=CommandKind.RESET_PASSCODE),
        "argument": replace(wanted[0], arguments={"text": "x"}),
        "command": replace(wanted[0], command_id=uuid4()),
    }[changed]
    resets = Limits(wipes_per_hour=0, passcode_resets_per_hour=0)
    assert resets.of(CommandKind.WIPE) is not None
    if changed == "kind":  # has budget of its own; use that up first
        for _ in range(20):
            reset = ProposedOrder(
                command_id=uuid4(), command=other.command, recipient=uuid4(), arguments={}
            )
            signer.sign_order(order(reset))

    with pytest.raises(RefusedError):
        signer.sign_order(order(other))
    signer.sign_order(order(wanted[0]))


def test_an_approval_runs_out(tmp_path: Path, at: Time) -> None:
    with running(tmp_path / "signer", replace(FEW, wipes_per_hour=0), at.clock()) as path:
        signer = SignerClient(path)
        wanted = wipes(2)
        approved(signer, at, wanted)
        at.pass_(timedelta(minutes=55))
        signer.sign_order(order(wanted[0]), "aoi")
        at.pass_(timedelta(minutes=6))
        with pytest.raises(RefusedError):
            signer.sign_order(order(wanted[1]), "aoi")
        signer.sign_order(order(wanted[0]), "aoi")  # it counted once; repeating it needs nobody


def test_who_asked_does_not_approve_alone_where_one_is_enough(tmp_path: Path, at: Time) -> None:
    limits = replace(FEW, wipes_per_hour=0, approvers_needed=1)
    with running(tmp_path / "signer", limits, at.clock()) as path:
        signer = SignerClient(path)
        aoi, ren = (Approver(signer, at, name) for name in ("aoi", "ren"))
        wanted = wipes(1)
        fingerprint = signer.propose(wanted, "Aoi", "")["fingerprint"]

        assert not signer.approve(fingerprint, "aoi", aoi.code())["approved"]
        with pytest.raises(RefusedError, match="other than whoever asked"):
            signer.sign_order(order(wanted[0]))
        assert signer.approve(fingerprint, "ren", ren.code())["approved"]


def test_approvals_have_a_limit_too(tmp_path: Path, at: Time) -> None:
    limits = replace(FEW, wipes_per_hour=0, approved_per_day=3)
    with running(tmp_path / "signer", limits, at.clock()) as path:
        signer = SignerClient(path)
        wanted = wipes(5)
        approved(signer, at, wanted)
        signed = signer.sign_orders([(order(one), "aoi") for one in wanted])
    assert [one.why for one in signed] == ["", "", "", "limit", "limit"]
    assert "whoever approves" in signed[-1].text


def test_a_limit_holds_for_each_person(signer: SignerClient, at: Time) -> None:
    for one in wipes(2):
        signer.sign_order(order(one), "aoi")
    at.pass_(timedelta(minutes=61))
    with pytest.raises(RefusedError, match="2 wipe commands by one administrator"):
        signer.sign_order(order(wipes(1)[0]), "aoi")
    signer.sign_order(order(wipes(1)[0]), "ren")


def test_codes_for_signing_in_approve_nothing(signer: SignerClient, at: Time) -> None:
    administrator = uuid4()
    uri = signer.begin_totp(administrator, "ren")
    sign_in = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    ren = Approver(signer, at, "ren")
    assert sign_in.secret != ren.totp.secret
    fingerprint = signer.propose(wipes(1), "aoi", "")["fingerprint"]

    with pytest.raises(RefusedError, match="wrong or was used"):
        signer.approve(fingerprint, "ren", sign_in.at(int(at.wall)))
    with pytest.raises(RefusedError, match="is no approver"):
        signer.approve(fingerprint, "invented", "123456")
    signer.begin_approver("half made")
    with pytest.raises(RefusedError, match="is no approver"):
        signer.approve(fingerprint, "half made", "123456")


def test_wrong_codes_of_an_approver_are_throttled(signer: SignerClient, at: Time) -> None:
    ren = Approver(signer, at, "ren")
    fingerprint = signer.propose(wipes(1), "aoi", "")["fingerprint"]
    wrong = f"{(int(ren.code()) + 1) % 1_000_000:06}"
    for _ in range(5):
        with pytest.raises(RefusedError, match="wrong"):
            signer.approve(fingerprint, "ren", wrong)
    with pytest.raises(RefusedError, match="Too many wrong codes"):
        signer.approve(fingerprint, "ren", ren.totp.at(int(at.wall)))


def test_a_removed_approver_approves_nothing_and_approved_nothing(
    signer: SignerClient, at: Time
) -> None:
    use_up(signer)
    wanted = wipes(1)
    approved(signer, at, wanted)
    signer.remove_approver("REN")
    with pytest.raises(RefusedError):
        signer.sign_order(order(wanted[0]))
    with pytest.raises(NotFoundError):
        signer.remove_approver("ren")
    assert signer.status()["approvers"] == ["sora"]


def test_only_who_runs_the_machine_makes_approvers_and_changes_keys(tmp_path: Path) -> None:
    signer, web = Signer(tmp_path / "signer", FEW), Asker(runs_machine=False)
    fingerprint = signer.answer(messages.Describe(), web)["thumbprint"]
    bodies: list[messages.Body] = [
        messages.BeginApprover(name="mallory"),
        messages.ConfirmApprover(name="mallory", code="123456"),
        messages.RemoveApprover(name="ren"),
        messages.Succeed(fingerprint=fingerprint),
        messages.ConfirmTrust(fingerprint="0" * 64),
        messages.Resume(),
    ]
    for body in bodies:
        with pytest.raises(ForbiddenError):
            signer.answer(body, web)
    assert signer.answer(messages.Describe(), web)["approvers"] == []
    signer.answer(messages.ForgetTotp(administrator_id=uuid4()), web)  # recovery by the console
    signer.close()


def test_an_approver_resumes_wipes_from_afar(tmp_path: Path, at: Time) -> None:
    signer, web = Signer(tmp_path / "signer", FEW, at.clock()), Asker(runs_machine=False)
    root = Asker(runs_machine=True)
    uri = signer.answer(messages.BeginApprover(name="ren"), root)["uri"]
    totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    signer.answer(messages.ConfirmApprover(name="ren", code=totp.at(int(at.wall))), root)
    at.pass_(timedelta(seconds=60))
    signer.answer(messages.Pause(because="drill"), web)

    with pytest.raises(RefusedError):
        signer.answer(messages.Resume(approver="ren", code="000000"), web)
    signer.answer(messages.Resume(approver="ren", code=totp.at(int(at.wall))), web)

    assert signer.answer(messages.Describe(), web)["paused_because"] == ""
    signer.close()


def test_sets_are_bounded_and_make_sense(signer: SignerClient) -> None:
    one = wipes(1)[0]
    with pytest.raises(RefusedError, match="each command once"):
        signer.propose([one, replace(one, recipient=uuid4())], "aoi", "")
    with pytest.raises(RefusedError, match="need no approval: locate"):
        signer.propose([replace(one, command=CommandKind.LOCATE)], "aoi", "")
    assert signer.propose(wipes(MOST_PROPOSED), "aoi", "")["kinds"] == {"wipe": MOST_PROPOSED}
    for _ in range(120):
        signer.propose(wipes(1), "aoi", "")
    assert len(signer.proposals()) == 100


_IDS = st.integers(0, 3).map(lambda number: UUID(int=number))
_WANTED = st.builds(
    Wanted,
    _IDS,
    st.sampled_from(["wipe", "selective_wipe"]),
    _IDS,
    st.sampled_from([{}, {"text": "a"}]).map(content_of),
)


@given(st.lists(_WANTED, max_size=4), st.lists(_WANTED, max_size=4), st.randoms())
def test_a_fingerprint_is_the_sets_own(
    one: list[Wanted], other: list[Wanted], chance: object
) -> None:
    same = list(reversed(one))
    assert fingerprint_of(one) == fingerprint_of(same)
    assert (fingerprint_of(one) == fingerprint_of(other)) == (sorted(one) == sorted(other))


# --- what the signer says of management ---


def statement(signer: Signer, issue: int = 1, **changed: object) -> agent.TrustStatement:
    said = signer.answer(messages.Describe(), Asker(runs_machine=False))
    made = agent.TrustStatement(
        issue=issue,
        issued_at=NOW,
        order_signing_key=said["public_key"],
        encryption_key=ENCRYPTION,
        successor_thumbprint=said["successor_thumbprint"],
        relays=(RELAY,),
        succession=tuple(said["succession"]),
    )
    return replace(made, **changed)  # type: ignore[arg-type]


ENCRYPTION = jwk.public_jwk(jwk.new_key())
RELAY = agent.RelayEntry(url="https://relay.example:4343", ca_certificates=("PEM",))


def sign(signer: Signer, said: agent.TrustStatement, runs_machine: bool = False) -> str:
    body = messages.SignTrust(statement=codec.write(said).decode())
    return str(signer.answer(body, Asker(runs_machine=runs_machine))["token"])


@pytest.mark.parametrize(
    "changed",
    [
        {"encryption_key": jwk.public_jwk(jwk.new_key())},
        {"relays": (RELAY, replace(RELAY, url="https://elsewhere.example:4343"))},
        {"relays": (replace(RELAY, ca_certificates=("PEM", "ANOTHER")),)},
    ],
    ids=["encryption key", "relay", "relay CA"],
)
def test_devices_are_not_told_of_a_new_key_or_relay_before_the_operator_confirms_it(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    signer, root = Signer(tmp_path / "signer", FEW), Asker(runs_machine=True)
    sign(signer, statement(signer))
    sign(signer, statement(signer, 2))
    new = statement(signer, 3, **changed)
    for _ in range(2):
        with pytest.raises(RefusedError, match="sekisho trust confirm"):
            sign(signer, new)
    waits = signer.answer(messages.Describe(), root)["trust_waits"]
    assert len(waits["new"]) == 1
    with pytest.raises(RefusedError, match="Something else waits"):
        signer.answer(messages.ConfirmTrust(fingerprint="0" * 64), root)

    signer.answer(messages.ConfirmTrust(fingerprint=waits["fingerprint"]), root)

    assert sign(signer, new)
    assert signer.answer(messages.Describe(), root)["trust_waits"] == {}
    with pytest.raises(RefusedError):  # confirmed once, not for ever after it was taken away
        sign(signer, statement(signer, 4, encryption_key=jwk.public_jwk(jwk.new_key())))
    signer.close()


def test_taking_a_relay_away_needs_nobody_and_the_machines_own_user_needs_no_other(
    tmp_path: Path,
) -> None:
    signer = Signer(tmp_path / "signer", FEW)
    sign(signer, statement(signer))
    assert sign(signer, statement(signer, 2, relays=()))
    assert sign(signer, statement(signer, 3), runs_machine=True)
    signer.close()


def test_the_successor_takes_over_once_and_the_chain_is_kept(tmp_path: Path) -> None:
    signer, root = Signer(tmp_path / "signer", FEW), Asker(runs_machine=True)
    first = signer.answer(messages.Describe(), root)
    for _ in range(2):  # the same wish twice is one change
        signer.answer(messages.Succeed(fingerprint=first["thumbprint"]), root)
    second = signer.answer(messages.Describe(), root)
    assert second["thumbprint"] == first["successor_thumbprint"]
    assert len(second["succession"]) == 1
    signer.answer(messages.Succeed(fingerprint=second["thumbprint"]), root)
    third = signer.answer(messages.Describe(), root)
    assert (third["thumbprint"], len(third["succession"])) == (second["successor_thumbprint"], 2)
    key = jwk.read_public(third["public_key"])
    assert envelope.verify(sign(signer, statement(signer)), envelope.TRUST, key)
    signer.close()
    again = Signer(tmp_path / "signer", FEW)
    assert again.answer(messages.Describe(), root)["thumbprint"] == third["thumbprint"]
    again.close()


@pytest.mark.parametrize("crashed_after", ["draft", "first file"])
def test_a_change_of_keys_that_crashed_is_finished_or_undone(
    tmp_path: Path, crashed_after: str
) -> None:
    signer, root = Signer(tmp_path / "signer", FEW), Asker(runs_machine=True)
    before = signer.answer(messages.Describe(), root)
    sealed = signer._sealed
    sealed.make_missing("next-successor", lambda: jwk.private_json(jwk.new_key()))
    if crashed_after == "first file":
        signer._keys._write("order-signing", sealed.read("successor"))
    signer.close()

    again = Signer(tmp_path / "signer", FEW)
    after = again.answer(messages.Describe(), root)
    moved = after["thumbprint"] == before["successor_thumbprint"]
    assert moved == (crashed_after == "first file")
    assert after["thumbprint"] != after["successor_thumbprint"]
    assert not (tmp_path / "signer" / "next-successor.sealed").exists()
    again.close()
