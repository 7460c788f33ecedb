"""What is kept of an app so that new rules can be judged without its file: bounded, versioned.

`FEATURES_VERSION` changes when a scanner recognises more; features of another version say nothing,
their file must be read again. `docs/patterns.md` describes the fields.
"""

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

FEATURES_VERSION = 3
MAXIMUM_COMPONENTS = 1_000
"""That are kept; a scan judges them all. So it is with hashes."""
MAXIMUM_KEPT_TEXT = 1_000_000
"""Characters of kept components."""
MAXIMUM_HASHES = 300
MAXIMUM_LABELS = 500
"""All of them are compared; with more of them the app is never clean."""
HASH_LENGTH = 32
"""Hexadecimal digits kept of the SHA-256 of an entry."""
DIGEST_BYTES = 8
KEPT_LISTS = 8
"""Of what a set asked for: unpacked once, as most apps were scanned with one of a few sets."""
TRAIT_KINDS = (
    *("permissions", "actions", "guarded_by", "calls", "types", "meta_data", "flags", "traits"),
)


class Component(NamedTuple):
    """A component as it is kept; the fields are those of `scanner.manifest.Component`."""

    kind: str
    name: str
    permission: str
    exported: bool
    actions: list[str]
    categories: list[str]
    priority: int


class Facts:
    """Features, ready to be compared with rules."""

    def __init__(self, features: Mapping[str, Any]) -> None:
        self.features = features
        self.components = [Component(*fields) for fields in features["components"]]
        self.target_sdk = features["target_sdk"] or features["minimum_sdk"] or 1
        references = features["references"]
        self.has: dict[str, set[str]] = {
            "permissions": set(features["permissions"]),
            "actions": {one for part in self.components for one in part.actions},
            "guarded_by": {part.permission for part in self.components if part.permission},
            "calls": {one for one in references if "->" in one},
            "types": {one for one in references if "->" not in one},
            "meta_data": set(features["meta_data"]),
            "flags": set(features["flags"]),
            "traits": set(features["traits"]),
        }
        self.code: Mapping[str, list[str]] = features["code"]
        self.libraries: Mapping[str, list[list[str]]] = features["libraries"]

    def was_asked(self, reference: str) -> bool:
        """Whether the scan looked for *reference*, so that its absence says something."""
        return number_of(reference) in asked_numbers(self.features["asked"])

    def unknown(self, kind: str, traits: Iterable[str]) -> list[str]:
        """Return those of *traits* of which the features say nothing."""
        if kind not in ("calls", "types"):
            return []
        has = self.has[kind]
        return [one for one in traits if one not in has and not self.was_asked(one)]


def asked(references: Iterable[str]) -> str:
    """Return *references* as they are kept: a number each, packed."""
    numbers = sorted({number_of(one) for one in references})
    return base64.b64encode(struct.pack(f"<{len(numbers)}I", *numbers)).decode()


@lru_cache(maxsize=KEPT_LISTS)
def asked_numbers(text: str) -> frozenset[int]:
    """Return the numbers that `asked` packed; all apps scanned with one set have the same."""
    body = base64.b64decode(text)
    return frozenset(struct.unpack(f"<{len(body) // 4}I", body))


def packed_digests(digests: Iterable[str]) -> str:
    """Return hexadecimal digests as they are kept."""
    body = b"".join(sorted({bytes.fromhex(digest)[:DIGEST_BYTES] for digest in digests}))
    return base64.b64encode(body).decode()


@lru_cache(maxsize=KEPT_LISTS)
def unpacked_digests(text: str) -> frozenset[str]:
    """Return what `packed_digests` packed."""
    body = base64.b64decode(text)
    return frozenset(body[at : at + DIGEST_BYTES].hex() for at in range(0, len(body), DIGEST_BYTES))


def flags_of(app: Any) -> list[str]:
    """Return the flags of `patterns.rule_language.Flag` that hold for a manifest."""
    target = app.target_sdk or app.minimum_sdk or 1
    cleartext = app.cleartext
    if cleartext is None:
        cleartext = target < 28 and not app.has_network_rules
    holds = {
        "backup": app.backup is not False,
        "cleartext": cleartext,
        "debuggable": app.debuggable,
        "launcher": any(part.is_launcher for part in app.components),
        "test_only": app.test_only,
    }
    return [name for name, value in holds.items() if value]


def components_of(app: Any) -> list[Component]:
    """Return the components of a manifest, those that others can reach or wake first."""
    found = [
        Component(
            part.kind,
            part.name,
            part.permission,
            bool(part.actions) if part.exported is None else part.exported,
            list(part.actions),
            list(part.categories),
            part.priority,
        )
        for part in app.components
    ]
    return sorted(found, key=lambda part: not (part.exported or part.actions or part.permission))


def kept_components(found: Sequence[Sequence[Any]], most: int) -> tuple[list[list[Any]], bool]:
    """Return at most so many of *found* in their order, and whether some of another kind are cut.

    Rules that need no code ask for anything but names. So of components that differ in their names
    only, the first two stay before any third one, and what is lost beyond these answers nothing.
    """
    seen: Counter[tuple[Any, ...]] = Counter()
    ranked = []
    for number, part in enumerate(found):
        texts = (tuple(one) if isinstance(one, list) else one for one in part[2:])
        shape = (part[0], *texts)
        ranked.append((seen[shape], number))
        seen[shape] += 1
    first, room, is_cut = [], MAXIMUM_KEPT_TEXT, len(seen) > most
    for _, number in sorted(ranked)[:most]:
        length = _length(found[number])
        if length > room:  # others may still fit
            is_cut = True
            continue
        room -= length
        first.append(number)
    return [[*found[number]] for number in sorted(first)], is_cut


def _length(part: Sequence[Any]) -> int:
    texts = [one for field in part for one in (field if isinstance(field, list) else [field])]
    return sum(len(one) for one in texts if isinstance(one, str))


def class_of(package: str, name: str) -> str:
    """Return the descriptor of the class that a manifest names."""
    if name.startswith("."):
        name = package + name
    elif "." not in name:
        name = f"{package}.{name}"
    return f"L{name.replace('.', '/')};"


@lru_cache(maxsize=16_384)  # rules ask for the same references of a hundred thousand apps
def number_of(reference: str) -> int:
    """Return what stands for *reference* in `asked`."""
    return zlib.crc32(reference.encode("utf-8", "replace"))
