"""A sample app: read from its text, built in the milliseconds that its own writers take.

``apps/<rule>.app`` holds the sample that a rule must find. What follows the line
``# near miss: <what it does instead>`` takes the place of the sample's classes and files of the
same names and gives the app that the rule must leave alone; what follows ``# also: <how>`` in the
same manner is another way to do what the sample does. The syntax is Python's; nothing is run:

    permissions("INTERNET", "RECEIVE_SMS")

    @receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=999)
    class Inbox(BroadcastReceiver):
        def onReceive(self, context, intent): ...

    file("assets/readme.txt", "content")
"""

import ast
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.scanner.samples.binary_manifest import Tag, write_manifest
from tests.scanner.samples.compiler import compile_classes
from tests.scanner.samples.dex_model import ClassBody, Op
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.scope import SampleError, Style

APPS = Path(__file__).parent / "apps"
NEAR_MISS, ALSO = "# near miss: ", "# also: "
COMPONENTS = ("activity", "service", "receiver", "provider")
PLAIN = Style()
Class = ast.ClassDef
Trick = Callable[[list[ClassBody]], list[ClassBody]]
"""Makes other classes of some that do the same."""


@dataclass(frozen=True)
class Sample:
    """One app, before it is compiled."""

    package: str = "org.example.sample"
    split: str = ""
    permissions: tuple[str, ...] = ()
    application: dict[str, Any] = field(default_factory=dict)
    minimum_sdk: int = 24
    target_sdk: int = 34
    classes: dict[str, Class] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """What a rule finds, and its neighbour."""

    sample: Sample
    near_miss: Sample
    difference: str
    """What the near miss does instead, in words."""
    also: dict[str, Sample]
    """Other ways to do what the sample does, which the rule must find too."""


def read_pair(rule: str, folder: Path = APPS) -> Pair:
    """Return sample and near miss of *rule*; SampleError when the text holds no near miss."""
    text = (folder / f"{rule}.app").read_text("utf-8")
    first, mark, second = text.partition(NEAR_MISS)
    if not mark:
        raise SampleError(f"{rule}.app has no line {NEAR_MISS!r}")
    near, *others = second.split(ALSO)
    difference, _, changes = near.partition("\n")
    sample = read_sample(first)
    also = {way.partition("\n")[0]: read_sample(way.partition("\n")[2], sample) for way in others}
    return Pair(sample, read_sample(changes, sample), difference, also)


def read_sample(text: str, base: Sample | None = None) -> Sample:
    """Return the sample in *text*, which adds to *base* or takes the place of what is in it."""
    found = base or Sample()
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.ClassDef):
            found = replace(found, classes={**found.classes, statement.name: statement})
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            found = _fact(found, statement.value)
        else:
            raise SampleError(f"line {statement.lineno}: neither a class nor a fact")
    return found


def _fact(sample: Sample, call: ast.Call) -> Sample:
    name = ast.unparse(call.func)
    arguments = [_literal(argument) for argument in call.args]
    if name == "permissions":
        return replace(sample, permissions=tuple(arguments))
    if name == "file":
        path, body = arguments
        body = body if isinstance(body, bytes) else body.encode()
        return replace(sample, files={**sample.files, path: body})
    if name in ("application", "app"):
        given = _keywords(call)
        return replace(sample, **given) if name == "app" else replace(sample, application=given)
    raise SampleError(f"line {call.lineno}: no fact is called {name}")


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _literal(node.left) + _literal(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _literal(node.left) * _literal(node.right)
    return ast.literal_eval(node)


def build(sample: Sample, style: Style = PLAIN, trick: Trick = list) -> bytes:
    """Return *sample* as an unsigned APK, its classes changed by *trick*."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", manifest(sample, style))
        if sample.classes:
            archive.writestr("classes.dex", write_dex(trick(classes_of(sample, style))))
        for path, body in sample.files.items():
            archive.writestr(path, body)
    return whole.getvalue()


def classes_of(sample: Sample, style: Style = PLAIN) -> list[ClassBody]:
    """Return the compiled classes of *sample*."""
    return compile_classes(list(sample.classes.values()), sample.package, style)


def disguise(name: str) -> str:
    """Return another name for *name*, always the same: what a renaming obfuscator leaves."""
    number = sum(ord(letter) * (index + 7) for index, letter in enumerate(name))
    letters = ""
    while number:
        number, rest = divmod(number, 26)
        letters += chr(97 + rest)
    return f"{letters}.q.z" if "." in name else letters


DISGUISED = Style(disguise, hides_texts=True)
"""Every name of the app's own is another one, and no text of the code can be read."""


def manifest(sample: Sample, style: Style = PLAIN) -> bytes:
    """Return the sample's binary manifest."""
    name = style.name
    components = [
        tag
        for one in sample.classes.values()
        for decorator in one.decorator_list
        for tag in _component(decorator, f"{name(sample.package)}.{name(one.name)}")
    ]
    sdk = {"minSdkVersion": sample.minimum_sdk, "targetSdkVersion": sample.target_sdk}
    children = [
        Tag("uses-sdk", sdk),
        *(Tag("uses-permission", {"name": _permission(p)}) for p in sample.permissions),
        Tag("application", {"label": name("Sample"), **sample.application}, components),
    ]
    about: dict[str, str | int | bool] = {
        "versionCode": 1,
        "versionName": "1.0",
        "package": name(sample.package),
        **({"split": sample.split} if sample.split else {}),
    }
    return write_manifest(Tag("manifest", about, children))


def _component(decorator: ast.expr, name: str) -> Iterator[Tag]:
    kind = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    given = _keywords(decorator) if isinstance(decorator, ast.Call) else {}
    if kind == "launcher":
        given |= {
            "actions": ["android.intent.action.MAIN"],
            "categories": ["android.intent.category.LAUNCHER"],
        }
        kind = "activity"
    if kind not in COMPONENTS:
        raise SampleError(f"line {decorator.lineno}: no component is called {kind}")
    filters = _filter(given)
    about: dict[str, Any] = {"name": name, "exported": bool(filters), **given}
    if "permission" in about:
        about["permission"] = _permission(about["permission"])
    yield Tag(kind, about, filters)


def _filter(given: dict[str, Any]) -> list[Tag]:
    inside = [
        Tag(tag, {"name": value})
        for tag, key in (("action", "actions"), ("category", "categories"))
        for value in given.pop(key, ())
    ]
    inside += [Tag("data", {"scheme": scheme}) for scheme in given.pop("schemes", ())]
    priority = given.pop("priority", 0)
    about = {"priority": priority} if priority else {}
    return [Tag("intent-filter", about, inside)] if inside else []


def _keywords(call: ast.Call) -> dict[str, Any]:
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}


def _permission(name: str) -> str:
    return name if "." in name else f"android.permission.{name}"


def texts_of(classes: list[ClassBody]) -> set[str]:
    """Return every constant text in the code."""
    return {
        str(op.symbol)
        for one in classes
        for body in one.methods
        for op in body.code
        if isinstance(op, Op) and op.name == "const-string"
    }


def names_of(classes: list[ClassBody]) -> set[str]:
    """Return the names of classes and of what they declare."""
    found = {one.name for one in classes}
    for one in classes:
        found |= {body.method.name for body in one.methods}
        found |= {field.name for field, _ in one.fields}
    return found
