"""What the scanner recognises in an app by itself: `patterns.rule_language.Trait`."""

import base64
import math
import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from scanner.dense_formats import end_of
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
PAYLOAD_BYTES = 16 * 1024
SAMPLE_BYTES = 8 * 1024
WRITTEN_BYTES = 11 * 1024
"""Of Base64, which hold such a sample."""
RANDOM_BITS = 7.96
"""Bits a byte in a sample: what is encrypted has 7.97 and more."""
UNEVEN = 0.24
"""More bytes than that in one half of the values than in the other cost 0.04 bits a byte."""
_HALVES = tuple(
    bytes(value for value in range(256) if value & bit) for bit in (0x80, 0x40, 0x20, 0x01)
)
MOST = 0.5
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{60,}={0,2}")
_BREAKS = b"\r\n"


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
    carried = [one for one in ("encrypted_payload", "native_code") if one in traits]
    loads = [one for one in ("loads_code", "loads_native", "stub_application") if one in traits]
    if "missing_code" not in traits or "encrypted_payload" not in carried or not loads:
        return None
    return Finding(
        "hidden_code",
        "medium",
        "byte code",
        "Most components of the manifest have no class in the file; it carries an encrypted entry"
        f" and {' and '.join(SAYS[one] for one in loads)}.",
        "Its real code is hidden",
        "evasive-container",
        technique="T1406.002",
        confidence="high",
        meaning="What the app does stands in an entry that only the app itself decrypts, when it"
        " runs. So no rule about code can hold for it, and nobody can say that it is clean.",
    )


def is_payload(data: bytes) -> bool:
    """Whether *data* is large and as random as only encryption makes it, also written as Base64.

    What is dense because it is a picture, sound or archive does not count; what stands behind does.
    """
    if len(data) < PAYLOAD_BYTES:
        return False
    end = end_of(data)
    if end:
        return len(data) - end >= PAYLOAD_BYTES and _is_encrypted(data[end:])
    return _is_encrypted(data)


def _is_encrypted(data: bytes) -> bool:
    first, *rest = _samples(data, SAMPLE_BYTES)
    if _is_random(first):
        return all(map(_is_random, rest)) and not _is_deflated(first)
    if not _BASE64.match(data):
        return False
    written = _samples(data, WRITTEN_BYTES)
    return all(map(_is_random, map(_from_base64, written))) and is_payload(_from_base64(data))


def _samples(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in (0, (len(data) - size) // 2)]


def _from_base64(sample: bytes) -> bytes:
    """Return what *sample* says in Base64; empty: it says nothing in that."""
    text = sample.translate(None, _BREAKS)
    if not _BASE64.fullmatch(text):
        return b""
    return base64.b64decode(
        text[: len(text) // 4 * 4], altchars=b"-_" if b"-" in text or b"_" in text else None
    )


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
