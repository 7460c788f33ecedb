"""What a poll must know, in memory: which slots are open, what waits for them, who was here.

Filled from the mailbox at start and after each change by management; the mailbox is the truth.
"""

import threading
import time
from collections.abc import Callable, Iterable
from uuid import UUID

from communication.mailbox import Mailbox

CLOSED, OPEN = 1, 2
MOST_LIVE = 10_000
Position = tuple[int, int]
"""(epoch, seq)."""


class Board:
    """See the module. Readers take no lock: each look is one operation on a built-in type."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._states = bytearray(1)
        self._ids = bytearray(16)
        """Sixteen bytes for each slot; with the next table 150 bytes a device."""
        self._slots: dict[bytes, int] = {}
        self._highest: dict[int, Position] = {}
        self._beats: dict[int, int] = {}
        self._live: dict[int, float] = {}
        self.polls = 0
        """Since the start."""
        self.on_orders: Callable[[int], None] = lambda slot: None
        """Called with the slot for which something new waits."""
        for slot, device, active in mailbox.each_slot():
            self._place(slot, device, active)
        self.read_orders(mailbox.recipients())

    def state(self, slot: int) -> int:
        """Return OPEN, CLOSED (the device may no longer), or 0 for a slot nobody has."""
        return self._states[slot] if slot < len(self._states) else 0

    def device(self, slot: int) -> UUID:
        """Return who has the slot."""
        return UUID(bytes=bytes(self._ids[16 * slot : 16 * slot + 16]))

    def waits(self, slot: int, position: Position) -> bool:
        """Return whether an order above *position* waits."""
        highest = self._highest.get(slot)
        return highest is not None and highest > position

    def beat(self, slot: int, microseconds: int) -> None:
        """Note that the device polled."""
        self._beats[slot] = microseconds
        self.polls += 1

    def make_live(self, devices: Iterable[UUID], until: float) -> None:
        """Let *devices* poll quickly until then, because somebody waits for them.

        In memory only: a restart costs nothing but the hurry. At most MOST_LIVE at once.
        """
        with self._lock:
            now = time.time()
            live = {slot: end for slot, end in self._live.items() if end > now}
            slots = [slot for device in devices if (slot := self._slots.get(device.bytes))]
            live |= dict.fromkeys(slots[: max(0, MOST_LIVE - len(live))], until)
            self._live = live

    def is_live(self, slot: int, now: float) -> bool:
        """Return whether somebody waits for what this device does."""
        return self._live.get(slot, 0.0) > now

    def take_beats(self) -> dict[int, int]:
        """Return the polls noted since the last call."""
        beats, self._beats = self._beats, {}
        return beats

    def give_back(self, beats: dict[int, int]) -> None:
        """Keep polls that could not be written down until the next time."""
        self._beats = beats | self._beats

    def read_devices(self, devices: Iterable[UUID]) -> None:
        """Follow a change of what is known of *devices*."""
        for device in devices:
            with self._lock:
                known = self._mailbox.find_device(device)
                old = self._slots.get(device.bytes)
                if old is not None and (known is None or known.slot != old):
                    self._states[old] = 0
                    self._highest.pop(old, None)
                if known is not None:
                    self._place(known.slot, device.bytes, known.active)

    def _place(self, slot: int, device: bytes, active: bool) -> None:
        if (missing := slot + 1 - len(self._states)) > 0:
            self._states.extend(bytes(missing))
            self._ids.extend(bytes(16 * missing))
        self._ids[16 * slot : 16 * slot + 16] = device
        self._slots[device] = slot
        self._states[slot] = OPEN if active else CLOSED

    def read_orders(self, recipients: Iterable[UUID]) -> None:
        """Follow a change of the orders that wait for *recipients*."""
        for recipient in set(recipients):
            slot = self._slots.get(recipient.bytes)
            if slot is not None and self._follow(slot, recipient):
                self.on_orders(slot)

    def _follow(self, slot: int, recipient: UUID) -> bool:
        with self._lock:
            before, now = self._highest.get(slot), self._mailbox.highest_order(recipient)
            if now is None:
                self._highest.pop(slot, None)
                return False
            self._highest[slot] = now
            return before is None or now > before
