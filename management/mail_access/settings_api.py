"""What programs do to connectors, and the settings of mail access."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.connector import Door, LogLevel, WhenSilent
from management.access import Permission
from management.administrators import step_up
from management.api.bodies import Because, Proof
from management.api.operations import STRICT, FileAnswer, Reason, Whole, operation
from management.mail_access import by_hand, dry_run, logs, queries, service, words
from management.mail_access import connectors as pairing
from management.mail_access.console_api import ConnectorAnswer, described_connector
from management.mail_access.pages import by
from management.mail_access.rules import AllowedStates, AutomaticFor, MailSettings
from management.personal import file_of
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("mail_settings_api", __name__, url_prefix="/api/v1/mail-access")
CONNECTOR = "/connectors/<uuid:connector_id>"
MANAGE = Permission.MANAGE_MAIL_ACCESS
Hours = Annotated[int, Field(ge=0, le=8760), Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingCodeAnswer:
    """What is carried to the machine beside Exchange; it pairs once."""

    code: str
    command: str
    gate_command: str
    """The same for an inline gate."""
    own_authority: bool
    """False: the console's certificate comes from the company's own CA, whose file is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSwitch:
    """Whether a connector is let in."""

    __pydantic_config__ = STRICT

    enabled: bool
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorUndo:
    """Whether everything that a connector did is taken back."""

    __pydantic_config__ = STRICT

    undone: bool
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorLevel:
    """How much a connector logs for an hour; then it is `info` again."""

    __pydantic_config__ = STRICT

    level: LogLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettingsAnswer:
    """How mail access is decided."""

    __pydantic_config__ = STRICT

    automatic: bool
    when_silent: WhenSilent | Literal[""]
    """What a connector does that hears nothing from here; needed before `automatic`."""
    silent_hours: Annotated[int, Field(ge=1, le=8760), Whole]
    automatic_for: AutomaticFor
    excluded_groups: Annotated[tuple[UUID, ...], Field(max_length=50)]
    allowed: AllowedStates
    block_unmanaged: bool
    unmanaged_grace_days: Annotated[int, Field(ge=0, le=365), Whole]
    grace_restarts_after_days: Annotated[int, Field(ge=0, le=3650), Whole]
    managed_grace_hours: Hours
    out_of_sync_grace_hours: Hours
    close_doors: Annotated[tuple[Door, ...], Field(max_length=6)]
    block_limit: Annotated[int, Field(ge=0, le=1_000_000), Whole]
    block_limit_percent: Annotated[int, Field(ge=0, le=100), Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettingsChange:
    """Settings that are to hold."""

    __pydantic_config__ = STRICT

    settings: MailSettingsAnswer
    seen: Annotated[str, Field(pattern=r"^[0-9a-f-]{0,100}$")] = ""
    """From the preview of exactly these settings within the hour; needed to switch `automatic` on.
    """
    because: Reason


# --- connectors ---


@operation(
    bp, "/connectors/pairing-codes", MANAGE, "POST", 201, refusals=(409,), answers_secret=True
)
def make_connector_code(body: Proof) -> PairingCodeAnswer:
    """Make a code with which a connector or gate pairs; it is answered this once."""
    step_up.require_code(body.code)
    with transaction("make a pairing code") as session:
        secret = pairing.make_pairing_code(session, context().keys, by(), utc_now())
    text = words.pairing_text(context().keys, context().settings, secret)
    return PairingCodeAnswer(
        code=text.code,
        command=text.command,
        gate_command=text.gate_command,
        own_authority=text.own_authority,
    )


@operation(bp, CONNECTOR, Permission.VIEW)
def get_connector(connector_id: UUID) -> ConnectorAnswer:
    """Get one connector as it stands."""
    with reading() as session:
        return described_connector(queries.get_connector(session, connector_id), utc_now())


@operation(bp, f"{CONNECTOR}/switch", MANAGE, "PUT", refusals=(409,))
def switch_connector(connector_id: UUID, body: ConnectorSwitch) -> ConnectorAnswer:
    """Let a connector work, or refuse it from now on; what it did at the mail server stays."""
    act = pairing.enable_connector if body.enabled else pairing.disable_connector
    with transaction("switch a connector") as session:
        act(session, context().keys, connector_id, by(), body.because, utc_now())
        return described_connector(queries.get_connector(session, connector_id), utc_now())


@operation(bp, f"{CONNECTOR}/undo", MANAGE, "PUT", refusals=(409,))
def undo_connector(connector_id: UUID, body: ConnectorUndo) -> ConnectorAnswer:
    """Take back everything that a connector did, or let it go on."""
    with transaction("undo a connector") as session:
        keys, now = context().keys, utc_now()
        by_hand.undo(session, keys, connector_id, body.undone, by(), body.because, now)
        return described_connector(queries.get_connector(session, connector_id), now)


@operation(bp, f"{CONNECTOR}/log-level", MANAGE, "PUT", refusals=(409,))
def set_connector_level(connector_id: UUID, body: ConnectorLevel) -> ConnectorAnswer:
    """Let a connector log more or less for an hour."""
    with transaction("change a connector's log level") as session:
        keys, now = context().keys, utc_now()
        pairing.change_log_level(session, keys, connector_id, body.level, by(), now)
        return described_connector(queries.get_connector(session, connector_id), now)


@operation(bp, f"{CONNECTOR}/log", MANAGE, "POST", 202, (409,))
def order_connector_log(connector_id: UUID) -> ConnectorAnswer:
    """Ask a connector for its log; it comes at its next call, and GET fetches it then."""
    with transaction("order a connector's log") as session:
        logs.order_log(session, context().keys, connector_id, by(), utc_now())
        return described_connector(queries.get_connector(session, connector_id), utc_now())


@operation(
    bp,
    f"{CONNECTOR}/log",
    MANAGE,
    media_type="application/zip",
    shows=file_of("connector.log_file", "log of a connector"),
)
def get_connector_log(connector_id: UUID) -> FileAnswer:
    """Get the log that a connector sent, as the ZIP that it made; 404 until it came."""
    with reading() as session:
        return FileAnswer(*logs.get_file(session, connector_id))


@operation(bp, f"{CONNECTOR}/log/cancel", MANAGE, "POST", refusals=(409,))
def cancel_connector_log(connector_id: UUID) -> ConnectorAnswer:
    """Take the order of a log back, or throw away what came."""
    with transaction("take the order of a log back") as session:
        logs.cancel_log(session, context().keys, connector_id, by(), utc_now())
        return described_connector(queries.get_connector(session, connector_id), utc_now())


@dataclass(frozen=True, slots=True, kw_only=True)
class HangingOnConnector:
    """What is forgotten with a connector."""

    phones: int
    blocked: int
    """Of the phones, by it; they stay so at the mail server unless it is undone first."""
    by_hand: int
    """Words of administrators about single phones."""
    wipes: int
    """Phones with a wipe that is not over."""


@operation(bp, f"{CONNECTOR}/deletion", MANAGE, refusals=(404,))
def preview_connector_deletion(connector_id: UUID) -> HangingOnConnector:
    """Get what hangs on a connector, before it is deleted."""
    with reading() as session:
        return HangingOnConnector(**asdict(pairing.look(session, connector_id)))


@operation(bp, f"{CONNECTOR}/delete", MANAGE, "POST", refusals=(409,))
def delete_connector(connector_id: UUID, body: Because) -> ConnectorAnswer:
    """Forget a disabled connector and what it reported; answers as it stood."""
    with transaction("delete a connector") as session:
        gone = described_connector(queries.get_connector(session, connector_id), utc_now())
        keys, now = context().keys, utc_now()
        pairing.delete_connector(session, keys, connector_id, by(), body.because, now)
        return gone


# --- settings ---


@operation(bp, "/settings", Permission.VIEW)
def get_mail_settings() -> MailSettingsAnswer:
    """Get how mail access is decided."""
    with reading() as session:
        return MailSettingsAnswer(**asdict(queries.read_mail_settings(session)))


@operation(bp, "/settings", MANAGE, "PUT", refusals=(409,))
def change_mail_settings(body: MailSettingsChange) -> MailSettingsAnswer:
    """Let settings hold; every phone is decided anew in the background.

    To switch `automatic` on, look first who would lose mail (`preview_mail_settings`).
    """
    entered = MailSettings(**asdict(body.settings))
    with transaction("save mail settings") as session:
        _require_seen(entered, queries.read_mail_settings(session), body.seen)
        service.change_settings(session, context().keys, entered, by(), body.because, utc_now())
    return body.settings


def _require_seen(entered: MailSettings, now: MailSettings, seen: str) -> None:
    if not entered.automatic:
        return
    if not entered.when_silent:
        raise RefusedError("Choose what a connector does that hears nothing: when_silent.")
    if now.automatic:
        return
    if why := dry_run.why_unseen(context().keys, entered, seen, utc_now()):
        raise RefusedError(f"{why} Send what the preview answers as seen.")
