"""How connectors and wipes through mail servers stand. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

WARNING_AFTER = timedelta(minutes=5)
DISCONNECTED_AFTER = timedelta(minutes=9)


class ConnectorState(StrEnum):
    """How a connector stands."""

    NORMAL = "normal"
    WAITING = "waiting"
    """Paired, and has not called yet."""
    WARNING = "warning"
    DISCONNECTED = "disconnected"
    DISABLED = "disabled"


class WipeState(StrEnum):
    """How far a wipe through the mail server is."""

    QUEUED = "queued"
    """Waits for the signer, or for the connector."""
    DONE = "done"
    """The mail server took the order; the phone obeys at its next synchronisation."""
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether the connector has still to be told."""
        return self is WipeState.QUEUED


def connector_state(
    disabled_at: datetime | None, contact_at: datetime | None, now: datetime
) -> ConnectorState:
    """Return how a connector stands that called last at *contact_at*."""
    if disabled_at is not None:
        return ConnectorState.DISABLED
    if contact_at is None:
        return ConnectorState.WAITING
    silent = now - contact_at
    if silent > DISCONNECTED_AFTER:
        return ConnectorState.DISCONNECTED
    return ConnectorState.WARNING if silent > WARNING_AFTER else ConnectorState.NORMAL
