"""What rules say of themselves travels with the set in other languages, too."""

import json
import re
import shutil
from pathlib import Path

import pytest

from patterns import pattern_set, rule_source
from patterns.opened import open_words
from patterns.words import texts_of
from runtime.errors import MalformedMessageError
from tests.patterns.test_pattern_set import RULE

TITLE = "A rule for tests"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "yara").mkdir(parents=True)
    (folder / "words").mkdir()
    (folder / "yara" / "a.yar").write_text(RULE)
    (folder / "words" / "ja.toml").write_text(f'"{TITLE}" = "テスト用のルール"\n', "utf-8")
    return folder


def _built(source: Path, out: Path) -> Path:
    pattern_set.build(source, out.with_suffix(".zip"), "2026.1.2")
    pattern_set.unpack(out.with_suffix(".zip"), out)
    return out


def test_a_set_brings_the_words_of_its_rules(source: Path, tmp_path: Path) -> None:
    folder = str(_built(source, tmp_path / "set"))

    assert open_words(folder, "ja") == {TITLE: "テスト用のルール"}
    assert open_words(folder, "fr") == {}


def test_words_change_nothing_that_a_scan_reads(source: Path, tmp_path: Path) -> None:
    told = pattern_set.read_manifest(_built(source, tmp_path / "told"))
    shutil.rmtree(source / "words")
    silent = pattern_set.read_manifest(_built(source, tmp_path / "silent"))

    assert {**told.files} == {**silent.files, "words_ja.json": told.files["words_ja.json"]}
    assert open_words(str(tmp_path / "silent"), "ja") == {}


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("ja", '"A rule for test" = "ルール"', "no rule says 'A rule for test'"),
        ("ja", f'"{TITLE}" = ""', "needs a text of at most 2000 characters"),
        ("ja", f'"{TITLE}" = 7', "needs a text of at most 2000 characters"),
        ("ja", f'"{TITLE}" = ', "ja.toml"),
        ("Japanese", f'"{TITLE}" = "ルール"', "the file's name is no language"),
    ],
    ids=["no such English", "empty", "number", "no TOML", "no language"],
)
def test_words_that_are_not_in_order_are_refused(
    source: Path, tmp_path: Path, name: str, words: str, said: str
) -> None:
    (source / "words" / f"{name}.toml").write_text(words, "utf-8")

    with pytest.raises(MalformedMessageError, match=said):
        pattern_set.build(source, tmp_path / "x.zip", "2026.1.2")


def test_a_damaged_file_of_words_is_told_in_english(source: Path, tmp_path: Path) -> None:
    folder = _built(source, tmp_path / "set")
    for damage in (b"[1]", b"\xff", b"{"):
        (folder / "words_ja.json").write_bytes(damage)
        assert open_words(str(folder), "ja") == {}


def test_a_shipped_rule_without_japanese_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "base"
    shutil.copytree(pattern_set.SHIPPED, copy)
    words = (copy / "words" / "ja.toml").read_text("utf-8")
    line = next(one for one in words.splitlines() if one.startswith('"Answers messages of other'))
    (copy / "words" / "ja.toml").write_text(words.replace(line, ""), "utf-8")
    rule_source.read_source(copy)  # somebody's own set need not speak Japanese throughout

    monkeypatch.setattr(rule_source, "SHIPPED", copy)
    with pytest.raises(MalformedMessageError, match=r"^Rule notification_reply_worm: .*ja\.toml"):
        rule_source.read_source(copy)


def test_the_shipped_words_are_japanese_with_the_numbers_of_the_english() -> None:
    checked = rule_source.read_source(pattern_set.SHIPPED)
    said = json.loads(checked.files["words_ja.json"])

    assert said.keys() == texts_of(checked.rules).keys()
    for english, japanese in said.items():
        assert re.search(r"[ぁ-ゖァ-ヺ一-鿿]", japanese), english
        assert _facts(english) == _facts(japanese), english


def _facts(text: str) -> set[str]:
    return set(re.findall(r"CVE-[\d-]+|\d+\.\d+(?:\.\d+)*|(?:19|20)\d\d", text))
