"""Signed apps, good ones and spoilt ones, by name: what Android's verifier must be asked about."""

import io
import itertools
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.scanner.apksig import Apksig
from tests.scanner.build_apk import App, build_apk
from tests.scanner.sign_apk import (
    DSA_SHA256,
    EC_SHA256,
    EC_VERITY,
    EVER,
    RSA_PSS_SHA256,
    RSA_SHA256,
    RSA_SHA512,
    RSA_VERITY,
    V2,
    V3,
    File,
    Key,
    Signer,
    key,
    lineage,
)

PROOF, STRIPPING, TARGET = 0x3BA06F8C, 0xBEEFF00D, 0x559F8B02
ONE, TWO, THREE = key("rsa2048"), key("rsa2048", "two"), key("ec", "three")
FLIPS = 40


class Corpus:
    """Makes the files in *folder*."""

    def __init__(self, folder: Path, tool: Apksig) -> None:
        self._folder, self._tool = folder, tool
        app = App(schemes=frozenset(), minimum_sdk=21, target_sdk=29)
        self.plain = build_apk(folder / "plain.apk", app)
        body = self.plain.read_bytes()
        self.paged = folder / "paged.apk"
        self.paged.write_bytes(_padded(body))

    def by_tool(self, name: str, schemes: str, *signers: Key, extra: tuple[str, ...] = ()) -> bytes:
        """Sign with apksigner; *schemes* as in ``v1 v3``."""
        out = self._folder / f"{name}.apk"
        switches = [
            word
            for scheme in ("v1", "v2", "v3")
            for word in (f"--{scheme}-signing-enabled", str(scheme in schemes.split()).lower())
        ]
        words: list[str] = []
        for index, signer in enumerate(signers or (ONE,)):
            words += [*(["--next-signer"] if index else []), *signer.files(self._folder)]
        self._tool.run(
            *("sign", "--v4-signing-enabled", "false", "--min-sdk-version", "21", *switches),
            *(*extra, *words, "--out", str(out), str(self.plain)),
        )
        return out.read_bytes()

    def lineage_of(self, *keys: Key) -> str:
        """Let apksigner write a proof of rotation."""
        made = ""
        for number, (old, new) in enumerate(itertools.pairwise(keys)):
            out = str(self._folder / f"lineage-{len(keys)}-{number}")
            before = ["--in", made] if made else []
            self._tool.run(
                *("rotate", *before, "--out", out, "--old-signer", *old.files(self._folder)),
                *("--new-signer", *new.files(self._folder)),
            )
            made = out
        return made

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file of the corpus."""
        good = dict(self._good())
        yield from good.items()
        yield from _spoilt_blocks(good)
        yield from _spoilt_bytes(good)
        yield from _spoilt_archives(good)
        yield from self._by_hand()

    def _good(self) -> Iterator[tuple[str, bytes]]:
        yield "unsigned", self.plain.read_bytes()
        for schemes in ("v1", "v2", "v3", "v1 v2", "v2 v3", "v1 v2 v3"):
            yield schemes, self.by_tool(schemes.replace(" ", "-"), schemes)
        yield "ec", self.by_tool("ec", "v1 v2 v3", THREE)
        yield "dsa", self.by_tool("dsa", "v1 v2", key("dsa"))
        yield "rsa 1024", self.by_tool("rsa1024", "v1 v2 v3", key("rsa1024"))
        yield "sha512", self.by_tool("sha512", "v2 v3", key("rsa4096"))
        yield "two signers", self.by_tool("two", "v1 v2", ONE, TWO)
        yield "two signers v1", self.by_tool("two1", "v1", ONE, TWO)
        for keys in ((ONE, TWO), (ONE, TWO, THREE)):
            extra = ("--lineage", self.lineage_of(*keys))
            name = f"rotated {len(keys)}"
            yield name, self.by_tool(name.replace(" ", ""), "v1 v2 v3", *keys, extra=extra)
        yield "verity", self.by_tool("verity", "v2 v3", extra=("--verity-enabled", "true"))

    def _by_hand(self) -> Iterator[tuple[str, bytes]]:
        plain = File.of(self.plain.read_bytes())
        v1 = File.of(self.by_tool("v1-again", "v1"))
        paged = File.of(self.paged.read_bytes())
        one, two = Signer(key=ONE), Signer(key=TWO)
        for name, made in {
            "hand v2": plain.signed(v2=[one]),
            "hand v3": plain.signed(v3=[one]),
            "two signers v3": plain.signed(v3=[one, two]),
            "v1 and another v2": v1.signed(v2=[two]),
            "v1 and another v3": v1.signed(v3=[two]),
            "v2 and another v3": plain.signed(v2=[one], v3=[two]),
            "eleven signers": plain.signed(v2=[one] * 11),
            "no signer": plain.signed(v2=[]),
            "ranges": plain.signed(v3=[_until(one, 29), _since(two, 30, (ONE, TWO))]),
            "ranges gap": plain.signed(v3=[_until(one, 28), _since(two, 30, (ONE, TWO))]),
            "range ends": plain.signed(v3=[_until(one, 30)]),
            "range late": plain.signed(v3=[_since(one, 30)]),
            "range backwards": plain.signed(v3=[Signer(key=ONE, sdk=(30, 28))]),
            "ranges differ": plain.signed(v3=[Signer(key=ONE, outer_sdk=(28, 40))]),
            "ranges unrelated": plain.signed(v3=[_until(one, 29), _since(two, 30)]),
            "wrong order": plain.signed(
                v2=[Signer(key=ONE, algorithms=(0x103, 0x104), digest_order=(0x104, 0x103))]
            ),
            "two algorithms": plain.signed(v2=[Signer(key=ONE, algorithms=(0x103, 0x104))]),
            "pss": plain.signed(v2=[Signer(key=ONE, algorithms=(RSA_PSS_SHA256,))]),
            "unknown algorithm": plain.signed(v2=[Signer(key=ONE, algorithms=(0x999,))]),
            "also unknown": plain.signed(v2=[Signer(key=ONE, algorithms=(0x999, RSA_SHA512))]),
            "other kind of key": plain.signed(v2=[Signer(key=ONE, algorithms=(EC_SHA256,))]),
            "ec": plain.signed(v2=[Signer(key=THREE, algorithms=(EC_SHA256,))]),
            "dsa hand": plain.signed(v2=[Signer(key=key("dsa"), algorithms=(DSA_SHA256,))]),
            "other certificate": plain.signed(v2=[Signer(key=ONE, certificate=TWO.certificate)]),
            "strip mark": plain.signed(
                v2=[Signer(key=ONE, attributes=[(STRIPPING, struct.pack("<I", 3))])]
            ),
            "strip mark kept": plain.signed(
                v2=[Signer(key=ONE, attributes=[(STRIPPING, struct.pack("<I", 3))])], v3=[one]
            ),
            "strip mark of 9": plain.signed(
                v2=[Signer(key=ONE, attributes=[(STRIPPING, struct.pack("<I", 9))])]
            ),
            "unknown attribute": plain.signed(v3=[Signer(key=ONE, attributes=[(0x1234, b"x")])]),
            "verity only v2": paged.signed(v2=[Signer(key=ONE, algorithms=(RSA_VERITY,))]).paged(),
            "verity only v3": paged.signed(v3=[Signer(key=ONE, algorithms=(RSA_VERITY,))]).paged(),
            "verity unpaged": paged.signed(v3=[Signer(key=ONE, algorithms=(RSA_VERITY,))]),
            "verity ec": paged.signed(v3=[Signer(key=THREE, algorithms=(EC_VERITY,))]).paged(),
            "verity and plain": paged.signed(
                v2=[Signer(key=ONE, algorithms=(RSA_SHA256, RSA_VERITY))]
            ).paged(),
            "rotated": plain.signed(v2=[one], v3=[_since(two, 28, (ONE, TWO))]),
            "rotated, oldest elsewhere": plain.signed(
                v2=[one], v3=[_since(two, 28, (THREE, TWO), EC_SHA256)]
            ),
            "rotated to another": plain.signed(v3=[_since(two, 28, (TWO, ONE))]),
            "rotated in a ring": plain.signed(v3=[_since(one, 28, (ONE, TWO, ONE))]),
            "rotated from nobody": plain.signed(v3=[_since(two, 28, (TWO,))]),
        }.items():
            yield f"by hand: {name}", made.bytes()


def _until(one: Signer, last: int) -> Signer:
    return Signer(key=one.key, sdk=(28, last))


def _since(
    one: Signer, first: int, past: tuple[Key, ...] = (), algorithm: int = RSA_SHA256
) -> Signer:
    attributes = [(PROOF, lineage(*past, algorithm=algorithm))] if past else []
    return Signer(key=one.key, sdk=(first, EVER), attributes=attributes)


def _padded(data: bytes) -> bytes:
    """Fill up to a whole page in front of the directory, as fs-verity needs it."""
    file = File.of(data)
    file.entries += b"\0" * (-len(file.entries) % 4096)
    return file.bytes()


def _spoilt_blocks(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    def changed(name: str, change: Callable[[list[tuple[int, bytes]]], None]) -> bytes:
        file = File.of(good[name])
        change(file.pairs)
        return file.bytes()

    for name in ("v2", "v3", "v1 v2", "v2 v3", "v1 v2 v3", "rotated 2"):
        numbers = [n for n, _ in File.of(good[name]).pairs if n in (V2, V3)]
        for number in numbers:
            body = File.of(good[name]).pair(number)
            bad = body[:-1] + bytes([body[-1] ^ 1])
            label = f"{name}: {'v2' if number == V2 else 'v3'}"
            yield (
                f"{label} taken away",
                changed(name, lambda pairs, n=number: _drop(pairs, n)),  # type: ignore[misc]
            )
            yield (
                f"{label} doubled, bad first",
                changed(name, lambda pairs, n=number, b=bad: pairs.insert(0, (n, b))),  # type: ignore[misc]
            )
            yield (
                f"{label} doubled, bad last",
                changed(name, lambda pairs, n=number, b=bad: pairs.append((n, b))),  # type: ignore[misc]
            )
            yield (
                f"{label} with more behind it",
                changed(name, lambda pairs, n=number, b=body: _put(pairs, n, b + b"more")),  # type: ignore[misc]
            )
            yield (
                f"{label} cut off",
                changed(name, lambda pairs, n=number, b=body: _put(pairs, n, b[:-9])),  # type: ignore[misc]
            )
            yield (
                f"{label} empty",
                changed(name, lambda pairs, n=number: _put(pairs, n, b"")),  # type: ignore[misc]
            )
        yield f"{name}: no block", changed(name, list.clear)
        yield f"{name}: a stranger's pair", changed(name, lambda pairs: pairs.append((7, b"x")))
    swapped = File.of(good["v2 v3"])
    swapped.pairs = [({V2: V3, V3: V2}.get(n, n), body) for n, body in swapped.pairs]
    yield "v2 v3: swapped", swapped.bytes()


def _drop(pairs: list[tuple[int, bytes]], number: int) -> None:
    pairs[:] = [pair for pair in pairs if pair[0] != number]


def _put(pairs: list[tuple[int, bytes]], number: int, body: bytes) -> None:
    pairs[:] = [(n, body if n == number else old) for n, old in pairs]


def _spoilt_bytes(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Flip one bit at many places of a signature, a length or a digest."""
    for name, number in (("v2", V2), ("rotated 2", V3), ("v1 v2 v3", V3)):
        body = File.of(good[name]).pair(number)
        for at in range(0, len(body), max(1, len(body) // FLIPS)):
            file = File.of(good[name])
            spoilt = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            _put(file.pairs, number, spoilt)
            yield f"{name}: bit {at} of {number:#x}", file.bytes()


def _spoilt_archives(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name in ("v1", "v2", "v1 v2 v3"):
        data = good[name]
        end = data.rindex(b"PK\x05\x06")
        start = struct.unpack_from("<I", data, end + 16)[0]
        yield f"{name}: junk behind", data + b"junk"
        yield f"{name}: comment", data[: end + 20] + struct.pack("<H", 4) + b"more"
        yield f"{name}: entry data", _flipped(data, data.index(b"resources.arsc") + 30)
        yield f"{name}: time in directory", _flipped(data, data.rindex(b"PK\x01\x02") + 12)
        yield f"{name}: gap before the end", data[:end] + b"\0" * 8 + data[end:]
        yield f"{name}: ZIP64 locator", (data[:end] + b"PK\x06\x07" + b"\0" * 16 + data[end:])
        yield f"{name}: byte in front", b"\0" + data
        if name != "v1":
            yield f"{name}: block's first size", _flipped(data, _block_start(data, start))
            yield f"{name}: block's last size", _flipped(data, start - 24)
            yield f"{name}: block's name", _flipped(data, start - 3)
            yield f"{name}: a pair's size", _flipped(data, _block_start(data, start) + 8 + 3)
        for change, entry in _ENTRY_CHANGES.items():
            yield f"{name}: {change}", _rewritten(data, entry)
    for name in ("two signers v1", "two signers"):
        for change, entry in _ENTRY_CHANGES.items():
            yield f"{name}: {change}", _rewritten(good[name], entry)


def _block_start(data: bytes, start: int) -> int:
    return int(start - struct.unpack_from("<Q", data, start - 24)[0] - 8)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _rewritten(data: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """Write the archive anew without signing block; *change* may alter or drop (None) entries."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            kept = change(name, old.read(name))
            if kept is not None:
                new.writestr(name, kept)
        added = change("META-INF/", b"")
        if added:
            new.writestr("META-INF/added", added)
        more = change("", b"")
        if more:
            new.writestr("assets/new.bin", more)
    return out.getvalue()


def _in(
    ending: str, change: Callable[[bytes], bytes | None]
) -> Callable[[str, bytes], bytes | None]:
    return lambda name, body: change(body) if name.endswith(ending) and name else body


_ENTRY_CHANGES: dict[str, Callable[[str, bytes], bytes | None]] = {
    "written anew": lambda name, body: body,
    "entry changed": _in("resources.arsc", lambda body: body + b" "),
    "entry dropped": _in("resources.arsc", lambda body: None),
    "entry added": lambda name, body: b"new" if name == "" else body,
    "metadata added": lambda name, body: b"new" if name == "META-INF/" else body,
    "manifest changed": _in(".MF", lambda body: body.replace(b"=", b"+", 1)),
    "manifest longer": _in(".MF", lambda body: body + b"Name: x\r\n\r\n"),
    "manifest head": _in(
        ".MF", lambda body: body.replace(b"Manifest-Version: 1.0", b"Manifest-Version: 1.1")
    ),
    "manifest twice": _in(".MF", lambda body: body + body[body.index(b"Name") :]),
    "manifest dropped": _in(".MF", lambda body: None),
    "signature file changed": _in(".SF", lambda body: body + b"\r\n"),
    "signature file dropped": _in(".SF", lambda body: None),
    "signature block changed": _in(
        ".RSA", lambda body: body[:-5] + bytes([body[-5] ^ 1]) + body[-4:]
    ),
    "signature block dropped": _in(".RSA", lambda body: None),
    "signature block garbage": _in(".RSA", lambda body: b"\x30\x03abc"),
    "signature block cut": _in(".RSA", lambda body: body[: len(body) // 2]),
}
