"""``sekisho pattern``: what is not in order is refused, all of it at once."""

from pathlib import Path

import pytest

from patterns import pattern_set
from tests.scanner.corpus import real_apk
from tests.scanner.test_command import sekisho
from tests.scanner.test_container import EICAR, archive

META = """meta:
 title = "A rule for tests" severity = "{severity}" category = "trojan" technique = "T1404"
 meaning = "It carries the marker of the tests." why = "Nobody else uses this very marker text."
"""
SLOW = f"""rule slow_rule {{ {META.format(severity="high")}
 condition: for any i in (1..filesize): (uint32(i) == 0x12345678) }}
"""
EVERYWHERE = f"""rule everywhere {{ {META.format(severity="high")}
 strings: $a = "import" condition: $a }}
"""
MARKER = f"""rule marker_rule {{ {META.format(severity="high")}
 strings: $a = "the marker of a test" condition: $a }}
"""
ASKS_FOR_NOTHING = """
[[rule]]
id = "too_much"
title = "Asks for too much"
severity = "high"
category = "vulnerable"
meaning = "It is here to be refused by the build."
why = "Nobody would write such a rule on purpose."
colour = "red"
[[rule]]
id = "hits_reflection"
title = "Uses reflection"
severity = "medium"
category = "trojan"
meaning = "It is here to hit what is good."
why = "Many honest apps do, which is the point."
[rule.all]
traits = ["reflection"]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "yara").mkdir(parents=True)
    (folder / "VERSION").write_text("2026.1.2\n")
    (folder / "yara" / "a.yar").write_text(MARKER)
    return folder


def test_a_set_in_order_is_built(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.zip"
    done = sekisho("pattern", "build", source, out, "--good", real_apk(), home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "version 2026.1.2, 1 rules; 1 files tried" in done.stdout
    assert pattern_set.read_archive(out)[0].version == "2026.1.2"


def test_slow_rules_and_hits_on_good_files_are_refused_together(
    source: Path, tmp_path: Path
) -> None:
    (source / "yara" / "b.yar").write_text(SLOW + EVERYWHERE)
    good = ASKS_FOR_NOTHING[ASKS_FOR_NOTHING.index('[[rule]]\nid = "hits') :]
    (source / "behaviours.toml").write_text(good)
    (source / "good").mkdir()
    (source / "good" / "app.apk").write_bytes(real_apk().read_bytes())

    done = sekisho("pattern", "build", source, tmp_path / "set.zip", home=tmp_path)

    assert done.returncode not in (0, 64)
    assert "slow_rule is slow" in done.stderr
    assert "everywhere hits Python's library" in done.stderr
    assert "hits_reflection hits the good file" in done.stderr
    assert "marker_rule" not in done.stderr
    assert [path.name for path in tmp_path.glob("*set.zip*")] == []


def test_all_that_is_wrong_in_the_sources_is_told(source: Path, tmp_path: Path) -> None:
    (source / "behaviours.toml").write_text(ASKS_FOR_NOTHING)
    (source / "yara" / "b.yar").write_text("rule broken { condition: nothing }")
    (source / "yara" / "c.yar").write_text(MARKER)
    (source / "lists").mkdir()
    (source / "lists" / "a.toml").write_text("[[rule]\n")

    done = sekisho("pattern", "build", source, tmp_path / "set.zip", home=tmp_path)

    for words in ("too_much: colour", "b.yar", "a.toml", "Two rules are called marker_rule"):
        assert words in done.stderr
    assert not (tmp_path / "set.zip").exists()


def test_rules_are_tried_on_folders_of_samples(source: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    for kind, body in (("hit", b"x the marker of a test"), ("miss", b"x the maker of a test")):
        (samples / "marker_rule" / kind).mkdir(parents=True)
        (samples / "marker_rule" / kind / "a.zip").write_bytes(archive({"x": body}))

    right = sekisho("pattern", "test", source, samples, home=tmp_path)
    (samples / "marker_rule" / "miss" / "b.zip").write_bytes(
        archive({"x": b"the marker of a test"})
    )
    (samples / "marker_rule" / "hit" / "c.zip").write_bytes(archive({"x": b"nothing"}))
    wrong = sekisho("pattern", "test", source, samples, home=tmp_path)

    assert "2 files were tried" in right.stdout, right.stderr
    assert wrong.returncode not in (0, 64)
    assert "marker_rule does not match" in wrong.stderr
    assert "matches the near miss" in wrong.stderr


def test_rules_are_counted_explained_and_tried_one_by_one(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(archive({"x": EICAR}))
    shipped = str(pattern_set.SHIPPED)

    counted = sekisho("pattern", "stats", home=tmp_path).stdout
    assert "by category" in counted
    assert "by kind: " in counted
    shown = sekisho("pattern", "show", "eicar_test_file", home=tmp_path).stdout
    assert "Why it is not usual" in shown
    tried = sekisho(
        *("pattern", "test", shipped, "--hit", "eicar_test_file", bad, "--miss", real_apk()),
        home=tmp_path,
    )
    assert "2 files were tried" in tried.stdout
    wrong = sekisho("pattern", "test", shipped, "--miss", bad, home=tmp_path)
    assert wrong.returncode not in (0, 64)
    assert "eicar_test_file" in wrong.stderr


def test_sources_are_built_and_published_in_one_step(source: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    assert sekisho("update", "init", repo, home=tmp_path).returncode == 0

    done = sekisho("pattern", "publish", source, repo, home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Published pattern set 2026.1.2" in done.stdout
    assert "2026.1.2" in sekisho("update", "show", repo, home=tmp_path).stdout
    again = sekisho("pattern", "publish", source, repo, home=tmp_path)
    assert "2026.1.2 is published already" in again.stderr


def test_the_cost_of_each_rule_is_told(source: Path, tmp_path: Path) -> None:
    done = sekisho("pattern", "stats", source, "--costs", home=tmp_path)

    assert "µs/MB" in done.stdout
    assert "marker_rule" in done.stdout
