"""Wipes single phones through Exchange: only what management's signer signed, only the one target.

``Get-MobileDevice -Identity`` with a value that Exchange does not know may return every device, so
the target is read back first and must be exactly the one partnership that the order names.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from joserfc.jwk import ECKey

from contracts import agent, codec, envelope, keys
from contracts.agent import CommandKind
from contracts.connector import WIPE_ARGUMENTS, WipeReport
from contracts.following import follow, follow_key, newer
from contracts.trust import TrustStatement
from exchange_connector.backends.cmdlets import Exchange
from exchange_connector.management_client import ManagementClient
from exchange_connector.spool import Spool
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError

log = logging.getLogger(__name__)

KINDS = {CommandKind.WIPE: "no", CommandKind.SELECTIVE_WIPE: "yes"}
"""Kind of command, and what ``account_only`` must say with it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a signed order says."""

    command_id: UUID
    mailbox: str
    device_id: str
    guid: str
    account_only: bool


@dataclass(slots=True)
class Wiping:
    """Carries out and follows wipes."""

    spool: Spool
    connector_id: UUID
    order_key: ECKey | None
    """That of the pairing; then of the newest statement that followed from it."""

    def __post_init__(self) -> None:
        """Go on from the statement that was taken last."""
        if known := self._known():
            self.order_key = keys.read_public(known.order_signing_key)

    def learn(self, token: str | None) -> None:
        """Follow management's order-signing key by its statement, if the promises lead to it."""
        if token is None or self.order_key is None or token == self.spool.trust(self.connector_id):
            return
        try:
            known = self._known()
            said = follow(known, token) if known else follow_key(self.order_key, token)
            if known and not newer(known, said):
                return
        except SekishoError as error:
            log.warning("A statement of management is refused: %s", error)
            return
        self.spool.keep_trust(self.connector_id, token)
        self.order_key = keys.read_public(said.order_signing_key)

    def _known(self) -> TrustStatement | None:
        token = self.spool.trust(self.connector_id)
        return codec.read(TrustStatement, envelope.unverified_payload(token)) if token else None

    def new(self, tokens: tuple[str, ...]) -> list[Target]:
        """Return the targets of those orders that are right and not carried out yet."""
        targets = [self._read(token) for token in tokens]
        states = {one.command_id: self._state(one) for one in targets if one is not None}
        return [one for one in targets if one and states[one.command_id] in ("", "begun")]

    def wipe(self, exchange: Exchange, target: Target) -> None:
        """Carry one out, once: written down before the effect, and looked up after a death."""
        command_id, now = str(target.command_id), utc_now()
        begun_before = self._state(target) == "begun"
        try:
            self._check(exchange, target)
            if not (begun_before and exchange.wipe_times(target.guid)[0]):
                self.spool.wipes.keep(command_id, target.guid, "begun", now)
                exchange.wipe(target.guid, target.account_only)
        except RefusedError as error:
            log.warning("%s: not wiped: %s", target.mailbox, error)
            self.spool.wipes.keep(command_id, target.guid, "failed", now, str(error))
            return
        kind = "company account" if target.account_only else "whole phone"
        log.warning("%s: wipe of %s ordered (%s)", target.mailbox, target.device_id, kind)
        self.spool.wipes.keep(command_id, target.guid, "done", now)

    def follow(self, exchange: Exchange) -> None:
        """Look whether the phones obeyed."""
        for command_id, guid in self.spool.wipes.to_follow():
            try:
                _, obeyed_at = exchange.wipe_times(guid)
            except RefusedError as error:
                log.info("A wipe cannot be followed: %s", error)
                continue
            if obeyed_at is not None:
                self.spool.wipes.keep(command_id, guid, "acknowledged", obeyed_at)

    def tell(self, management: ManagementClient) -> None:
        """Report every state that management has not heard."""
        for command_id, state, at, detail in self.spool.wipes.to_tell():
            management.report_wipe(
                WipeReport(command_id=UUID(command_id), state=state, at=at, detail=detail)  # type: ignore[arg-type]
            )
            self.spool.wipes.note_told(command_id, state)

    def _state(self, target: Target) -> str:
        return self.spool.wipes.state(str(target.command_id))

    def _check(self, exchange: Exchange, target: Target) -> None:
        """Raise RefusedError unless Exchange shows exactly the one partnership that is meant."""
        if not target.guid or not target.device_id:
            raise RefusedError("The order names no partnership.")
        found = exchange.read_back(target.guid)
        if len(found) != 1:
            raise RefusedError(
                f"Exchange shows {len(found)} phones under this identity instead of one; nothing "
                "was wiped."
            )
        ((mailbox, device_id),) = found
        if device_id != target.device_id:
            raise RefusedError(
                f"Exchange shows DeviceId {device_id} under this identity, not {target.device_id}; "
                "nothing was wiped."
            )
        if mailbox != target.mailbox:
            raise RefusedError(
                f"Exchange shows the mailbox {mailbox} under this identity, not {target.mailbox}; "
                "nothing was wiped."
            )

    def _read(self, token: str) -> Target | None:
        """Return what *token* orders; None, with a warning, unless it is signed and for us."""
        try:
            return self._verified(token, utc_now())
        except SekishoError as error:
            log.warning("An order to wipe is refused: %s", error)
            return None

    def _verified(self, token: str, now: datetime) -> Target | None:
        if self.order_key is None:
            raise RefusedError("This pairing knows no order-signing key. Pair again.")
        order = codec.read(agent.Order, envelope.verify(token, envelope.ORDER, self.order_key))
        body = order.body
        if not isinstance(body, agent.RunCommand) or body.command not in KINDS:
            raise RefusedError("It is no wipe.")
        said = body.arguments
        if set(said) != set(WIPE_ARGUMENTS) or said["account_only"] != KINDS[body.command]:
            raise RefusedError("Its arguments are not those of a wipe through the mail server.")
        if order.aud != self.connector_id or said["connector"] != str(self.connector_id):
            raise RefusedError("It is meant for another connector.")
        if body.expires_at <= now and not self.spool.wipes.state(str(body.command_id)):
            raise RefusedError("It came too late.")
        return Target(
            body.command_id,
            said["mailbox"],
            said["device_id"],
            said["guid"],
            body.command is CommandKind.SELECTIVE_WIPE,
        )
