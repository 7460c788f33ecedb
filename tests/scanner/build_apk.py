"""Builds small signed Android apps with Debian's tools: aapt2, smali, zipalign, apksigner, keytool.

Keys are made once and kept in ``build/test-assets``; nothing is fetched.
"""

import fcntl
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
KEYS = Path(__file__).parents[2] / "build" / "test-assets"
PASSWORD = "testtest"
OWN, DEBUG = "CN=Own Key,O=Tests", "C=US,O=Android,CN=Android Debug"
LAUNCHER = (
    '<intent-filter><action android:name="android.intent.action.MAIN"/>'
    '<category android:name="android.intent.category.LAUNCHER"/></intent-filter>'
)


@dataclass(frozen=True, kw_only=True)
class App:
    """What to build."""

    package: str = "org.example.hello"
    label: str = "Hello"
    version_code: int = 1
    version_name: str = "1.0"
    permissions: Sequence[str] = ()
    strings: Sequence[str] = ("hello",)
    """Constants in the code of the main activity."""
    calls: Sequence[str] = ()
    """Methods to refer to: ``Lpackage/Class;->method(arguments)result``."""
    classes: Sequence[str] = ()
    """Descriptors of further empty classes."""
    components: str = ""
    """XML of further components."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Further entries: path -> content."""
    launcher: bool = True
    minimum_sdk: int = 24
    target_sdk: int = 34
    key: str = OWN
    """Distinguished name of the signing key."""
    schemes: frozenset[str] = frozenset({"v1", "v2", "v3"})
    """Empty: not signed."""


def build_apk(out: Path, app: App | None = None) -> Path:
    """Build *app* as file *out* and return it."""
    app = app or App()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unsigned = _link(folder, app)
        with zipfile.ZipFile(unsigned, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("classes.dex", dex(app))
            for path, body in app.files.items():
                archive.writestr(path, body)
        aligned = folder / "aligned.apk"
        _run("zipalign", "-f", "-p", "4", str(unsigned), str(aligned))
        if app.schemes:
            sign(aligned, out, app.key, app.schemes, app.minimum_sdk)
        else:
            out.write_bytes(aligned.read_bytes())
    return out


def sign(source: Path, out: Path, key: str, schemes: frozenset[str], minimum_sdk: int) -> None:
    """Sign *source* as *out* with the key of that name."""
    lowest = 21 if "v1" in schemes else minimum_sdk
    switches = [
        word
        for scheme in ("v1", "v2", "v3")
        for word in (f"--{scheme}-signing-enabled", str(scheme in schemes).lower())
    ]
    _run(
        *("apksigner", "sign", "--ks", str(key_store(key)), "--ks-pass", f"pass:{PASSWORD}"),
        *("--min-sdk-version", str(lowest), *switches, "--out", str(out), str(source)),
    )
    out.with_name(out.name + ".idsig").unlink(missing_ok=True)


def key_store(name: str) -> Path:
    """Return a key store with one RSA key for the distinguished name."""
    KEYS.mkdir(parents=True, exist_ok=True)
    store = KEYS / f"{''.join(letter for letter in name if letter.isalnum())}.p12"
    with (KEYS / ".keys-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.exists():
            _run(
                *("keytool", "-genkeypair", "-keystore", str(store), "-storetype", "PKCS12"),
                *("-storepass", PASSWORD, "-alias", "test", "-keyalg", "RSA", "-keysize", "2048"),
                *("-validity", "9000", "-dname", name),
            )
    return store


def dex(app: App) -> bytes:
    """Return the byte code of *app*."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [_main_class(app), *(_empty_class(descriptor) for descriptor in app.classes)]
        paths = []
        for number, source in enumerate(sources):
            path = folder / f"{number}.smali"
            path.write_text(source, encoding="utf-8")
            paths.append(str(path))
        out = folder / "classes.dex"
        _run("smali", "assemble", "--api", str(app.minimum_sdk), "-o", str(out), *paths)
        return out.read_bytes()


def _link(folder: Path, app: App) -> Path:
    values = folder / "res" / "values"
    values.mkdir(parents=True)
    values.joinpath("strings.xml").write_text(
        f'<resources><string name="app">{escape(app.label)}</string></resources>', "utf-8"
    )
    manifest = folder / "AndroidManifest.xml"
    manifest.write_text(_manifest(app), "utf-8")
    compiled, out = folder / "res.zip", folder / "unsigned.apk"
    _run("aapt2", "compile", "--dir", str(folder / "res"), "-o", str(compiled))
    _run(
        *("aapt2", "link", "-I", str(FRAMEWORK), "--manifest", str(manifest)),
        *("--min-sdk-version", str(app.minimum_sdk), "--target-sdk-version", str(app.target_sdk)),
        *("-o", str(out), str(compiled)),
    )
    return out


def _manifest(app: App) -> str:
    asked = "".join(f"<uses-permission android:name={quoteattr(p)}/>" for p in app.permissions)
    return f"""<manifest xmlns:android="http://schemas.android.com/apk/res/android"
 package={quoteattr(app.package)} android:versionCode="{app.version_code}"
 android:versionName={quoteattr(app.version_name)}>{asked}
<application android:label="@string/app">
<activity android:name=".Main" android:exported="true">{LAUNCHER if app.launcher else ""}</activity>
{app.components}</application></manifest>"""


def _main_class(app: App) -> str:
    constants = "\n".join(f"const-string v0, {_quoted(text)}" for text in app.strings)
    calls = "\n".join(f"if-eqz v0, :end\ninvoke-static {{}}, {call}" for call in app.calls)
    return f""".class public L{app.package.replace(".", "/")}/Main;
.super Landroid/app/Activity;
.method public constructor <init>()V
.registers 1
invoke-direct {{p0}}, Landroid/app/Activity;-><init>()V
return-void
.end method
.method public talk()V
.registers 3
const/4 v0, 0x0
{constants}
{calls}
:end
return-void
.end method
"""


def _empty_class(descriptor: str) -> str:
    return f".class public {descriptor}\n.super Ljava/lang/Object;\n"


def _quoted(text: str) -> str:
    escaped = "".join(
        letter
        if letter.isascii() and letter.isprintable() and letter not in '"\\'
        else f"\\u{ord(letter):04x}"
        for letter in text
    )
    return f'"{escaped}"'


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")
