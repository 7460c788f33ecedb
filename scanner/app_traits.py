"""What the scanner recognises in an app by itself: `patterns.rule_language.Trait`."""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

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
PAYLOAD_BYTES = 16 * 1024
SAMPLE_BYTES = 8 * 1024
RANDOM_BITS = 7.96
"""Bits a byte in a sample: what is encrypted has 7.97 and more, what is deflated 7.8 to 7.93."""
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


def is_payload(data: bytes) -> bool:
    """Whether *data* is large and as random as only encryption makes it, in no known format."""
    if len(data) < PAYLOAD_BYTES or data.startswith(_COMPRESSED):
        return False
    if data[4:8] == b"ftyp" or data[4:8] in (b"TFL3", b"moov", b"mdat"):
        return False
    middle = (len(data) - SAMPLE_BYTES) // 2
    return all(bits_a_byte(data[at : at + SAMPLE_BYTES]) > RANDOM_BITS for at in (0, middle))


def bits_a_byte(sample: bytes) -> float:
    """Return the entropy of *sample*."""
    total = len(sample)
    return -sum(n / total * math.log2(n / total) for n in Counter(sample).values())


def _any(wanted: Collection[str], references: Collection[str]) -> bool:
    return any(one in references for one in wanted)
