"""The real management with its real signer, and what tests ask of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.engine import URL

from contracts.agent import CommandKind
from management import keys as management_keys
from management.check_in.visit import visit_all
from management.commands import service as commands
from management.commands import work
from management.commands.queries import get_command
from management.context import Context, open_context
from management.devices.models import Device
from management.devices.queries import get_device, get_facts
from management.devices.rules import FactKind
from management.enrolment.service import invite, qr_content
from management.keys import Keys
from management.policies.service import ensure_default_policy
from management.relays.queries import list_incidents, list_relays
from management.relays.service import ensure_local_relay
from management.relays.withheld import note_withheld
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now
from tests.agents.relay_process import RelayProcess


class Headquarters:
    """See the module; *devices_url* is where devices are sent to."""

    def __init__(self, context: Context, relay: RelayProcess, devices_url: str) -> None:
        self.context, self.relay, self.devices_url = context, relay, devices_url
        with context.database.transaction("set up") as session:
            self.policy_id = ensure_default_policy(session, utc_now()).id
            ensure_local_relay(
                session,
                relay.link_url,
                relay.link_certificate,
                devices_url,
                relay.ca_certificate,
                utc_now(),
            )
        self.visit()

    def invite(self, address: str = "hanako@example.jp") -> str:
        """Return the text of a fresh enrolment code."""
        with self.context.database.transaction("invite") as session:
            _, key = invite(
                session,
                self.context.keys,
                address,
                "Hanako",
                self.policy_id,
                timedelta(days=1),
                "a test",
                utc_now(),
            )
        fingerprint = str(self.context.signer.status()["thumbprint"])
        return qr_content(key, self.devices_url, fingerprint)

    def visit(self) -> None:
        """Let the jobs' visit of the relay happen once."""
        visit_all(self.context)
        with self.context.database.reading() as session:
            assert [relay.problem for relay in list_relays(session)] == [""]

    def command(self, device_id: UUID, kind: CommandKind, **arguments: str) -> UUID:
        """Queue and dispatch a command and bring it to the relay."""
        with self.context.database.transaction("command") as session:
            queued = commands.queue_command(
                session, device_id, kind, arguments, "a test", "because", utc_now()
            )
            command_id = queued.id
        work.dispatch(self.context, {"command_ids": [str(command_id)]}, lambda said: None)
        self.visit()
        return command_id

    def state_of(self, command_id: UUID) -> str:
        with self.context.database.reading() as session:
            return get_command(session, command_id).state

    def device(self, device_id: UUID) -> Device:
        with self.context.database.reading() as session:
            return get_device(session, device_id)

    def fact(self, device_id: UUID, kind: FactKind) -> object:
        with self.context.database.reading() as session:
            found = get_facts(session, device_id).get(kind)
            return found.value if found else None

    def made_up(self, problem: str) -> int:
        """Return how often *problem* came under an id that is no device's."""
        with self.context.database.reading() as session:
            found = list_incidents(session, limit=1000)
            return sum(one.repeats for one in found if (one.sender, one.problem) == (None, problem))

    def incidents(self, sender: UUID) -> list[tuple[str, str]]:
        """Return (problem, reported by) of each incident about a device, oldest first."""
        with self.context.database.reading() as session:
            found = list_incidents(session, sender=sender)
            return [(one.problem, one.reported_by) for one in reversed(found)]

    def look_for_withheld(self, later: timedelta) -> None:
        """Do the watch's work as if it were *later*."""
        digest = timedelta(seconds=self.context.settings.digest_seconds)
        with self.context.database.transaction("watch") as session:
            note_withheld(session, digest, utc_now() + later)


@contextmanager
def management(home: Path, database_url: URL) -> Iterator[Context]:
    """Yield a management context on an empty folder, with a signer that listens."""
    home.mkdir(mode=0o700)
    settings = Settings(
        home=home,
        database_url=database_url.render_as_string(hide_password=False),
        public_name="localhost",
    )
    keys: Keys = management_keys.prepare(home / "keys", utc_now())
    assert keys.ca_certificate()
    with running(home / "signer", Limits()):
        opened = open_context(settings)
        yield opened
        opened.database.close()
