"""What may be published, and what is offered to whom. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from contracts.agent import OfferApps, OfferedApp, StoreLink
from contracts.scan import Verdict

MOST_ENTRIES = 400
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_NUMBER = re.compile(r"[0-9]{5,12}")
_PUBLISHABLE = frozenset({Verdict.CLEAN, Verdict.UNWANTED})


class Kind(StrEnum):
    """What a store entry leads to."""

    APK = "apk"
    GOOGLE_PLAY = "google_play"
    APP_STORE = "app_store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One entry with the groups that it is for (group -> required)."""

    kind: Kind
    package: str
    name: str
    category: str
    targets: Mapping[UUID, bool]
    sha256: str = ""
    version: str = ""
    signer_sha256: str = ""
    size_bytes: int = 0


def why_not_published(
    verdict: str, approved: bool, package: str, signer_sha256: str, is_set: bool = False
) -> str:
    """Return why an app may not be offered; empty: it may. *is_set*: it is split packages."""
    if is_set:
        return (
            "It is a set of split packages (.apks, .xapk, .apkm), which the store cannot install: "
            "devices take one package. Ask its maker for a single .apk for all devices."
        )
    if not package:
        return "Its manifest could not be read, so that no phone could install it."
    if not signer_sha256:
        return "It is not signed, so that no phone would install it."
    if not verdict:
        return "It is not scanned yet. Wait for the verdict."
    if verdict in _PUBLISHABLE or approved:
        return ""
    return (
        f"Its verdict is {verdict}. Approve it first, with a reason, if it is right all the same."
    )


def read_link(text: str) -> tuple[Kind, str] | None:
    """Return store and id in an address or id that somebody entered; None when it is neither.

    Nothing is fetched: the address only has to be one of the two stores.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return Kind.APP_STORE, text
    if _PACKAGE.fullmatch(text):
        return Kind.GOOGLE_PLAY, text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or port not in (None, 443) or parts.username:
        return None
    if host == "play.google.com" and parts.path == "/store/apps/details":
        return _checked(Kind.GOOGLE_PLAY, parse_qs(parts.query).get("id", [""])[0])
    if host == "apps.apple.com" and (found := re.search(r"/id([0-9]{5,12})$", parts.path)):
        return _checked(Kind.APP_STORE, found[1])
    return None


def _checked(kind: Kind, value: str) -> tuple[Kind, str] | None:
    pattern = _PACKAGE if kind is Kind.GOOGLE_PLAY else _NUMBER
    return (kind, value) if pattern.fullmatch(value) and len(value) <= 200 else None


def address_of(kind: str, value: str) -> str:
    """Return where the entry of another store is seen."""
    if kind == Kind.APP_STORE:
        return f"https://apps.apple.com/app/id{value}"
    return f"https://play.google.com/store/apps/details?id={value}"


def offer_for(offers: Iterable[Offer], groups: Sequence[UUID], platform: str) -> OfferApps:
    """Return what a device of *platform* is offered that is in *groups* (its own and those above).

    The group nearest to the device says whether an app is required.
    """
    meant = [
        (offer, required) for offer in offers if (required := _asked(offer, groups)) is not None
    ]
    return OfferApps(
        apps=tuple(
            OfferedApp(
                package=offer.package,
                name=offer.name,
                version=offer.version,
                category=offer.category,
                sha256=offer.sha256,
                size_bytes=offer.size_bytes,
                signer_sha256=offer.signer_sha256 or None,
                required=required,
            )
            for offer, required in meant
            if offer.kind is Kind.APK and platform == "android"
        ),
        links=tuple(
            StoreLink(
                store="app_store" if offer.kind is Kind.APP_STORE else "google_play",
                id=offer.package,
                name=offer.name,
                category=offer.category,
            )
            for offer, _ in meant
            if offer.kind is (Kind.GOOGLE_PLAY if platform == "android" else Kind.APP_STORE)
        ),
    )


def _asked(offer: Offer, groups: Sequence[UUID]) -> bool | None:
    return next((offer.targets[group] for group in groups if group in offer.targets), None)
