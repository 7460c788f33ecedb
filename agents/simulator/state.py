"""Everything a simulated device remembers, in one file that a crash cannot tear."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from agents.simulator.phone import Phone
from contracts import codec, keys
from contracts.agent import (
    Apps,
    NewAgent,
    OfferApps,
    PolicyDocument,
    PollToken,
    Posture,
    ReportItem,
    RunCommand,
    TrustStatement,
)
from runtime.errors import ConfigurationError, MalformedMessageError, RefusedError
from runtime.process import crash_point

FILE_NAME = "device.json"
MAXIMUM_BYTES = 64 * 1024 * 1024
DIARY_LENGTH = 200


@dataclass(kw_only=True)
class KeptReport:
    """A report that management has not acknowledged; it is sent again unchanged."""

    seq: int
    sealed: str
    items: list[ReportItem]
    """Packed anew only when the epoch changes."""
    stored_at: datetime | None = None
    """When a relay last said that it holds it."""


@dataclass(kw_only=True)
class Asked:
    """An enrolment under way; the body is repeated unchanged."""

    enrolment_id: UUID
    code: str
    """SHA-256 of the enrolment code: another code is another request."""
    body: str


@dataclass(kw_only=True)
class Membership:
    """What `Enrolled` gave, and the counters of its epoch."""

    device_id: UUID
    enrolment_id: UUID
    certificate: str
    ca_certificate: str
    poll_seconds: int
    digest_seconds: int
    policy: PolicyDocument
    epoch: int
    order_seq: int
    """The highest contiguous order taken; the next report's ``ack``."""
    report_seq: int = 0
    """The highest report written."""
    renew_at: datetime | None = None
    """When to renew keys and certificate."""


@dataclass(kw_only=True)
class KnownRenewal:
    """Keys that management was asked to know, and did not say yet that it does."""

    id: UUID
    signing_key: str
    encryption_key: str


@dataclass(kw_only=True)
class KnownUpload:
    """A file that management asked for and that is not sent whole."""

    id: UUID
    sha256: str
    largest_bytes: int
    expires_at: datetime
    key: str
    """Made here, for this upload only; management gets it in a sealed report."""


@dataclass(kw_only=True)
class DiaryEntry:
    """Something that happened, for people."""

    at: datetime
    what: str


@dataclass(kw_only=True)
class DeviceState:
    """The whole memory of one device."""

    v: int = 1
    signing_key: str
    encryption_key: str
    former_signing_key: str = ""
    former_encryption_key: str = ""
    """The keys before the last renewal; empty: there was none."""
    renewal: KnownRenewal | None = None
    relay_url: str = ""
    fingerprint: str = ""
    trust: TrustStatement | None = None
    trust_tag: str = ""
    trust_asked_at: datetime | None = None
    asked: Asked | None = None
    membership: Membership | None = None
    ended: str = ""
    """Why it is no longer managed."""
    reports: list[KeptReport] = field(default_factory=list)
    pending: list[ReportItem] = field(default_factory=list)
    """What the next report says."""
    to_run: list[RunCommand] = field(default_factory=list)
    """Acknowledged, not done yet."""
    offer: OfferApps | None = None
    """What the app store offers."""
    chosen: list[str] = field(default_factory=list)
    """Packages of optional apps that the user wants."""
    new_agent: NewAgent | None = None
    """A newer package of the agent that is not here yet."""
    uploads: list[KnownUpload] = field(default_factory=list)
    wipe_tries: int = 0
    commands_seen: list[str] = field(default_factory=list)
    """``COMMAND ID/ATTEMPT`` of each."""
    problems_seen: list[str] = field(default_factory=list)
    token: PollToken | None = None
    relay_ahead_seconds: float = 0.0
    """The relay's clock minus ours; used for request signatures and nothing else."""
    management_ahead_seconds: float | None = None
    """Management's clock minus ours, as its orders say."""
    posture_said: Posture | None = None
    apps_said: Apps | None = None
    reported_at: datetime | None = None
    phone: Phone = field(default_factory=Phone)
    diary: list[DiaryEntry] = field(default_factory=list)

    def note(self, at: datetime, what: str) -> None:
        """Write a line into the diary."""
        self.diary = [*self.diary, DiaryEntry(at=at, what=what)][-DIARY_LENGTH:]

    def forget(self, why: str, at: datetime) -> None:
        """Drop keys, enrolment and all that was not sent; only phone and diary stay."""
        empty = new_state()
        for name in DeviceState.__dataclass_fields__:
            if name not in ("phone", "diary"):
                setattr(self, name, getattr(empty, name))
        self.ended = why
        self.note(at, why)

    def member(self) -> Membership:
        """Return the membership; RefusedError when the device is not enrolled."""
        if self.membership is None:
            why = f" ({self.ended.rstrip('.')})" if self.ended else ""
            raise RefusedError(
                f"This device is not enrolled{why}. Enrol it with the code from an invitation."
            )
        return self.membership

    def request(self) -> Asked:
        """Return the enrolment under way; RefusedError when there is none."""
        if self.asked is None:
            raise RefusedError("No enrolment is under way on this device.")
        return self.asked

    def known_trust(self) -> TrustStatement:
        """Return management's statement; RefusedError before the first question to a relay."""
        if self.trust is None:
            self.member()
            raise RefusedError("This device knows no management yet; enrol it first.")
        return self.trust


def new_state() -> DeviceState:
    """Return the state of a device that was never enrolled, with keys of its own."""
    return DeviceState(
        signing_key=keys.private_json(keys.new_key()),
        encryption_key=keys.private_json(keys.new_key()),
    )


class StateFile:
    """The file of one device; two programs may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE_NAME
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self) -> DeviceState:
        """Return the state; a new device when there is none yet."""
        if not self.path.exists():
            with self.changing("first use") as state:
                return state
        return self._read()

    @contextmanager
    def changing(self, what: str) -> Iterator[DeviceState]:
        """Yield the state alone and write it when the block ends well; *what* names the step."""
        with self._alone("state.lock"):
            before = self.path.read_bytes() if self.path.exists() else b""
            state = self._read() if before else new_state()
            yield state
            after = codec.write(state)
            if after != before:
                crash_point(f"before commit device {what}")
                self._write(after)
                crash_point(f"after commit device {what}")

    @contextmanager
    def checking_in(self) -> Iterator[None]:
        """Hold off other check-ins of this device: order and receipt belong together."""
        with self._alone("check-in.lock"):
            yield

    def _read(self) -> DeviceState:
        try:
            return codec.read(DeviceState, self.path.read_bytes(), MAXIMUM_BYTES)
        except MalformedMessageError as error:
            raise ConfigurationError(
                f"{self.path} is no simulated device ({error}) Choose another folder."
            ) from None

    def _write(self, body: bytes) -> None:
        """Replace the file in one step: after a crash the old or the new one is there, whole."""
        draft = self.path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with os.fdopen(os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
