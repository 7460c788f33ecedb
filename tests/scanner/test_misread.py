"""What Android sees in a manifest is seen, however it is written, and the trick is told."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from patterns.opened import open_data
from scanner.again import OLDER, judge_again
from scanner.isolation import scan_file
from scanner.known_rules import plain
from scanner.limits import DEFAULT
from scanner.manifest import Manifest
from scanner.manifest_reader import read_manifest
from scanner.resources import MAXIMUM_VALUES, Resources
from tests.scanner import axml, misread
from tests.scanner.arsc import one, package, version, whole, width
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.misread import ANY, ENGLISH, NEWER, Reference, Spy, Trick, Writer, apk, table
from tests.scanner.samples.binary_manifest import IDS
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import build, classes_of, manifest, read_pair, read_sample
from tests.scanner.samples.scope import Style
from tests.scanner.test_container import archive

TRICKS = {trick.name: trick for trick in misread.tricks()}


@pytest.mark.parametrize("name", TRICKS)
def test_a_spy_is_found_whatever_its_manifest_pretends(name: str, scan_here: Scan) -> None:
    trick = TRICKS[name]

    result = scan_here(apk(trick.manifest, trick.resources))

    about = {misread.MALFORMED, misread.UNUSUAL}.intersection(rules_of(result))
    assert misread.RULE in rules_of(result), result["skipped"]
    assert result["package"] == misread.PACKAGE
    assert about == ({trick.rule} if trick.rule else set())
    assert result["skipped"] == []


def read(spy: Spy, resources: bytes = b"") -> Manifest:
    return read_manifest(spy.bytes(), Resources(lambda: resources))


def test_the_real_application_counts_wherever_a_decoy_stands() -> None:
    for name in ("another application before", "another application behind"):
        (receiver,) = (
            one for one in read_manifest(TRICKS[name].manifest).components if one.actions
        )
        assert receiver.name == misread.INBOX
        assert read_manifest(TRICKS[name].manifest).application_class == ""


def test_the_last_uses_sdk_counts() -> None:
    assert read_manifest(TRICKS["another uses-sdk before"].manifest).minimum_sdk == 24


def test_android_finds_attributes_in_the_order_of_their_numbers_only() -> None:
    (receiver,) = read_manifest(TRICKS["an attribute that Android overlooks"].manifest).components

    assert receiver.exported is None


def test_numbers_and_booleans_are_looked_up() -> None:
    spy = Spy()
    w = spy.w
    spy.exported = w.given("exported", Reference())
    assert read(spy, table((0x12, 0, ANY))).components[0].exported is False
    assert read(spy, table((0x12, axml.NONE, ENGLISH), (0x12, 0, ANY))).components[0].exported
    spy.exported = w.given("permission", Reference())
    assert read(spy, table((3, "a.b.C", ANY))).components[0].permission == "a.b.C"

    class Ranked(Spy):
        @property
        def filter(self) -> bytes:
            head = self.w.open("intent-filter", self.w.given("priority", Reference()))
            return head + self.action + self.w.close("intent-filter")

    assert read(Ranked(), table((0x10, 999, ANY))).components[0].priority == 999


def test_the_value_for_newer_systems_comes_first_then_that_without_qualifiers() -> None:
    body = table((3, "en", ENGLISH), (3, "any", ANY), (3, "new", NEWER))

    assert Resources(lambda: body).texts(misread.REFERENCED) == ["new", "any", "en"]


def test_a_table_with_few_entries_of_many_is_searched() -> None:
    body = table((3, "here", ANY), index=300, sparse=True)
    resources = Resources(lambda: body)

    assert resources.texts(misread.REFERENCED + 300) == ["here"]
    assert resources.texts(misread.REFERENCED + 299) == []
    assert resources.texts(misread.REFERENCED + 301) == []


def test_what_is_looked_up_is_bounded_and_told() -> None:
    many = table(*((3, f"text {number}", ENGLISH) for number in range(MAXIMUM_VALUES + 9)))
    resources = Resources(lambda: many)
    assert len(resources.values(misread.REFERENCED)) == MAXIMUM_VALUES
    assert resources.is_cut

    asked = Resources(lambda: many)
    for number in range(0x7F010000, 0x7F010000 + 500):
        asked.values(number)
    assert asked.is_cut


def test_references_that_lead_in_a_circle_come_to_an_end() -> None:
    body = table((1, misread.REFERENCED, ANY), (3, "end", ENGLISH))

    assert Resources(lambda: body).texts(misread.REFERENCED) == ["end"]


def test_a_name_that_the_resources_do_not_answer_is_never_clean(scan_here: Scan) -> None:
    spy = Spy()
    spy.name = spy.w.given("name", Reference())

    result = scan_here(apk(spy.bytes(), table((3, "x", ANY), index=7)))

    assert any("0x7f010000" in reason for reason in result["skipped"])


def test_what_is_asked_of_other_apps_is_no_component() -> None:
    spy = Spy()
    w = spy.w
    spy.asked += w.open("queries") + w.whole("provider") + spy.filter + w.close("queries")

    manifest = read(spy)

    assert [one.kind for one in manifest.components] == ["receiver"]
    assert manifest.unusual == ()


def test_a_class_with_a_name_of_three_hundred_letters_is_followed(scan_here: Scan) -> None:
    style = Style(lambda name: name if "." in name else name + "x" * 300)

    assert misread.RULE in rules_of(scan_here(build(misread.SPY, style)))


def test_a_name_beyond_the_limits_is_told(scan_here: Scan) -> None:
    spy = Spy()
    spy.name = spy.w.given("name", "a." + "x" * 3000)

    assert any("longer texts" in reason for reason in scan_here(apk(spy.bytes()))["skipped"])


def icon(
    *attributes: bytes, w: Writer, data: bytes = b"", main: bool = True, label: bytes = b""
) -> bytes:
    """Return an activity with the filter that the home screen asks for."""
    category = w.whole("category", w.given("name", "android.intent.category.LAUNCHER"))
    action = w.whole("action", w.given("name", "android.intent.action.MAIN")) if main else b""
    inside = w.open("intent-filter") + action + category + data + w.close("intent-filter")
    named = [one for one in (label, w.given("name", ".Main")) if one]
    return w.open("activity", *named, *attributes) + inside + w.close("activity")


def has_icon(activity: bytes, spy: Spy, resources: bytes = b"") -> bool:
    spy.close_receiver += activity
    return any(one.is_launcher for one in read(spy, resources).components)


def test_only_an_icon_that_the_home_screen_shows_is_one() -> None:
    first, off, idle, data = (Spy() for _ in range(4))
    assert has_icon(icon(w=first.w), first)
    assert not has_icon(icon(off.w.given("enabled", False), w=off.w), off)
    assert not has_icon(icon(w=idle.w, main=False), idle)
    linked = data.w.whole("data", data.w.given("scheme", "x"))
    assert not has_icon(icon(w=data.w, data=linked), data)
    closed = Spy()
    closed.application = closed.w.open("application", closed.w.given("enabled", False))
    assert not has_icon(icon(w=closed.w), closed)


ON, OFF = (0x12, axml.NONE), (0x12, 0)
BAG = one(0x12, axml.NONE, flags=1, config=width(1))
SHOWN = {
    "everywhere": [table((*ON, ANY)), table((*ON, ANY), (*ON, NEWER)), table((3, "true", ANY))],
    "on no device that is": [table((*OFF, ANY), (*ON, version(10_000)))],
    "unless every device counts": [table((*ON, ANY), (*OFF, width(1))), whole(package(BAG))],
    "by what is not there": [b"", table((1, 0x01050000, ANY)), table((1, 0x7F010001, ANY))],
}


@pytest.mark.parametrize("where", SHOWN)
def test_an_icon_is_one_only_if_every_reading_shows_it(where: str) -> None:
    for resources in SHOWN[where]:
        part, whole_app = Spy(), Spy()
        enabled = part.w.given("enabled", Reference())
        assert has_icon(icon(enabled, w=part.w), part, resources) is (where == "everywhere")
        whole_app.application = whole_app.w.open(
            "application", whole_app.w.given("enabled", Reference())
        )
        assert has_icon(icon(w=whole_app.w), whole_app, resources) is (where == "everywhere")


def test_an_icon_that_android_reads_over_is_none() -> None:
    raw, named, around, twice, deep = (Spy() for _ in range(5))
    main = b"android.intent.action.MAIN".decode()
    compiled = icon(w=raw.w).replace(
        raw.w.given("name", main), raw.w.given("name", main, raw="x.y.Z")
    )
    assert not has_icon(compiled, raw)
    referenced = icon(w=named.w).replace(
        named.w.given("name", main), named.w.given("name", Reference())
    )
    assert not has_icon(referenced, named, table((3, main, ANY)))
    w = around.w
    assert not has_icon(w.open("x") + icon(w=w) + w.close("x"), around)
    twice.close_receiver += twice.w.close("application") + twice.w.open("application")
    assert not has_icon(icon(w=twice.w), twice)
    w = deep.w
    action = w.whole("action", w.given("name", main))
    assert not has_icon(icon(w=w).replace(action, w.open("x") + action + w.close("x")), deep)


def test_what_an_icon_that_may_be_shown_is_called_is_kept() -> None:
    spy = Spy()
    w = spy.w
    labelled = icon(w.given("enabled", False), w=w, label=w.given("label", "WhatsApp"))

    assert not has_icon(labelled, spy)
    assert "WhatsApp" in read(spy).labels


def test_flags_say_what_reveals_more() -> None:
    def app(resources: bytes) -> Manifest:
        spy = Spy()
        w = spy.w
        names = ("debuggable", "testOnly", "allowBackup", "usesCleartextTraffic")
        spy.application = w.open("application", *(w.given(name, Reference()) for name in names))
        return read(spy, resources)

    for mixed in (table((*OFF, ANY), (*ON, NEWER)), table((*ON, NEWER), (*OFF, width(1)))):
        read_so = app(mixed)
        assert read_so.debuggable and read_so.test_only and read_so.backup and read_so.cleartext
    off = app(table((*OFF, ANY)))
    assert (off.debuggable, off.test_only, off.backup, off.cleartext) == (False,) * 4
    unknown = app(table((*OFF, ANY), (1, 0x01050000, NEWER)))
    assert (unknown.backup, unknown.cleartext) == (None, None)
    assert not unknown.debuggable


def test_the_lowest_version_that_a_target_can_be_counts() -> None:
    spy = Spy()
    w = spy.w
    spy.sdk = w.whole("uses-sdk", w.given("targetSdkVersion", Reference()))

    assert read(spy, table((0x10, 35, version(10_000)), (0x10, 16, ANY))).target_sdk == 16


def test_a_priority_is_a_number_however_it_is_written() -> None:
    for text, number in {
        "999": 999,
        "01747": 999,
        "#3e7": 999,
        "0X3E7": 999,
        f"{'0' * 30}1747": 999,
        "0": 0,
        "-5": 0,
        "x": 0,
        "9_99": 0,
        "4294968295": 0,
    }.items():
        spy = Spy()
        w = spy.w
        head = w.open("intent-filter", w.given("priority", text))
        spy.before_filter = head + spy.action + w.close("intent-filter")
        assert read(spy).components[0].priority == number, text


def test_an_attribute_is_found_by_its_number_at_the_end_of_a_long_map() -> None:
    spy = Spy()
    w = spy.w
    w.texts += ["y"] * 20_000
    spy.name = w.given(w.again("x"), misread.INBOX)
    ids = [*sorted(IDS.values()), *[0] * (len(w.texts) - 1 - len(IDS)), 0x01010003]

    assert read_manifest(spy.bytes(maps=w.map(ids))).components[0].name == misread.INBOX


def test_nothing_is_said_by_an_attribute_without_value() -> None:
    spy = Spy()
    w = spy.w
    spy.exported = w.given("exported", False).replace(b"\x08\0\0\x12", b"\x08\0\0\0")
    assert read(spy).components[0].exported is None
    spy.exported = w.given("exported", Reference(0))
    assert read(spy).components[0].exported is None
    spy.application = w.open("application", w.given("networkSecurityConfig", Reference(0)))
    assert not read(spy).has_network_rules


def test_a_service_is_guarded_by_what_guards_the_application() -> None:
    spy = Spy()
    w = spy.w
    spy.application = w.open("application", w.given("permission", "a.b.C"))
    assert read(spy).components[0].permission == "a.b.C"
    spy.exported = w.given("permission", "")
    assert read(spy).components[0].permission == ""
    spy.exported = w.given("permission", "d.e.F")
    assert read(spy).components[0].permission == "d.e.F"


def test_a_guard_that_differs_with_the_device_is_none() -> None:
    spy = Spy()
    spy.exported = spy.w.given("permission", Reference())

    either = read(spy, table((3, "a.b.C", ANY), (3, "a.b.D", NEWER))).components

    assert {one.permission for one in either} == {"a.b.C", "a.b.D", ""}


def test_an_empty_namespace_is_one() -> None:
    spy = Spy()
    w = spy.w
    empty = w.given("package", "com.example.x")
    w.text("")
    decoy = struct.pack("<I", w.text("")) + empty[4:]
    spy.root = w.open("manifest", decoy, w.given("package", misread.PACKAGE))

    assert read(spy).package == misread.PACKAGE


def test_attributes_behind_a_hundred_others_are_read(scan_here: Scan) -> None:
    spy = Spy()
    spy.name = spy.w.given(spy.w.again("x"), "y") * 150 + spy.name

    result = scan_here(apk(spy.bytes()))

    assert {misread.RULE, misread.MALFORMED} <= rules_of(result)
    assert [one.name for one in read(spy).components] == [misread.INBOX]


def test_a_watcher_with_a_disabled_icon_is_a_hidden_one(scan_here: Scan) -> None:
    sample = read_pair("hidden_watcher").sample
    decoy = read_sample("@launcher(enabled=False)\nclass Front(Activity):\n    pass\n")
    disguised = replace(sample, classes={**sample.classes, **decoy.classes})
    shown = read_sample("@launcher()\nclass Front(Activity):\n    pass\n")
    honest = replace(sample, classes={**sample.classes, **shown.classes})

    assert "hidden_watcher" in rules_of(scan_here(build(disguised)))
    assert "hidden_watcher" not in rules_of(scan_here(build(honest)))


def test_every_label_that_users_may_see_is_kept(scan_here: Scan) -> None:
    spy = Spy()
    w = spy.w
    spy.application = w.open("application", w.given("label", "Tools"))
    spy.close_receiver += icon(w.given("label", Reference()), w=w)
    # the label has a smaller number than the name, so it must come first
    spy.close_receiver = spy.close_receiver.replace(
        w.given("name", ".Main") + w.given("label", Reference()),
        w.given("label", Reference()) + w.given("name", ".Main"),
    )
    labels = table((3, "Notes", ANY), (3, "WhatsApp", ENGLISH))

    result = scan_here(apk(spy.bytes(), labels))

    assert result["label"] == "Tools"
    assert result["features"]["labels"] == ["Tools", "Notes", "WhatsApp"]


def test_letters_that_nobody_sees_make_no_other_label(scan_here: Scan) -> None:
    spy = Spy()
    hidden = "What\u200bs\u00adApp\u3164"
    spy.application = spy.w.open("application", spy.w.given("label", hidden))

    result = scan_here(apk(spy.bytes()))

    assert result["features"]["labels"] == ["WhatsApp"]
    assert plain(hidden) == plain("WhatsApp")


def test_what_is_too_much_to_be_kept_hides_nothing_that_was_found(
    shipped: Path, tmp_path: Path
) -> None:
    path = tmp_path / "talkative.apk"
    path.write_bytes(apk(talkative()))

    result = scan_file(path, shipped)

    assert misread.RULE in {finding.rule for finding in result.findings}
    assert result.features["components_cut"]
    again = judge_again(result.features, open_data(str(shipped)))
    assert misread.RULE in {finding.rule for finding in again.findings}
    assert again.needs_file

    small = scan_file(path, shipped, DEFAULT._replace(answer_bytes=500_000))
    assert misread.RULE in {finding.rule for finding in small.findings}
    assert any("more than is kept" in reason for reason in small.skipped)
    assert judge_again(small.features, open_data(str(shipped))).needs_file == (OLDER,)


def talkative() -> bytes:
    """Return a manifest of 6 MB of actions."""
    spy = Spy()
    w = spy.w
    words = w.whole("action", w.given("name", "x" * 250)) * 100
    decoy = w.open("receiver", w.given("name", ".A")) + w.open("intent-filter") + words
    spy.close_receiver += (decoy + w.close("intent-filter") + w.close("receiver")) * 250
    return spy.bytes()


def test_code_of_the_writer_is_that_of_the_sample(scan_here: Scan) -> None:
    code = write_dex(classes_of(misread.SPY))
    whole = archive({"AndroidManifest.xml": manifest(misread.SPY), "classes.dex": code})

    assert misread.RULE in rules_of(scan_here(whole))


def test_each_trick_has_a_name_of_its_own() -> None:
    assert len(TRICKS) == len(misread.tricks()) and all(
        isinstance(t, Trick) for t in TRICKS.values()
    )


def test_resources_of_a_split_answer_what_the_base_names(scan_here: Scan) -> None:
    spy, split = Spy(), Spy()
    spy.name = spy.w.given("name", Reference())
    base = apk(spy.bytes(), table((3, f"{misread.PACKAGE}.Courier", ANY)))
    w = split.w
    split.root = w.open("manifest", w.given("package", misread.PACKAGE), w.given("split", "x"))
    beside = {"AndroidManifest.xml": split.bytes(w.whole("application"))}
    beside["resources.arsc"] = table((3, misread.INBOX, NEWER), (3, "Notes", ENGLISH))
    whole_set = archive({"base.apk": base, "x.apk": archive(beside)})

    names = {part[1] for part in scan_here(whole_set)["features"]["components"]}

    assert {misread.INBOX, f"{misread.PACKAGE}.Courier"} <= names
