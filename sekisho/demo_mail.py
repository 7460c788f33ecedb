"""The demonstration's mail server: it knows phones and does what management wants."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from contracts import connector as messages
from contracts import keys as jwk
from contracts.agent import DeviceDescription
from exchange_connector.management_client import ManagementClient
from management.context import Context
from management.mail_access.connectors import make_pairing_code
from management.mail_access.rules import By, MailSettings
from management.mail_access.service import change_settings
from runtime.clock import utc_now

NAME = "Demonstration mail server"
UNMANAGED = 12
"""Mailboxes with one more phone, which nobody manages."""


@dataclass
class MailServer:
    """A made-up Exchange behind a real connector identity; its state is one JSON file."""

    context: Context
    path: Path

    def fill(self, fleet: Sequence[DeviceDescription], chance: random.Random) -> None:
        """Pair with management, and give each phone of *fleet* a partnership."""
        key = jwk.new_key()
        with self.context.database.transaction("demo pairing code") as session:
            by = By("demonstration")
            code = make_pairing_code(session, self.context.keys, by, utc_now())
            chosen = MailSettings(automatic=True, when_silent="hold")
            why = "the demonstration shows mail control"
            change_settings(session, self.context.keys, chosen, by, why, utc_now())
        with self._client(jwk.private_json(key), jwk.thumbprint(key)) as client:
            connector_id = client.pair(code, NAME, version("sekisho")).connector_id
        phones = [_managed(place, about) for place, about in enumerate(fleet)]
        phones += [_unmanaged(chance.randrange(len(fleet)), chance) for _ in range(UNMANAGED)]
        self._write({"key": jwk.private_json(key), "id": str(connector_id), "phones": phones})

    def run_pass(self) -> None:
        """Report every phone, do what is wanted, report that, as a connector does."""
        state = json.loads(self.path.read_text(encoding="utf-8"))
        with self._client(state["key"], state["id"]) as client:
            client.report_partnerships([_partnership(one) for one in state["phones"]], utc_now())
            answer = client.get_access("")
            applied = _apply(state["phones"], answer[0]) if answer else []
            for start in range(0, len(applied), messages.BATCH):
                client.report_applied(applied[start : start + messages.BATCH])
            client.report_status(
                messages.ConnectorStatus(
                    version=version("sekisho"), at=utc_now(), exchange_reachable=True, waiting=0
                )
            )
        self._write(state)

    def _client(self, key: str, key_id: str) -> ManagementClient:
        address = f"https://localhost:{self.context.settings.port}"
        authority = self.context.keys.ca_certificate()
        return ManagementClient(address, authority, jwk.read_private(key), key_id)

    def _write(self, state: dict[str, object]) -> None:
        self.path.touch(mode=0o600)
        self.path.write_text(json.dumps(state), encoding="utf-8")


Phone = dict[str, str]


def _managed(place: int, about: DeviceDescription) -> Phone:
    return _phone(f"user{place:03d}", about.exchange_device_id, about.model, about.platform, 100)


def _unmanaged(place: int, chance: random.Random) -> Phone:
    device_id = f"unknown{chance.randrange(16**8):08X}"
    return _phone(f"user{place:03d}", device_id, "Tablet", "android", chance.choice((2, 40)))


def _phone(user: str, device_id: str, model: str, platform: str, days: int) -> Phone:
    return {
        "mailbox": user,
        "user_address": f"{user}@example.com",
        "device_id": device_id,
        "device_model": model,
        "device_type": "iPhone" if platform == "ios" else "Android",
        "state": "Allowed",
        "first_sync_at": (utc_now() - timedelta(days=days)).isoformat(),
    }


def _partnership(phone: Phone) -> messages.Partnership:
    blocked = phone["state"] == "Blocked"
    return messages.Partnership(
        mailbox=phone["mailbox"],
        user_address=phone["user_address"],
        device_id=phone["device_id"],
        guid=str(uuid5(NAMESPACE_URL, f"{phone['mailbox']}/{phone['device_id']}")),
        open_doors=("activesync", "ews", "owa", "mapi"),
        device_type=phone["device_type"],
        device_model=phone["device_model"],
        access_state=phone["state"],
        access_reason="Individual" if blocked else "Global",
        first_sync_at=datetime.fromisoformat(phone["first_sync_at"]),
    )


def _apply(phones: list[Phone], wanted: messages.WantedAccess) -> list[messages.Applied]:
    if wanted.paused:
        return []
    asked = {(one.mailbox, one.device_id): one.access for one in wanted.wanted}
    done = []
    for phone in phones:
        access = asked.get((phone["mailbox"], phone["device_id"]), "leave")
        state = "Blocked" if access == "block" else "Allowed"
        if state != phone["state"] or phone.get("access") != access:
            phone.update(state=state, access=access)
            done.append(
                messages.Applied(
                    mailbox=phone["mailbox"],
                    device_id=phone["device_id"],
                    access=access,
                    at=utc_now(),
                )
            )
    return done
