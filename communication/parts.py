"""What the routes of one running communication server share."""

import asyncio
import threading
from datetime import datetime

from cryptography import x509

from communication import pairing
from communication.board import Board
from communication.device_identity import Identity
from communication.downloads import Downloads
from communication.fast_path import Poll
from communication.files import Files, Uploads
from communication.limits import Rate
from communication.mailbox import Mailbox
from communication.own_log import Logging
from communication.owner import Owner
from communication.ports import Ports
from communication.report_path import Reports
from communication.settings import Settings
from communication.told import find as find_told
from contracts.link import RelaySettings
from runtime.bodies import neighbourhood

HELD_LINKS = 8
"""Most calls of management that wait for something inbound at once."""


class Parts:
    """See the module; `current_app.extensions["sekisho"]`."""

    def __init__(
        self,
        settings: Settings,
        mailbox: Mailbox,
        board: Board,
        identity: Identity,
        poll: Poll,
        started_at: datetime,
    ) -> None:
        self.settings, self.mailbox, self.board = settings, mailbox, board
        self.identity, self.poll = identity, poll
        self.started_at = started_at
        self.reports = Reports(identity, mailbox, self.inbound_came)
        self.files = Files(settings.folder / "files", settings.files_bytes)
        self.uploads = Uploads(settings.folder / "uploads", settings.upload_bytes)
        self.downloads = Downloads(settings.folder, self.files)
        self.owner = Owner()
        self.logging = Logging(settings.folder, settings.log_level)
        self.ports = Ports(settings.host, {})
        """Set when they are opened."""
        self.public_name = find_told(settings).public_name
        self.management_at = 0.0
        """When management last came, in seconds since 1970."""
        self._enrolments = Rate(settings.enrolments_per_minute, "enrolments from one address")
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()

    def address(self) -> str:
        """Return where devices reach this server."""
        return f"https://{self.public_name}:{self.ports.numbers('devices')[0]}"

    def told(self) -> RelaySettings:
        """Return under which name and where this server listens."""
        return RelaySettings(
            public_name=self.public_name,
            devices_ports=self.ports.numbers("devices"),
            http_ports=self.ports.numbers("plain"),
            link_ports=self.ports.numbers("link"),
        )

    def certificate(self) -> x509.Certificate | None:
        """Return the certificate that devices see; None before there is one."""
        path = self.settings.folder / pairing.TLS_CERTIFICATE
        return x509.load_pem_x509_certificate(path.read_bytes()) if path.exists() else None

    def forget_everything(self) -> None:
        """Empty the mailbox: it belonged to another management server."""
        known = [device for _, device, _ in self.mailbox.slots()]
        with self.mailbox.writing("forget") as mailbox:
            mailbox.forget_everything()
        self.board.read_devices(known)

    def count_enrolment(self, address: str, now: datetime) -> None:
        """Raise TooManyError when *address* began too many enrolments in this minute."""
        self._enrolments.count(neighbourhood(address), now.timestamp())

    def management_came(self, seconds: float) -> None:
        """Note that management called."""
        self.management_at = seconds

    def inbound_came(self) -> None:
        """Wake whoever waits for something inbound."""
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    async def wait_for_inbound(self, seconds: int) -> None:
        """Return when something came, or after *seconds*, or at once when too many wait."""
        me = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if len(self._waiting) >= HELD_LINKS:
                return
            self._waiting.add(me)
        try:
            if self.mailbox.list_inbound(1, 0):  # it came before we could be woken
                return
            async with asyncio.timeout(seconds):
                await me[1].wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(me)
