"""The facts of an AndroidManifest.xml."""

from typing import Any, NamedTuple

from scanner.binary_xml import TYPE_REFERENCE, Attribute, BinaryXml, Element
from scanner.chunks import BrokenChunkError

LABEL = 0x01010001
NAME = 0x01010003
PERMISSION = 0x01010006
DEBUGGABLE = 0x0101000F
EXPORTED = 0x01010010
PRIORITY = 0x0101001C
MIN_SDK = 0x0101020C
VERSION_CODE = 0x0101021B
VERSION_NAME = 0x0101021C
TARGET_SDK = 0x01010270
TEST_ONLY = 0x01010272
ALLOW_BACKUP = 0x01010280
CLEARTEXT = 0x010104EC
NETWORK_RULES = 0x01010527
MAXIMUM_PERMISSIONS = 500
MAXIMUM_COMPONENTS = 10_000
MAXIMUM_ACTIONS = 100
MAXIMUM_META_DATA = 500
_COMPONENTS = ("activity", "activity-alias", "service", "receiver", "provider")
_PERMISSIONS = ("uses-permission", "uses-permission-sdk-23", "uses-permission-sdk-m")


class Component(NamedTuple):
    """An activity, service, receiver or provider."""

    kind: str
    name: str
    permission: str
    exported: bool | None
    actions: tuple[str, ...]
    categories: tuple[str, ...]
    priority: int


class Manifest(NamedTuple):
    """What an app says of itself."""

    package: str
    version_name: str = ""
    version_code: str = ""
    split: str = ""
    """Name of the split package; empty: it is no split."""
    minimum_sdk: int | None = None
    target_sdk: int | None = None
    label: str = ""
    label_reference: int = 0
    """Resource id of the label, when it is no literal."""
    debuggable: bool = False
    test_only: bool = False
    application_class: str = ""
    backup: bool | None = None
    cleartext: bool | None = None
    has_network_rules: bool = False
    """Whether a network security configuration decides on cleartext traffic."""
    meta_data: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    oddities: tuple[str, ...] = ()
    is_cut: bool = False


def read_manifest(data: bytes) -> Manifest:
    """Return the facts in *data*; raises BrokenChunkError when it is no readable manifest."""
    document = BinaryXml(data)
    reader = _Reader()
    try:
        for element in document.elements():
            reader.take(element)
    except BrokenChunkError as error:
        if not reader.fields.get("package"):
            raise
        document.oddities.append(str(error))
    if not reader.fields.get("package"):
        raise BrokenChunkError("it names no package")
    return Manifest(
        **reader.fields,
        permissions=tuple(reader.permissions),
        meta_data=tuple(reader.meta_data),
        components=tuple(reader.components),
        oddities=tuple(document.oddities),
        is_cut=document.is_cut or reader.is_cut,
    )


class _Reader:
    """Takes the elements in their order."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.permissions: dict[str, None] = {}
        self.meta_data: dict[str, None] = {}
        self.components: list[Component] = []
        self.is_cut = False
        self._open: dict[str, Any] | None = None

    def take(self, element: Element) -> None:
        if not element.opens:
            if element.name in _COMPONENTS:
                self._close()
            return
        given = element.attributes
        if element.name == "manifest" and not self.fields:
            self.fields["package"] = _text(given.get("package"))
            self.fields["version_name"] = _text(given.get(VERSION_NAME))
            self.fields["version_code"] = _text(given.get(VERSION_CODE))
            self.fields["split"] = _text(given.get("split"))
        elif element.name == "uses-sdk":
            self.fields.setdefault("minimum_sdk", _number(given.get(MIN_SDK)))
            self.fields.setdefault("target_sdk", _number(given.get(TARGET_SDK)))
        elif element.name == "application":
            self._application(given)
        elif element.name in _PERMISSIONS:
            self._permission(_text(given.get(NAME)))
        elif element.name == "meta-data":
            self._meta_data(_text(given.get(NAME)))
        elif element.name in _COMPONENTS:
            self._close()
            self._open = _component(element.name, given)
        elif self._open is not None:
            self._inside(element)

    def _application(self, given: dict[int | str, Attribute]) -> None:
        label = given.get(LABEL)
        if label is not None and label.kind == TYPE_REFERENCE:
            self.fields.setdefault("label_reference", label.number)
        else:
            self.fields.setdefault("label", _text(label))
        self.fields.setdefault("debuggable", _flag(given.get(DEBUGGABLE)) is True)
        self.fields.setdefault("test_only", _flag(given.get(TEST_ONLY)) is True)

        self.fields.setdefault("application_class", _text(given.get(NAME)))
        self.fields.setdefault("backup", _flag(given.get(ALLOW_BACKUP)))
        self.fields.setdefault("cleartext", _flag(given.get(CLEARTEXT)))
        self.fields.setdefault("has_network_rules", NETWORK_RULES in given)

    def _meta_data(self, name: str) -> None:
        if len(self.meta_data) >= MAXIMUM_META_DATA:
            self.is_cut = True
        elif name:
            self.meta_data[name] = None

    def _permission(self, name: str) -> None:
        if len(self.permissions) >= MAXIMUM_PERMISSIONS:
            self.is_cut = True
        elif name:
            self.permissions[name] = None

    def _inside(self, element: Element) -> None:
        found = self._open
        if found is None:
            return
        if element.name in ("action", "category"):
            kept = found["actions" if element.name == "action" else "categories"]
            if len(kept) < MAXIMUM_ACTIONS:
                kept.append(_text(element.attributes.get(NAME)))
            else:
                self.is_cut = True
        elif element.name == "intent-filter":
            found["priority"] = max(
                found["priority"], _number(element.attributes.get(PRIORITY)) or 0
            )

    def _close(self) -> None:
        if self._open is None:
            return
        if len(self.components) < MAXIMUM_COMPONENTS:
            found = self._open
            self.components.append(
                Component(
                    **{
                        **found,
                        "actions": tuple(found["actions"]),
                        "categories": tuple(found["categories"]),
                    }
                )
            )
        else:
            self.is_cut = True
        self._open = None


def _component(kind: str, given: dict[int | str, Attribute]) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": _text(given.get(NAME)),
        "permission": _text(given.get(PERMISSION)),
        "exported": _flag(given.get(EXPORTED)),
        "actions": [],
        "categories": [],
        "priority": 0,
    }


def _text(value: Attribute | None) -> str:
    if value is None:
        return ""
    if value.text is not None:
        return value.text[:255]
    return f"@{value.number:#010x}" if value.kind == TYPE_REFERENCE else str(value.number)


def _number(value: Attribute | None) -> int | None:
    if value is None or value.kind == TYPE_REFERENCE:
        return None
    if value.text is None:
        return value.number - (1 << 32) if value.number >= 1 << 31 else value.number
    digits = value.text[:10]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _flag(value: Attribute | None) -> bool | None:
    if value is None:
        return None
    return value.text == "true" if value.text is not None else value.number != 0
