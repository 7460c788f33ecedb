"""What the scanner recognises in an app by itself: `patterns.rule_language.Trait`."""

import math
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from scanner.evidence import Finding

REFLECTION = ("Ljava/lang/reflect/Method;->invoke", "Ljava/lang/reflect/Constructor;->newInstance")
LOOKS_UP = (
    "Ljava/lang/Class;->forName",
    "Ljava/lang/ClassLoader;->loadClass",
    "Ljava/lang/Class;->getMethod",
    "Ljava/lang/Class;->getDeclaredMethod",
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
RANDOM_BITS = 7.96
"""Bits a byte in a sample: what is encrypted has 7.97 and more."""
UNEVEN = 0.24
"""More bytes than that in one half of the values than in the other cost 0.04 bits a byte."""
_HALVES = tuple(
    bytes(value for value in range(256) if value & bit) for bit in (0x80, 0x40, 0x20, 0x01)
)
MOST = 0.5
_COMPRESSED = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3",
    b"fLaC", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf", b"Rar!", b"\x04\x22\x4d\x18", b"wOFF", b"wOF2", b"%PDF", b"\xabKTX",
    b"\x00\x00\x01\x00",
    b"\x1aE\xdf\xa3", b"glTF", b"PVR\x03", b"DDS ", b"\x13\xab\xa1\x5c", b"UnityFS", b"TFL3",
)  # fmt: skip
"""How files begin that are dense without being encrypted."""


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
    """Whether *data* is large and as random as only encryption makes it, in no known format."""
    if len(data) < PAYLOAD_BYTES or data.startswith(_COMPRESSED):
        return False
    if data[4:8] == b"ftyp" or data[4:8] in (b"TFL3", b"moov", b"mdat"):
        return False
    middle = (len(data) - SAMPLE_BYTES) // 2
    samples = [data[at : at + SAMPLE_BYTES] for at in (0, middle)]
    return all(map(_is_random, samples)) and not _is_deflated(samples[0])


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
