"""A spy whose manifest says one thing to Android and another one to a hasty reader.

The code is that of the sample `sms_forwarder`; the manifest is written chunk by chunk.
"""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.scanner import axml
from tests.scanner.samples.binary_manifest import ANDROID, IDS
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import classes_of, read_pair

SPY = read_pair("sms_forwarder").sample
RULE = "sms_forwarder"
PACKAGE = SPY.package
INBOX = f"{PACKAGE}.Inbox"
ACTION = "android.provider.Telephony.SMS_RECEIVED"
RECEIVE = "android.permission.RECEIVE_SMS"
MALFORMED, UNUSUAL = "manifest_malformed", "manifest_unusual"
REFERENCED = 0x7F010000
NAMES = sorted(IDS, key=lambda name: IDS[name])
Change = Callable[[bytes], bytes]


class Reference(NamedTuple):
    """A resource that a value is looked up in."""

    number: int = REFERENCED


class Writer:
    """The texts of one document, and the chunks that name them."""

    def __init__(self) -> None:
        self.texts = [*NAMES]

    def text(self, text: str) -> int:
        """Return the index of *text*."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def again(self, text: str) -> int:
        """Return the index of another *text* in the pool, which has no resource id."""
        self.texts.append(text)
        return len(self.texts) - 1

    def given(
        self,
        name: str | int,
        value: str | bool | int | Reference,
        raw: str | None = None,
    ) -> bytes:
        """Return an attribute of Android's; *package* and *split* are of no namespace."""
        space = axml.NONE if name in ("package", "split") else self.text(ANDROID)
        index = self.text(name) if isinstance(name, str) else name
        told = axml.NONE if raw is None else self.text(raw)
        if isinstance(value, Reference):
            kind, number = axml.REFERENCE, value.number
        elif isinstance(value, bool):
            kind, number = axml.TRUE, axml.NONE if value else 0
        elif isinstance(value, int):
            kind, number = axml.NUMBER, value
        else:
            kind, number = axml.STRING, self.text(value)
            told = number if raw is None else told
        return struct.pack("<IIIHBBI", space, index, told, 8, 0, kind, number)

    def open(self, tag: str, *attributes: bytes) -> bytes:
        return axml.element(self.text(tag), b"".join(attributes))

    def close(self, tag: str = "") -> bytes:
        return axml.end(self.text(tag))

    def whole(self, tag: str, *attributes: bytes) -> bytes:
        return self.open(tag, *attributes) + self.close(tag)

    def map(self, ids: Sequence[int] = tuple(sorted(IDS.values()))) -> bytes:
        return axml.chunk(0x0180, struct.pack(f"<{len(ids)}I", *ids))

    def pool(self, broad: bool = True, bodies: Mapping[str, bytes] | None = None) -> bytes:
        """Return the texts; *bodies* are what stands in the pool for some of them."""
        return pool_of(
            [(bodies or {}).get(text) or _body(text, broad) for text in self.texts], broad
        )


def _body(text: str, broad: bool) -> bytes:
    if broad:
        return struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"
    return narrow(text.encode(), len(text.encode()))


def narrow(body: bytes, told: int) -> bytes:
    """Return a text of a UTF-8 pool; *told* is how long it says it is."""
    size = bytes([told]) if told < 128 else bytes([0x80 | told >> 8, told & 0xFF])
    return size + size + body + b"\0"


def pool_of(bodies: Sequence[bytes], broad: bool = True, shift: int = 0) -> bytes:
    """Return a string pool; *shift* is added to each offset."""
    offsets, at = [], 0
    for body in bodies:
        offsets.append(at + shift)
        at += len(body)
    strings = b"".join(bodies)
    strings += b"\0" * (-len(strings) % 4)
    start = 28 + 4 * len(bodies)
    head = (1, 28, start + len(strings), len(bodies), 0, 0 if broad else 0x100, start, 0)
    return struct.pack("<HHIIIIII", *head) + struct.pack(f"<{len(bodies)}I", *offsets) + strings


def table(*values: tuple[int, int | str, bytes], index: int = 0, sparse: bool = False) -> bytes:
    """Return a resource table whose resource 0x7f01*index* has (type, value, configuration)."""
    texts = [value for _, value, _ in values if isinstance(value, str)]
    types = b""
    for kind, value, configuration in values:
        number = texts.index(value) if isinstance(value, str) else value
        config = struct.pack("<I", 4 + len(configuration)) + configuration
        head = 20 + len(config)
        offsets = struct.pack(f"<{index + 1}I", *[axml.NONE] * index, 0)
        if sparse:
            offsets = struct.pack("<HH", index, 0)
        entry = struct.pack("<HHIHBBI", 8, 0, 0, 8, 0, kind, number)
        count = len(offsets) // 4
        body = struct.pack("<BBHII", 1, sparse, 0, count, head + len(offsets)) + config
        types += axml.chunk(0x0201, body + offsets + entry, head)
    package = struct.pack("<I", 0x7F) + b"\0" * 276
    inner = axml.chunk(0x0200, package + types, 288)
    strings = axml.pool(*texts) if texts else axml.pool("x")
    return axml.chunk(2, struct.pack("<I", 1) + strings + inner, 12)


ANY, NEWER, ENGLISH = (
    b"\0" * 48,
    b"\0" * 20 + b"\x15\0" + b"\0" * 26,
    b"\0" * 4 + b"en\0\0" + b"\0" * 40,
)
"""Configurations: without qualifiers, from Android 5 on, in English."""


class Trick(NamedTuple):
    """One manifest; *rule* is the evidence that names the trick, if it is none of honest tools."""

    name: str
    manifest: bytes
    rule: str = ""
    resources: bytes = b""


def apk(manifest: bytes, resources: bytes = b"") -> bytes:
    """Return the spy with that manifest."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("AndroidManifest.xml", manifest)
        archive.writestr("classes.dex", write_dex(classes_of(SPY)))
        if resources:
            archive.writestr("resources.arsc", resources)
    return whole.getvalue()


class Spy:
    """The manifest of the spy; each part can be another one."""

    def __init__(self) -> None:
        self.w = w = Writer()
        self.root = w.open("manifest", w.given("package", PACKAGE))
        self.sdk = w.whole("uses-sdk", w.given("minSdkVersion", 24))
        self.asked = self.permission(RECEIVE) + self.permission("android.permission.INTERNET")
        self.application = w.open("application")
        self.name = w.given("name", INBOX)
        self.exported = w.given("exported", True)
        self.action = w.whole("action", w.given("name", ACTION))
        self.before_filter = self.behind_filter = b""
        self.close_receiver = w.close("receiver")

    def permission(self, name: str) -> bytes:
        return self.w.whole("uses-permission", self.w.given("name", name))

    @property
    def filter(self) -> bytes:
        return self.w.open("intent-filter") + self.action + self.w.close("intent-filter")

    @property
    def receiver(self) -> bytes:
        head = self.w.open("receiver", self.name, self.exported)
        return head + self.before_filter + self.filter + self.behind_filter + self.close_receiver

    def inside(self) -> bytes:
        """Return what stands in the manifest element."""
        application = self.application + self.receiver + self.w.close("application")
        return self.sdk + self.asked + application

    def bytes(self, inside: bytes | None = None, pool: bytes = b"", maps: bytes = b"") -> bytes:
        """Return the document."""
        body = self.root + (self.inside() if inside is None else inside) + self.w.close("manifest")
        return axml.document(pool or self.w.pool(), maps or self.w.map(), body)


def tricks() -> list[Trick]:
    """Return all tricks, each of which must be seen through."""
    return [
        Trick("plain", Spy().bytes()),
        *_chunks(),
        *_references(),
        *_nesting(),
        *_attributes(),
        *_texts(),
    ]


def _chunks() -> list[Trick]:
    spy, decoy = Spy(), axml.pool("x", "y", "z")
    wrong = spy.w.map([0] * 12)
    inside, w = spy.inside(), spy.w
    return [
        Trick("a map behind the first element", spy.bytes(wrong + inside), MALFORMED),
        Trick("a map before the real one", spy.bytes(maps=wrong + w.map()), MALFORMED),
        Trick("a pool behind the first element", spy.bytes(decoy + inside), MALFORMED),
        Trick("a pool before the real one", spy.bytes(pool=decoy + w.pool()), MALFORMED),
    ]


def _references() -> list[Trick]:
    named = Spy()
    named.name = named.w.given("name", Reference())
    harmless = f"{PACKAGE}.Courier"
    several = table((3, harmless, ANY), (3, INBOX, ENGLISH))
    one = table((3, INBOX, ANY))
    flag = Spy()
    flag.exported = flag.w.given("exported", Reference())
    flags = table((0x12, 0, ANY), (0x12, axml.NONE, NEWER))
    return [
        Trick("a name in the resources", named.bytes(), "", one),
        Trick("another name in English", named.bytes(), "", several),
        Trick("exported on newer systems", flag.bytes(), "", flags),
    ]


def _nesting() -> list[Trick]:
    inner, decoy, twice, doubled, ends, leaf, child = (Spy() for _ in range(7))
    inner.before_filter = inner.w.whole("service")
    w = decoy.w
    fake = w.whole("application", w.given("name", f"{PACKAGE}.Courier"))
    hidden = w.open("x") + fake + w.close("x") + decoy.inside()
    second = twice.inside() + twice.w.whole("application", twice.w.given("enabled", False))
    sdk = doubled.w.whole("uses-sdk", doubled.w.given("minSdkVersion", 30)) + doubled.inside()
    ends.behind_filter = ends.w.open("intent-filter") + ends.w.close("receiver")
    ends.close_receiver = ends.w.close("x")
    leaf.before_filter, leaf.behind_filter = leaf.w.open("meta-data"), leaf.w.close("meta-data")
    w = child.w
    child.asked = w.open("uses-permission", w.given("name", "a.b.C")) + child.asked
    child.asked += w.close("uses-permission")
    return [
        Trick("a component that closes another one", inner.bytes(), UNUSUAL),
        Trick("another application before", decoy.bytes(hidden), UNUSUAL),
        Trick("another application behind", twice.bytes(second), MALFORMED),
        Trick("another uses-sdk before", doubled.bytes(sdk), UNUSUAL),
        Trick("tags closed by other names", ends.bytes()),
        Trick("a filter inside a leaf", leaf.bytes(), UNUSUAL),
        Trick("a permission inside another one", child.bytes(), UNUSUAL),
    ]


def _attributes() -> list[Trick]:
    nameless, raw, compiled, package, overlooked = (Spy() for _ in range(5))
    w = nameless.w
    nameless.action = w.whole("action", w.given(w.again("name"), ACTION))
    raw.action = raw.w.whole("action", raw.w.given("name", "android.intent.action.VIEW", ACTION))
    compiled.name = compiled.w.given("name", INBOX, f"{PACKAGE}.Courier")
    package.root = package.w.open("manifest", package.w.given("package", "com.example.x", PACKAGE))
    w = overlooked.w
    overlooked.exported = w.given("priority", 0) + w.given("exported", False)
    return [
        Trick("an action by name only", nameless.bytes(), MALFORMED),
        Trick("an action that is raw only", raw.bytes(), MALFORMED),
        Trick("a name with another raw text", compiled.bytes(), MALFORMED),
        Trick("a package with another raw text", package.bytes(), MALFORMED),
        Trick("an attribute that Android overlooks", overlooked.bytes(), UNUSUAL),
    ]


def _texts() -> list[Trick]:
    spy = Spy()
    plain = spy.bytes()
    start = plain.index(b"\x01\0\x1c\0")
    odd = bytearray(plain)
    for row in range(len(spy.w.texts)):
        (at,) = struct.unpack_from("<I", odd, start + 28 + 4 * row)
        struct.pack_into("<I", odd, start + 28 + 4 * row, at | 1)
    body, size = RECEIVE.encode(), len(RECEIVE)
    long = bytes(x for letter in body for x in (0xC0 | letter >> 6, 0x80 | letter & 0x3F))
    forms = {
        "longer UTF-8 than needed": narrow(long, len(long)),
        "a text that ends early": narrow(body + b"\0.JUNK", size + 6),
        "a text that is longer than it says": narrow(body, 7),
    }
    narrow_texts = [
        Trick(name, spy.bytes(pool=spy.w.pool(False, {RECEIVE: form})), MALFORMED)
        for name, form in forms.items()
    ]
    return [
        Trick("UTF-8", spy.bytes(pool=spy.w.pool(False))),
        Trick("texts at odd places", bytes(odd), MALFORMED),
        *narrow_texts,
    ]
