"""What the scanner recognises in an app by itself: `patterns.rule_language.Trait`."""

import math
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from scanner.base64_text import from_base64, may_be_base64
from scanner.dense_formats import Explained, explained
from scanner.evidence import Finding

REFLECTION = (
    "Ljava/lang/reflect/Method;->invoke",
    "Ljava/lang/reflect/Constructor;->newInstance",
    "Ljava/lang/invoke/MethodHandle;->invoke",
    "Ljava/lang/invoke/MethodHandle;->invokeExact",
    "Ljava/lang/invoke/MethodHandle;->invokeWithArguments",
)
LOOKS_UP = (
    "Ljava/lang/Class;->forName",
    "Ljava/lang/ClassLoader;->loadClass",
    "Ljava/lang/Class;->getMethod",
    "Ljava/lang/Class;->getDeclaredMethod",
    "Ljava/lang/invoke/MethodHandles$Lookup;->findVirtual",
    "Ljava/lang/invoke/MethodHandles$Lookup;->findStatic",
    "Ljava/lang/invoke/MethodHandles$Lookup;->findConstructor",
)
LOADS_CODE = (
    "Ldalvik/system/DexClassLoader;-><init>",
    "Ldalvik/system/InMemoryDexClassLoader;-><init>",
    "Ldalvik/system/PathClassLoader;-><init>",
    "Ldalvik/system/BaseDexClassLoader;-><init>",
    "Ldalvik/system/DexFile;-><init>",
    "Ldalvik/system/DexFile;->loadDex",
    "Ldalvik/system/DexFile;->loadClass",
)
LOADS_NATIVE = (
    "Ljava/lang/System;->load",
    "Ljava/lang/System;->loadLibrary",
    "Ljava/lang/Runtime;->load",
    "Ljava/lang/Runtime;->loadLibrary",
)
REFERENCES = (*REFLECTION, *LOOKS_UP, *LOADS_CODE, *LOADS_NATIVE)
STUB_CLAUSE: Mapping[str, Any] = {
    "component": "application",
    "extends": [],
    "implements": [],
    "methods": ["<clinit>", "<init>", "attachBaseContext", "onCreate"],
    "reach": 3,
    "user_acts": False,
    "ordered": True,
    "absent": [],
    "steps": [{"call": LOADS_CODE, "label": "", "takes": [], "arguments": {}, "either": []}],
}
"""The application class, which runs first, loads code."""
SAYS = {
    "loads_code": "loads code from files",
    "loads_native": "loads native code",
    "stub_application": "begins with a class that does so",
}
CARRIED = {
    "encrypted_payload": "an encrypted entry",
    "unmeasured_data": "dense data that nobody can measure",
}
PAYLOAD_BYTES = 16 * 1024
SAMPLE_BYTES = 8 * 1024
WRITTEN_BYTES = (12 * 1024, 48 * 1024)
"""Of text, which may hold such a sample in Base64; the larger piece if there are few letters."""
LEAST_BYTES = 6 * 1024
"""In such a sample: of fewer bytes nobody can tell how random they are."""
MOST_DEEP = 4
"""Files in what others do not explain."""
RANDOM_BITS = 7.96
"""Bits a byte in a sample: what is encrypted has 7.97 and more."""
UNEVEN = 0.24
"""More bytes than that in one half of the values than in the other cost 0.04 bits a byte."""
_HALVES = tuple(
    bytes(value for value in range(256) if value & bit) for bit in (0x80, 0x40, 0x20, 0x01)
)
MOST = 0.5


def from_references(references: Collection[str]) -> list[str]:
    """Return the traits that the references alone show."""
    holds = {
        "reflection": _any(REFLECTION, references) and _any(LOOKS_UP, references),
        "loads_code": _any(LOADS_CODE, references),
        "loads_native": _any(LOADS_NATIVE, references),
    }
    return [name for name, value in holds.items() if value]


def hidden_code(traits: Collection[str]) -> Finding | None:
    """Return the finding for an app whose real code is not where it can be read."""
    carried = [one for one in CARRIED if one in traits]
    loads = [one for one in ("loads_code", "loads_native", "stub_application") if one in traits]
    if "missing_code" not in traits or not carried or not loads:
        return None
    return Finding(
        "hidden_code",
        "medium",
        "byte code",
        "Most components of the manifest have no class in the file; it carries"
        f" {CARRIED[carried[0]]} and {' and '.join(SAYS[one] for one in loads)}.",
        "Its real code is hidden",
        "evasive-container",
        technique="T1406.002",
        confidence="high",
        meaning="What the app does stands in an entry that only the app itself decrypts, when it"
        " runs. So no rule about code can hold for it, and nobody can say that it is clean.",
    )


def unmeasured(where: str) -> Finding:
    """Return the finding for dense data that is believed to be what it says."""
    return Finding(
        "unmeasured_data",
        "note",
        where,
        "It begins like a known kind of file, and is as dense as encrypted data.",
        "Dense data that cannot be measured",
        "evasive-container",
        technique="T1406",
        meaning="Such files are honest as a rule. Nobody can count out from its build how far this"
        " one is what it says, so something else may stand in it.",
    )


def is_payload(data: bytes) -> bool:
    """Whether *data* is large and as random as only encryption makes it, also written as Base64.

    What is dense because it is a picture, sound or archive does not count; what stands behind it,
    or where its build explains nothing, does.
    """
    return density(data) == "encrypted_payload"


def density(data: bytes, depth: int = 0) -> str:
    """Return the trait that dense *data* shows: one of `CARRIED`, or nothing."""
    if len(data) < PAYLOAD_BYTES:
        return ""
    known = explained(data) if depth < MOST_DEEP else Explained(0, [], False)
    if not known.end:
        return _encrypted(data, depth)
    found = {density(piece, depth + 1) for piece in _unexplained(data, known)}
    if known.is_unsure and all(map(_is_random, _samples(data, SAMPLE_BYTES))):
        found.add("unmeasured_data")
    return next((one for one in CARRIED if one in found), "")


def _unexplained(data: bytes, known: Explained) -> list[bytes]:
    """Return what is not explained: each large piece, and all small ones together."""
    pieces = [data[start:end] for start, end in [*known.holes, (known.end, len(data))]]
    small = b"".join(piece for piece in pieces if len(piece) < PAYLOAD_BYTES)
    return [small, *(piece for piece in pieces if len(piece) >= PAYLOAD_BYTES)]


def _encrypted(data: bytes, depth: int) -> str:
    first, *rest = _samples(data, SAMPLE_BYTES)
    if _is_random(first):
        is_one = all(map(_is_random, rest)) and not _is_deflated(first)
        return "encrypted_payload" if is_one else ""
    if not may_be_base64(data):
        return ""
    is_random = all(map(_is_written_random, *(_samples(data, size) for size in WRITTEN_BYTES)))
    return density(from_base64(data, len(data)).data, depth) if is_random else ""


def _is_written_random(*pieces: bytes) -> bool:
    """Whether the first of *pieces* that holds enough Base64 for it says what is random."""
    said = (from_base64(piece, SAMPLE_BYTES).data for piece in pieces)
    sample = next((one for one in said if len(one) >= LEAST_BYTES), b"")
    return bool(sample) and _is_random(sample)


def _samples(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in (0, max(0, len(data) - size) // 2)]


def _is_random(sample: bytes) -> bool:
    """Whether *sample* is as random as encrypted data; its halves are counted first, as cheaper."""
    for half in _HALVES:
        if abs(2 * len(sample.translate(None, half)) - len(sample)) > UNEVEN * len(sample):
            return False
    return bits_a_byte(sample) > RANDOM_BITS


def _is_deflated(sample: bytes) -> bool:
    """Whether *sample* is the beginning of a deflate stream, with zlib's header or without."""
    for form in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            body = zlib.decompressobj(form).decompress(sample, 2 * SAMPLE_BYTES)
        except zlib.error:
            continue
        if len(body) > SAMPLE_BYTES // 2:
            return True
    return False


def bits_a_byte(sample: bytes) -> float:
    """Return the entropy of *sample*."""
    total = len(sample)
    return -sum(n / total * math.log2(n / total) for n in Counter(sample).values())


def _any(wanted: Collection[str], references: Collection[str]) -> bool:
    return any(one in references for one in wanted)
