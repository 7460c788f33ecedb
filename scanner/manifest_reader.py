"""Reads an AndroidManifest.xml as Android does.

Sources (AOSP): ParsingPackageUtils and PackageParser (which tags count where, the last uses-sdk
wins, a second application is passed over), ParsedIntentInfoUtils, and XmlBlock: tags are closed by
their depth, not by their names. Where versions of Android differ, and where something stands in a
place that Android passes over, the manifest says more rather than less.
"""

from collections.abc import Callable
from typing import Any

from scanner.binary_xml import BinaryXml, Element
from scanner.chunks import BrokenChunkError
from scanner.manifest import Component, Manifest
from scanner.manifest_parts import MAXIMUM_READINGS, Filter, Part
from scanner.manifest_values import Values
from scanner.resources import REFERENCES, Resources

LABEL = 0x01010001
PERMISSION = 0x01010006
ENABLED = 0x0101000E
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
MAXIMUM_LABELS = 200
"""Of the app and its icons together; `scanner.features` bounds the texts."""
MAXIMUM_TOLD = 20
_ACTIVITIES = ("activity", "activity-alias")
_COMPONENTS = (*_ACTIVITIES, "service", "receiver", "provider")
_PERMISSIONS = ("uses-permission", "uses-permission-sdk-23", "uses-permission-sdk-m")
_MAIN, _LAUNCHER = "android.intent.action.MAIN", "android.intent.category.LAUNCHER"


def read_manifest(data: bytes, resources: Resources | None = None) -> Manifest:
    """Return the facts in *data*; raises BrokenChunkError when it is no readable manifest."""
    resources = resources or Resources(lambda: None)
    document = BinaryXml(data, resources.meant)
    reader = _Reader(Values(resources))
    odd: dict[str, None] = {}
    try:
        for element in document.elements():
            reader.take(element)
    except BrokenChunkError as error:
        if not reader.fields.get("package"):
            raise
        odd[str(error)] = None
    reader.finish()
    if not reader.fields.get("package"):
        raise BrokenChunkError("it names no package")
    return Manifest(
        **reader.fields,
        labels=tuple(reader.labels),
        permissions=tuple(reader.permissions),
        meta_data=tuple(reader.meta_data),
        components=tuple(reader.components),
        oddities=(*document.oddities, *reader.values.oddities, *reader.oddities, *odd),
        unusual=(*document.unusual, *reader.unusual),
        unresolved=tuple(reader.values.unresolved)[:MAXIMUM_TOLD],
        is_cut=document.is_cut or reader.is_cut or reader.values.is_cut,
    )


class _Reader:
    """Takes the elements in their order."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.fields: dict[str, Any] = {}
        self.labels: dict[str | int, None] = {}
        self.permissions: dict[str, None] = {}
        self.meta_data: dict[str, None] = {}
        self.components: list[Component] = []
        self.oddities: dict[str, None] = {}
        self.unusual: dict[str, None] = {}
        self.is_cut = False
        self._tags: list[str] = []
        self._parts: list[Part] = []
        self._filters: list[Filter] = []
        self._quiet = 0
        """Depth of an open element in which nothing counts."""
        self._is_over = False
        self._is_first = True
        """Whether the application that is open, or was last, is the one that counts."""
        self._is_shown = True
        """Whether the application is enabled on every device."""
        self._guards = [""]
        """What guards components that name no permission of their own."""
        self._places: dict[str, bool] = {}
        """Of application and uses-sdk: whether one stood where it belongs."""
        self._takers: dict[str, tuple[Callable[[Element], None], tuple[str, ...]]] = {
            "manifest": (self._manifest, ("",)),
            "application": (self._application, ("manifest",)),
            "uses-sdk": (self._sdk, ("manifest",)),
            "meta-data": (self._meta_data, ()),
            "intent-filter": (self._filter, _COMPONENTS),
            "action": (self._word, ("intent-filter",)),
            "category": (self._word, ("intent-filter",)),
            "data": (self._data, ()),
            **dict.fromkeys(_PERMISSIONS, (self._permission, ("manifest",))),
            **dict.fromkeys(_COMPONENTS, (self._component, ("application",))),
        }

    def take(self, element: Element) -> None:
        if not element.opens:
            self._close()
            return
        parent = self._tags[-1] if self._tags else ""
        self._tags.append(element.name)
        if self._quiet or self._is_over:
            return
        if element.name == "queries":
            self._quiet = len(self._tags)
        taker, places = self._takers.get(element.name, (None, ()))
        if taker is not None:
            if places and parent not in places:
                self.unusual[f"{element.name} inside {parent[:40] or 'nothing'}"] = None
            taker(element)

    def finish(self) -> None:
        """The document is over, whatever is still open."""
        while self._tags:
            self._close()

    def _close(self) -> None:
        depth = len(self._tags)
        if self._filters and self._filters[-1].depth == depth:
            self._close_filter(self._filters.pop())
        if self._parts and self._parts[-1].depth == depth:
            self._close_part(self._parts.pop())
        if self._quiet == depth:
            self._quiet = 0
        if self._tags:
            self._tags.pop()
            self._is_over = not self._tags

    # --- elements ---

    def _manifest(self, element: Element) -> None:
        if "package" in self.fields:
            return
        self.fields["package"] = self.values.raw(element, "package")
        self.fields["version_name"] = self.values.text(element.given(VERSION_NAME))
        self.fields["version_code"] = self.values.text(element.given(VERSION_CODE))
        self.fields["split"] = self.values.raw(element, "split")

    def _belongs(self, element: Element) -> bool:
        """Return whether *element* stands where it belongs, or none did so far; note that."""
        belongs = self._tags[-2:-1] == ["manifest"]
        before = self._places.get(element.name)
        self._places[element.name] = bool(before or belongs)
        return belongs or before is None

    def _sdk(self, element: Element) -> None:
        if element.name in self._places:
            self.unusual["several uses-sdk"] = None
        if self._belongs(element):
            for name, number in (("minimum_sdk", MIN_SDK), ("target_sdk", TARGET_SDK)):
                found = self.values.numbers(element.given(number))
                self.fields[name] = min(found, default=None)

    def _application(self, element: Element) -> None:
        if self._places.get("application"):
            self.oddities["a second application"] = None
            self._is_first = self._is_first and self._tags[:-1] != ["manifest"]
            return
        if not self._belongs(element):
            return
        given, truth, rules = element.given, self.values.truth, element.given(NETWORK_RULES)
        self.labels = {**dict.fromkeys(self.values.label(given(LABEL))), **self.labels}
        self._is_shown = not self.values.may_be(False, given(ENABLED))
        self._guards = self._guarded_by(element, [""])
        self.fields |= {
            "debuggable": truth(given(DEBUGGABLE)) is True,
            "test_only": truth(given(TEST_ONLY)) is True,
            "application_class": next(iter(self.values.names(element)), ""),
            "backup": truth(given(ALLOW_BACKUP)),
            "cleartext": truth(given(CLEARTEXT)),
            "has_network_rules": bool(rules and rules.kind in REFERENCES and rules.number),
        }

    def _meta_data(self, element: Element) -> None:
        self._add(self.meta_data, self.values.names(element), MAXIMUM_META_DATA)

    def _permission(self, element: Element) -> None:
        self._add(self.permissions, self.values.names(element), MAXIMUM_PERMISSIONS)

    def _component(self, element: Element) -> None:
        if len(self.components) + len(self._parts) >= MAXIMUM_COMPONENTS:
            self.is_cut = True
            return
        given, values = element.given, self.values
        part = Part(len(self._tags), element.name)
        part.names = self._readings(values.names(element))
        part.permissions = self._readings(self._guarded_by(element, self._guards))
        part.exported = values.truth(given(EXPORTED))
        is_placed = self._tags[:-1] == ["manifest", "application"] and self._is_first
        is_enabled = self._is_shown and not values.may_be(False, given(ENABLED))
        part.is_shown = is_placed and is_enabled
        part.labels = values.label(given(LABEL))
        self._parts.append(part)

    def _guarded_by(self, element: Element, others: list[str]) -> list[str]:
        given = element.given(PERMISSION)
        return others if given is None else self.values.guards(given)

    def _readings(self, names: list[str]) -> list[str]:
        self.is_cut |= len(names) > MAXIMUM_READINGS
        return names[:MAXIMUM_READINGS]

    def _filter(self, element: Element) -> None:
        if self._parts:
            part, numbers = self._parts[-1], self.values.numbers(element.given(PRIORITY))
            part.priority = max(part.priority, *numbers, 0)
            label = self.values.label(element.given(LABEL))
            self._filters.append(Filter(len(self._tags), label))

    def _word(self, element: Element) -> None:
        """Take an action or a category."""
        if not self._parts:
            return
        kept, names = self._parts[-1].lists[element.name], self.values.names(element)
        self.is_cut |= len(kept) + len(names) > MAXIMUM_ACTIONS
        kept += (names or [""])[: MAXIMUM_ACTIONS - len(kept)]
        if not self._filters:
            return
        self._filters[-1].names.update(names)
        word = self.values.action(element)
        if word in (_MAIN, _LAUNCHER) and len(self._tags) == self._filters[-1].depth + 1:
            self._filters[-1].words.add(word)

    def _data(self, element: Element) -> None:
        if self._filters and len(element):
            self._filters[-1].has_data = True

    def _close_filter(self, closed: Filter) -> None:
        part = self._parts[-1] if self._parts else None
        if part is None or part.kind not in _ACTIVITIES or closed.has_data:
            return
        if {_MAIN, _LAUNCHER} <= closed.names:
            part.may_be_launcher = True
            part.labels += closed.labels
        if {_MAIN, _LAUNCHER} <= closed.words and closed.depth == part.depth + 1:
            part.is_launcher = True

    def _close_part(self, part: Part) -> None:
        found = part.components()
        room = min(MAXIMUM_READINGS, MAXIMUM_COMPONENTS - len(self.components))
        self.is_cut |= len(found) > room
        self.components += found[:room]
        if part.may_be_launcher:
            self.labels |= dict.fromkeys(part.labels[: MAXIMUM_LABELS - len(self.labels)])
            self.is_cut |= len(self.labels) >= MAXIMUM_LABELS

    def _add(self, known: dict[str, None], names: list[str], most: int) -> None:
        for name in names:
            if len(known) < most:
                known[name[:255]] = None
            else:
                self.is_cut = True
