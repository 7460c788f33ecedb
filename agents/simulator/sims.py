"""The SIM cards in a simulated phone, and what is said of them: never their numbers. No I/O."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Annotated

from pydantic import Field

from contracts.agent import Sim
from runtime.errors import NotFoundError, RefusedError

MOST = 8


@dataclass(kw_only=True)
class SimCard:
    """A card, or an eSIM profile that is in use."""

    iccid: Annotated[str, Field(pattern=r"^\d{18,20}$")]
    """ITU-T E.118: 19 digits, or one more or less in practice."""
    operator: Annotated[str, Field(max_length=64)] = ""
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""


@dataclass(kw_only=True)
class SimTray:
    """What is in the phone, and the secret with which its agent marks it."""

    cards: list[SimCard] = field(default_factory=list)
    marking_key: str = field(default_factory=lambda: token_hex(32))
    """Hexadecimal; it never leaves the phone, and a wipe makes another."""


def insert(tray: SimTray, card: SimCard) -> None:
    """Put *card* in; RefusedError when there is no room for one more."""
    kept = [one for one in tray.cards if one.iccid != card.iccid]
    if len(kept) >= MOST:
        raise RefusedError(f"A phone takes {MOST} SIMs at most. Remove one first.")
    tray.cards = [*kept, card]


def remove(tray: SimTray, iccid: str) -> None:
    """Take a card out; NotFoundError when it is not in."""
    kept = [one for one in tray.cards if one.iccid != iccid]
    if len(kept) == len(tray.cards):
        raise NotFoundError(f"No SIM {iccid} is in this phone.")
    tray.cards = kept


def said(tray: SimTray, platform: str, ownership: str) -> tuple[Sim, ...] | None:
    """Return what the agent says; None on iOS, which tells an app nothing of its SIM.

    On a personal device it is nobody's business with which operator the owner has a contract.
    """
    if platform == "ios":
        return None
    return tuple(
        _said(tray.marking_key, card, ownership == "company") for card in _sorted(tray.cards)
    )


def _said(key: str, card: SimCard, names_operator: bool) -> Sim:
    operator, country = (card.operator, card.country) if names_operator else ("", "")
    return Sim(mark=mark(bytes.fromhex(key), card.iccid), operator=operator, country=country)


def mark(key: bytes, number: str) -> str:
    """Return what stands for the SIM (docs/agent-protocol.md, section 8)."""
    digest = hmac.digest(key, number.encode(), "sha256")
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def _sorted(cards: Sequence[SimCard]) -> list[SimCard]:
    """Another slot is no other SIM."""
    return sorted(cards, key=lambda card: card.iccid)
