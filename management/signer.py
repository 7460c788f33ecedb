"""Signs orders in a process of its own, within limits that the web process cannot lift.

It parses each order itself and signs what it understood. Counters, clock, one-time code seeds and
approvers are its own. Where it runs under its own user, taking over the web process is not enough
to wipe a fleet; where it does not, the limits still hold against mistakes (DESIGN.md, decision 4).
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_never

from contracts import agent, codec, envelope
from contracts import keys as jwk
from contracts.download import DownloadValues
from management import signer_approvals as approvals
from management import signer_checkpoints as checkpoints
from management import signer_messages as messages
from management import signer_notes as notes
from management import signer_orders as orders
from management import signer_totp as totp
from management import signer_trust as trust
from management.key_files import SealedFolder, locked, prepare_folder
from management.signer_rules import NAMES, Limits
from management.signer_store import Books, Clock, Store
from runtime.errors import ForbiddenError, RefusedError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: whether they run the machine (root, or the signer's own user), and their account,
    as the kernel knows both.
    """

    runs_machine: bool
    account: str = ""


MACHINE = "command line"
"""The actor in the audit trail of what only who runs the machine may do."""
ITSELF = "signer"


class Signer:
    """The keys, the books and the answers; `signer_server` puts it behind a socket."""

    def __init__(self, folder: Path, limits: Limits, clock: Clock | None = None) -> None:
        """Open *folder*, making what is missing; ConfigurationError when something is lost."""
        with locked(folder):
            self._sealed: SealedFolder = prepare_folder(folder)
            self._keys = trust.OrderKeys(self._sealed)
            self._store = Store(folder / "signer.db", clock or Clock())
            with self._store.transaction("begin trust") as books:
                trust.begin(books)
        self._limits = limits

    def answer(self, body: messages.Body, asker: Asker) -> dict[str, Any]:
        """Do what is asked; errors of `runtime.errors` say why not."""
        match body:
            case messages.SignOrders():
                return {"signed": self._sign_orders(body)}
            case messages.SignTrust():
                return {"token": self._sign_trust(body.statement, asker)}
            case messages.SignDownload():
                return {"token": self._sign_download(body.values)}
            case messages.ConfirmTrust() | messages.Succeed():
                return self._change_trust(body, asker)
            case messages.Describe():
                return self._describe()
            case messages.Pause() | messages.Resume():
                return self._about_pause(body, asker)
            case messages.Checkpoint() | messages.ForgetCheckpoint():
                return self._about_trail(body, asker)
            case messages.Propose() | messages.Proposals() | messages.Approve():
                return self._about_approvals(body, asker)
            case messages.TakeNotes() | messages.NewestNotes():
                with self._store.transaction("hand over notes") as books:
                    return {"notes": notes.asked_for(books, body)}
            case _:
                return self._about_codes(body, asker)

    def close(self) -> None:
        """Close the books."""
        self._store.close()

    # --- orders ---

    def _sign_orders(self, asked: messages.SignOrders) -> list[dict[str, str]]:
        """Count all that has limits in one transaction, then sign; each is refused by itself."""
        read = [(codec.read(agent.Order, one.order), one.requested_by) for one in asked.orders]
        refusals: list[orders.Refusal | None] = [None] * len(read)
        if any(_has_limits(order) for order, _ in read):
            with self._store.transaction("count orders") as books:
                refusals = [orders.admit(books, order, by, self._limits) for order, by in read]
        return [
            self._signed(order, refusal) for (order, _), refusal in zip(read, refusals, strict=True)
        ]

    def _signed(self, order: agent.Order, refusal: orders.Refusal | None) -> dict[str, str]:
        if refusal is not None:
            return {"token": "", "why": refusal.why, "text": refusal.text}
        token = envelope.sign(codec.write(order), envelope.ORDER, self._keys.key)
        return {"token": token, "why": "", "text": ""}

    def _about_pause(self, body: messages.Pause | messages.Resume, asker: Asker) -> dict[str, Any]:
        if isinstance(body, messages.Resume):
            return self._resume(body, asker)
        return self._set_pause(body.because or "no reason given", ITSELF, asker)

    def _set_pause(self, because: str, actor: str, asker: Asker) -> dict[str, Any]:
        with self._store.transaction("pause") as books:
            before = books.read(orders.PAUSED)
            books.write(orders.PAUSED, because)
            if because != before:
                action, told = "signer.pause" if because else "signer.resume", asker.account
                notes.keep_bounded(books, actor, action, "wipes", reason=because, account=told)
        return {}

    def _resume(self, body: messages.Resume, asker: Asker) -> dict[str, Any]:
        if body.approver:
            self._prove(body.approver, body.code)
        elif not asker.runs_machine:
            raise ForbiddenError(
                "Wipes are resumed with an approver's code, or by `sekisho resume` on the server "
                "as the signer's user or root."
            )
        return self._set_pause("", approvals.plain(body.approver) or MACHINE, asker)

    # --- approvals ---

    def _about_approvals(
        self, body: messages.Propose | messages.Proposals | messages.Approve, asker: Asker
    ) -> dict[str, Any]:
        if isinstance(body, messages.Approve):
            return self._approve(body, asker)
        with self._store.transaction("propose") as books:
            if isinstance(body, messages.Propose):
                return approvals.propose(books, body, self._limits)
            found = approvals.listed(books, self._limits)
            if body.noted:
                told: dict[str, Any] = {"shown": len(found), "account": asker.account}
                actor = MACHINE if asker.runs_machine else ITSELF
                notes.keep_bounded(books, actor, "look.list", "command sets", **told)
            return {"proposals": found}

    def _approve(self, body: messages.Approve, asker: Asker) -> dict[str, Any]:
        with self._store.transaction("look up the set") as books:
            approvals.shown(books, body.fingerprint, self._limits)
        self._prove(body.approver, body.code)
        with self._store.transaction("approve") as books:
            done = approvals.approve(books, body.fingerprint, body.approver, self._limits)
            name, told = approvals.plain(body.approver), {"account": asker.account}
            notes.keep(books, name, "signer.approve", body.fingerprint, done["because"], **told)
            return done

    def _prove(self, name: str, code: str) -> None:
        """Raise RefusedError unless *code* is the approver's; a wrong one is counted."""
        with self._store.transaction("prove approver") as books:
            right = approvals.proves(books, self._sealed, name, code, self._store.clock.wall())
        if not right:
            raise RefusedError(totp.WRONG)

    # --- one-time code devices ---

    def _about_codes(
        self,
        body: messages.BeginTotp
        | messages.CheckTotp
        | messages.ForgetTotp
        | messages.BeginApprover
        | messages.ConfirmApprover
        | messages.RemoveApprover,
        asker: Asker,
    ) -> dict[str, Any]:
        wall = self._store.clock.wall()
        with self._store.transaction(body.kind.replace("_", " ")) as books:
            match body:
                case messages.BeginTotp():
                    owner = str(body.administrator_id)
                    return {"uri": totp.begin(books, self._sealed, owner, body.name)}
                case messages.CheckTotp():
                    owner = str(body.administrator_id)
                    return {"right": totp.check(books, self._sealed, owner, body.code, wall)}
                case messages.ForgetTotp():
                    totp.forget(books, str(body.administrator_id))
                    return {}
            _only_here(asker, "Approvers are made and removed")
            name = approvals.plain(body.name)
            match body:
                case messages.BeginApprover():
                    return {"uri": approvals.begin(books, self._sealed, body.name)}
                case messages.ConfirmApprover():
                    found = approvals.confirm(books, self._sealed, body.name, body.code, wall)
                    if found:
                        notes.keep(books, MACHINE, "approver.add", name, account=asker.account)
                    return {"right": found}
                case messages.RemoveApprover():
                    approvals.remove(books, body.name)
                    notes.keep(books, MACHINE, "approver.remove", name, account=asker.account)
                    return {}
        assert_never(body)

    # --- trust ---

    def _sign_trust(self, text: str, asker: Asker) -> str:
        statement = codec.read(agent.TrustStatement, text)
        held = ""
        with self._store.transaction("count trust") as books:
            trust.check(books, self._keys, statement)
            new = trust.strange(books, statement)
            if new and not asker.runs_machine:
                held = trust.hold(books, statement, new)
            else:
                trust.pin(books, statement)
        if held:
            raise RefusedError(held)
        return envelope.sign(codec.write(statement), envelope.TRUST, self._keys.key)

    def _sign_download(self, text: str) -> str:
        values = codec.read(DownloadValues, text)
        if values.order_signing_key != jwk.public_jwk(self._keys.key):
            raise RefusedError("The values for a package name another order-signing key.")
        return envelope.sign(codec.write(values), envelope.DOWNLOAD, self._keys.key)

    def _change_trust(
        self, body: messages.ConfirmTrust | messages.Succeed, asker: Asker
    ) -> dict[str, Any]:
        if isinstance(body, messages.Succeed):
            _only_here(asker, "The order-signing key is changed")
            return self._succeed(body.fingerprint, asker)
        _only_here(asker, "A new key or relay is confirmed")
        with self._store.transaction("confirm trust") as books:
            told: dict[str, Any] = {"confirmed": trust.confirm(books, body.fingerprint)}
            notes.keep(books, MACHINE, "trust.confirm", "trust", account=asker.account, **told)
        return {}

    def _succeed(self, fingerprint: str, asker: Asker) -> dict[str, Any]:
        with self._store.transaction("succeed") as books:
            if fingerprint == jwk.thumbprint(self._keys.key):
                trust.hand_over(books, self._keys)
                told = {"successor": self._keys.successor, "account": asker.account}
                notes.keep(books, MACHINE, "trust.succeed", fingerprint, **told)
        # Safe on disk before the old key goes: without its last word devices would not follow.
        with self._store.transaction("change the key"):
            if fingerprint == jwk.thumbprint(self._keys.key):
                self._keys.succeed()
            return {"thumbprint": jwk.thumbprint(self._keys.key)}

    # --- the audit trail ---

    def _about_trail(
        self, body: messages.Checkpoint | messages.ForgetCheckpoint, asker: Asker
    ) -> dict[str, Any]:
        if isinstance(body, messages.ForgetCheckpoint):
            _only_here(asker, "A checkpoint of the audit trail is forgotten")
            with self._store.transaction("forget checkpoint") as books:
                checkpoints.forget(books)
                told = {"account": asker.account}
                notes.keep(books, MACHINE, "audit.forget", "audit trail", body.because, **told)
            log.warning("A checkpoint is forgotten.", extra={"because": body.because})
            return {}
        with self._store.transaction("take checkpoint") as books:
            taken = checkpoints.take(books, body.seq, body.mac)
        return {"token": envelope.sign(codec.write(taken), envelope.AUDIT, self._keys.key)}

    # --- what it says of itself ---

    def _describe(self) -> dict[str, Any]:
        with self._store.transaction("describe") as books:
            return {
                "public_key": jwk.public_jwk(self._keys.key),
                "thumbprint": jwk.thumbprint(self._keys.key),
                "successor_thumbprint": self._keys.successor,
                "succession": trust.current_succession(books, self._keys),
                "trust_issue": int(books.read(trust.TRUST_ISSUE) or 0),
                "trust_waits": trust.waits(books),
                "checkpoint": books.read(checkpoints.LAST),
                **self._safety(books),
            }

    def _safety(self, books: Books) -> dict[str, Any]:
        return {
            "paused_because": books.read(orders.PAUSED),
            "limits": asdict(self._limits),
            "allowed": {kind.value: self._limits.of(kind) for kind in NAMES},
            "used": {kind.value: orders.used_by_all(books, kind.value) for kind in NAMES},
            "approved_today": orders.approved_today(books),
            "approvers": approvals.names(books),
        }


def _has_limits(order: agent.Order) -> bool:
    return isinstance(order.body, agent.RunCommand) and order.body.command in NAMES


def _only_here(asker: Asker, what: str) -> None:
    if not asker.runs_machine:
        raise ForbiddenError(f"{what} on the server itself, as the signer's user or root.")
