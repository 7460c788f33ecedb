"""A pattern set is built the same each time, and only an undamaged one is unpacked."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patterns import pattern_set
from patterns.opened import open_set
from patterns.versions import version_key
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError, TooLargeError

RULE = """rule a_rule { meta:
 title = "A rule for tests" severity = "high" category = "trojan" technique = "T1404"
 meaning = "It carries the marker of the tests." why = "Nobody else uses this very marker text."
 strings: $a = "a marker" condition: $a }"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "yara").mkdir(parents=True)
    (folder / "yara" / "a.yar").write_text(RULE)
    (folder / "VERSION").write_text("2026.1.2\n")
    return folder


@pytest.fixture
def archive(source: Path, tmp_path: Path) -> Path:
    pattern_set.build(source, tmp_path / "set.zip", "2026.1.2")
    return tmp_path / "set.zip"


def test_the_same_sources_give_the_same_bytes(source: Path, archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    manifest = pattern_set.build(source, again, "2026.1.2")

    assert again.read_bytes() == archive.read_bytes()
    assert (manifest.version, manifest.rules) == ("2026.1.2", 1)


def test_what_was_built_can_be_unpacked_and_opened(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "2026.1.2"

    manifest = pattern_set.unpack(archive, folder)

    assert pattern_set.read_manifest(folder) == manifest == pattern_set.check_folder(folder)
    opened = open_set(str(folder))
    assert opened.version == "2026.1.2"
    assert [match.rule for match in opened.yara.match(data=b"here is a marker")] == ["a_rule"]


def test_unpacking_again_is_harmless_but_never_replaces_another_set(
    source: Path, archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    pattern_set.unpack(archive, folder)
    assert pattern_set.unpack(archive, folder).version == "2026.1.2"

    pattern_set.build(source, tmp_path / "other.zip", "2026.1.3")
    with pytest.raises(RefusedError):
        pattern_set.unpack(tmp_path / "other.zip", folder)


def test_a_changed_file_in_the_folder_is_noticed(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    pattern_set.unpack(archive, folder)
    (folder / "yara" / "a.yar").write_text(RULE.replace("marker", "harmless"))

    with pytest.raises(MalformedMessageError, match=r"a\.yar"):
        pattern_set.check_folder(folder)


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(archive) as old:
        files = {name: old.read(name) for name in old.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as new:
        for name, body in files.items():
            new.writestr(name, body)


def changed_rule(files: dict[str, bytes]) -> None:
    files["yara/a.yar"] += b" "


def extra_file(files: dict[str, bytes]) -> None:
    files["more.json"] = b"{}"


def missing_file(files: dict[str, bytes]) -> None:
    del files["signers.json"]


def listed(files: dict[str, bytes], name: str) -> None:
    fields = json.loads(files["manifest.json"])
    fields["files"][name] = fields["files"].pop("yara/a.yar")
    files[name] = files.pop("yara/a.yar")
    files["manifest.json"] = json.dumps(fields).encode()


def climbing(files: dict[str, bytes]) -> None:
    listed(files, "../../escaped.yar")


def absolute(files: dict[str, bytes]) -> None:
    listed(files, "/tmp/escaped.yar")


def no_manifest(files: dict[str, bytes]) -> None:
    del files["manifest.json"]


def other_format(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b'"format": 1', b'"format": 2')


def no_version(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b"2026.1.2", b"../../x")


def nested_json(files: dict[str, bytes]) -> None:
    files["manifest.json"] = b"[" * 100_000


@pytest.mark.parametrize(
    "change",
    [
        changed_rule,
        extra_file,
        missing_file,
        climbing,
        absolute,
        no_manifest,
        other_format,
        no_version,
        nested_json,
    ],
)
def test_a_set_that_is_not_in_order_leaves_nothing_behind(
    change: Callable[[dict[str, bytes]], None], archive: Path, tmp_path: Path
) -> None:
    rewritten(archive, change)

    with pytest.raises(MalformedMessageError):
        pattern_set.unpack(archive, tmp_path / "sets" / "x")

    assert not list((tmp_path / "sets").glob("*")) if (tmp_path / "sets").exists() else True


def test_a_set_that_unpacks_to_too_much_is_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_set, "MAXIMUM_BYTES", 100)

    with pytest.raises(TooLargeError):
        pattern_set.unpack(archive, tmp_path / "x")


@given(body=st.binary(max_size=300))
def test_any_file_is_refused_with_our_errors(body: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "any.zip"
        for content in (body, valid_archive()[: len(body)] + body):
            path.write_bytes(content)
            with pytest.raises((MalformedMessageError, TooLargeError)):
                pattern_set.unpack(path, Path(name) / "x")


def valid_archive() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("manifest.json", b"{}" * 200)
    return whole.getvalue()


def test_a_missing_file_or_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        pattern_set.unpack(tmp_path / "none.zip", tmp_path / "x")
    with pytest.raises(NotFoundError):
        pattern_set.read_manifest(tmp_path)
    with pytest.raises(NotFoundError):
        pattern_set.build(tmp_path / "none", tmp_path / "x.zip", "1.1")


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("rule a_rule { condition: nonsense }", "a.yar"),
        (RULE.replace('severity = "high"', 'severity = "grave"'), "severity"),
        (RULE.replace('category = "trojan"', ""), "category"),
        (RULE.replace("T1404", "1404"), "technique"),
        (RULE.replace('why = "Nobody else uses this very marker text."', ""), "why"),
        (RULE + RULE.replace("a_rule", "b_rule").replace("title =", "headline ="), "b_rule"),
        ('include "/etc/passwd"', "include"),
    ],
)
def test_a_rule_that_does_not_explain_itself_is_refused(
    broken: str, word: str, source: Path, tmp_path: Path
) -> None:
    (source / "yara" / "a.yar").write_text(broken)

    with pytest.raises(MalformedMessageError, match=word):
        pattern_set.build(source, tmp_path / "x.zip", "1.1")


def test_two_rules_of_one_name_are_refused(source: Path, tmp_path: Path) -> None:
    (source / "yara" / "b.yar").write_text(RULE)

    with pytest.raises(MalformedMessageError, match="a_rule"):
        pattern_set.build(source, tmp_path / "x.zip", "1.1")


versions = st.lists(st.integers(0, 999_999), min_size=2, max_size=6)


@given(versions, versions)
def test_versions_are_ordered_as_numbers(some: list[int], other: list[int]) -> None:
    as_text = (".".join(map(str, some)), ".".join(map(str, other)))

    assert (version_key(as_text[0]) < version_key(as_text[1])) == (some < other)


@pytest.mark.parametrize("text", ["", "1", "1.", "1.a", "1.2\n", "٣.٤", "1.2.3.4.5.6.7", "-1.2"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        version_key(text)


def test_the_newest_folder_is_the_highest_version(archive: Path, tmp_path: Path) -> None:
    for version in ("2026.1.2", "2026.1.10", "2026.1.9"):
        pattern_set.unpack(archive, tmp_path / "sets" / version)
    (tmp_path / "sets" / "2027.1.1").mkdir()

    newest = pattern_set.newest_folder(tmp_path / "sets")

    assert newest is not None
    assert newest.name == "2026.1.10"


def test_the_shipped_set_is_in_order(tmp_path: Path) -> None:
    version = pattern_set.source_version(pattern_set.SHIPPED)

    manifest = pattern_set.build(pattern_set.SHIPPED, tmp_path / "x.zip", version)

    assert manifest.rules >= 10
