"""An app compared with what is known: hashes, signers, names, and who publishes what. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from scanner.behaviour_rules import finding_of
from scanner.evidence import Finding
from scanner.features import HASH_LENGTH

SIGNATURE = "signature"
_LIKE = str.maketrans("01357|!$@", "olestllsa")
"""Digits and signs that are read as letters."""
_FOREIGN = str.maketrans(
    "аеорсухіјѕԁԛᴡʏɡıοανΑΒΕΗΙΚΜΝΟΡΤΧАВЕКМНОРСТХ", "aeopcyxijsdqwygioavabehikmnoptxabekmhopctx"
)
"""Cyrillic, Greek and phonetic letters that look like Latin ones."""
_SMALL_CAPITALS = str.maketrans(
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢһӏткмκτυ", "abcdefghijklmnoprstuvwyzhltkmktu"
)
_LISU = str.maketrans("ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ", "abcdefghijklmnoprstuvwxyz")
_LATIN = {**_LISU, **_SMALL_CAPITALS, **_FOREIGN}
_BLANK = str.maketrans("", "", "\u115f\u1160\u3164\uffa0")
"""Letters that nobody sees: fillers of Hangul."""
_INNER_I = re.compile(r"(?<=[a-z])I+|(?<=\b[A-Z])I+(?=[a-z])")
"""A capital between small letters is read as a small l; many words have an i, so no other is."""
_ACCENTS = re.compile("[\u0300-\u036f]")
"""Marks on Latin, Greek and Cyrillic letters. Those of other scripts make other words."""
_WORD_OF_A_FAMILY = 3
"""Letters of a last word that publishers vary: gm, gms, ims."""
LABEL_LENGTH = 100


def listed(features: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each of *rules* (`patterns.rule_language.KnownList`) that holds."""
    hashes: dict[str, str] = features["hashes"]
    for rule in rules:
        kind, values = rule["kind"], rule["values"]
        if kind == "package" and features["package"] in values:
            yield finding_of(rule, "AndroidManifest.xml", f"package {features['package']}")
        elif kind == "signer":
            for signer in set(features["signers"]).intersection(values):
                yield finding_of(rule, SIGNATURE, f"certificate with SHA-256 {signer}")
        elif kind == "sha256":
            for value in values:
                if value[:HASH_LENGTH] in hashes:
                    yield finding_of(rule, hashes[value[:HASH_LENGTH]], f"SHA-256 {value}")


def published(features: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what the signers say; *known* is `patterns.rule_language.Signers`."""
    signers = set(features["signers"])
    for key in known["public_key"]:
        if key["sha256"] in signers:
            yield Finding(
                "public_key",
                "low",
                SIGNATURE,
                f"{key['name']}, SHA-256 {key['sha256']}",
                "Signed with a key that anybody has",
                "unwanted",
                confidence="high",
            )
    package, official = features["package"], _comparable(features["package"], known["official"])
    labels = labels_of(features) if official else {}
    for app in official:
        if not signers.intersection(app["sha256"]):
            signed = ", ".join(sorted(signers)) or "no valid key"
            yield from _impersonation(package, labels, app, signed)


def _comparable(package: str, official: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the known apps that an app called *package* may pose as.

    Those of its own publisher it may resemble, whoever signed it: which keys sign packages in
    `also` is not known, and the system lets one app alone have such a name. A name of one publisher
    is no reason to be called like the app of another one.
    """
    official = [*official]
    own = {
        app["publisher"] for app in official if package in (app["package"], *app.get("also", ()))
    }
    return [app for app in official if app["publisher"] not in own or app["package"] == package]


def labels_of(features: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels as a hasty reader sees them, with what they are."""
    kept = features.get("labels") or [features["label"]]  # features of earlier scans have one
    return {plain(label): label for label in reversed(kept) if plain(label)}


def _impersonation(
    package: str, labels: Mapping[str, str], app: Mapping[str, Any], signed: str
) -> Iterator[Finding]:
    publisher = app["publisher"]
    if package == app["package"]:
        if not app["sha256"]:  # the name is right, and the signer cannot be told
            return
        yield Finding(
            "repackaged_app",
            "high",
            SIGNATURE,
            f"{package} is published by {publisher}, but signed with {signed}.",
            f"Changed copy of an app by {publisher}",
            "impersonation",
            technique="T1655.001",
            confidence="high",
        )
    elif is_nearly(package, app["package"]) and not _may_be_sibling(package, app):
        yield Finding(
            "lookalike_package",
            "medium",
            "AndroidManifest.xml",
            f"{package} looks like {app['package']} by {publisher}, but is signed with {signed}.",
            f"Named like an app by {publisher}",
            "impersonation",
            technique="T1655.001",
        )
    elif same := [labels[plain(one)] for one in app["labels"] if plain(one) in labels]:
        yield Finding(
            "lookalike_label",
            "medium",
            "AndroidManifest.xml",
            f"Its label {same[0]} is that of {app['package']} by {publisher}; its package"
            f" is {package}, signed with {signed}.",
            f"Calls itself like an app by {publisher}",
            "impersonation",
            technique="T1655.001",
        )


def _may_be_sibling(package: str, app: Mapping[str, Any]) -> bool:
    """Whether an app with another short last word may be of the same publisher.

    Where its keys are known these tell. Where they are not, com.example.gm is as likely another app
    of the publisher of com.example.gms as a copy of it; its label is compared nevertheless.
    """
    known: str = app["package"]
    return (
        not app["sha256"]
        and package.rpartition(".")[0] == known.rpartition(".")[0]
        and len(known.rpartition(".")[2]) <= _WORD_OF_A_FAMILY
        and plain(package) != plain(known)
    )


def as_seen(label: str) -> str:
    """Return what people see of a label: nothing invisible, and not without end."""
    seen = "".join(c for c in label.translate(_BLANK) if c.isprintable())
    return " ".join(seen.split())[:LABEL_LENGTH]


@lru_cache(maxsize=4_096)  # a hundred thousand apps are compared with the same names
def plain(text: str) -> str:
    """Return *text* as a hasty reader sees it: letters only, look-alikes made equal."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).translate(_BLANK))
    folded = (
        _INNER_I.sub(lambda found: "l" * len(found[0]), unicodedata.normalize("NFKC", bare))
        .translate(_LATIN)
        .casefold()
        .translate(_LATIN)  # capitals whose small letters look like Latin ones
        .translate(_LIKE)
    )
    return "".join(letter for letter in folded if letter.isalnum())


def is_nearly(name: str, known: str) -> bool:
    """Whether two package names differ, but by a letter or by look-alikes only."""
    if name == known or abs(len(name) - len(known)) > 1:
        return False
    if plain(name) == plain(known):
        return True
    at = next((n for n, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), len(name))
    rest, other = name[at:], known[at:]
    return (
        rest[1:] == other[1:]
        or rest == other[1:]
        or rest[1:] == other
        or (rest[:2] == other[1::-1] and rest[2:] == other[2:])
    ) and len(known) >= 10
