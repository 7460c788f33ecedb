"""What hides its code is recognised by how it is built, whatever it is called."""

import io
import random
import zipfile
import zlib
from dataclasses import replace

import pytest

from scanner.app_traits import is_payload
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.samples.sample import DISGUISED, PLAIN, Sample, build, read_sample
from tests.scanner.samples.scope import Style
from tests.scanner.test_container import archive

SECRET = random.Random(1).randbytes(20_000)
LOADER = read_sample("""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        loader = InMemoryDexClassLoader(ByteBuffer.wrap(content), self.getClassLoader())
        loader.loadClass("Start").newInstance()
""")
SERVICE = "@service\nclass Gone{}(Service):\n    pass\n"
STYLES = pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])


def with_missing(sample: Sample, number: int, style: Style) -> bytes:
    """Build *sample* with that many components that have no class in the file."""
    names = "".join(SERVICE.format(n) for n in range(number))
    manifest = archive_entry(build(read_sample(names, sample), style), "AndroidManifest.xml")
    code = archive_entry(build(sample, style), "classes.dex")
    return archive({"AndroidManifest.xml": manifest, "classes.dex": code, **sample.files})


def archive_entry(apk: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(apk)) as opened:
        return opened.read(name)


@STYLES
def test_an_app_whose_real_code_is_encrypted_says_so_and_is_never_clean(
    style: Style, scan_here: Scan
) -> None:
    packed = replace(LOADER, files={"assets/data.bin": SECRET})

    result = scan_here(with_missing(packed, 4, style))

    assert {"loads_code", "missing_code", "encrypted_payload"} <= {*result["features"]["traits"]}
    assert "hidden_code" in rules_of(result)
    assert any("encrypted" in reason for reason in result["skipped"])


@STYLES
@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"assets/data.bin": SECRET}, 0),
        ({"assets/data.bin": SECRET}, 1),
        ({"assets/data.bin": zlib.compress(SECRET * 2)[:9_000] + bytes(9_000)}, 4),
        ({"assets/picture.png": b"\x89PNG\r\n\x1a\n" + SECRET}, 4),
    ],
    ids=["all classes there", "one is missing", "no random bytes", "a picture"],
)
def test_one_sign_alone_is_no_hidden_code(
    files: dict[str, bytes], missing: int, style: Style, scan_here: Scan
) -> None:
    result = scan_here(with_missing(replace(LOADER, files=files), missing, style))

    assert "hidden_code" not in rules_of(result)
    assert result["skipped"] == []


@STYLES
def test_code_that_lies_readable_in_another_file_is_seen(style: Style, scan_here: Scan) -> None:
    hidden = read_sample("".join(SERVICE.format(n) for n in range(2)))
    inside = archive_entry(build(hidden, style), "classes.dex")
    carrier = replace(LOADER, files={"assets/data.bin": SECRET, "assets/part.dex": inside})

    result = scan_here(with_missing(carrier, 2, style))

    assert "missing_code" not in result["features"]["traits"]
    assert "nested_app" in result["features"]["traits"]


def test_an_application_class_that_loads_code_is_a_stub(scan_here: Scan) -> None:
    text = """
application(name="org.example.sample.First")
class First(Application):
    def onCreate(self):
        super().onCreate()
        loader = DexClassLoader("a", "b", None, self.getClassLoader())
"""

    traits = scan_here(build(read_sample(text)))["features"]["traits"]

    assert {"loads_code", "stub_application"} <= {*traits}


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_told_from_compressed_ones(seed: int) -> None:
    chosen = random.Random(seed)
    words = " ".join(chosen.choices(["alpha", "beta", "gamma", "x9", "(", "{"], k=80_000))
    compressed = zlib.compress(words.encode())

    assert is_payload(chosen.randbytes(17_000))
    assert not is_payload(words.encode())
    assert not is_payload(compressed)
    assert not is_payload(b"\x1f\x8b" + chosen.randbytes(17_000))
    assert not is_payload(chosen.randbytes(9_000))
