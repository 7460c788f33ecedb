"""Rules are looked for only where they can hold, and nowhere is one missed."""

import pytest
import yara

from patterns.by_kind import KINDS, compiled, kinds_of, split_yara
from patterns.opened import EXTERNALS

SCRIPTS = """
rule of_programs { strings: $a = "mark" condition: kind == "elf" and $a }
rule of_two { strings: $a = "mark" condition:
    (kind == "elf" or (kind == "other" and uint16be(0) == 0x2321)) and $a }
rule of_all { strings: $a = "mark" condition: $a }
"""


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        ('kind == "dex" and $a', {"dex"}),
        ('$a and (kind == "dex" or kind == "elf") and #a > 2', {"dex", "elf"}),
        ('kind == "dex" and $a and any of ($b*)', {"dex"}),
        ('((kind == "dex")) and entry endswith "or "', {"dex"}),
        ('kind == "dex" or $a', KINDS),
        ('kind == "dex" and $a or $b', KINDS),
        ('not kind == "dex" and $a', KINDS),
        ('not (kind == "dex" and $a)', KINDS),
        ('(kind == "dex") == (filesize > 3)', KINDS),
        ('for any of ($a*) : (kind == "dex" and @ > 2)', KINDS),
        ('kind == "dex" and kind == "elf"', set()),
        ('entry == "x" /* kind == "dex" */', KINDS),
        ('entry matches /x kind == "dex" and/ and $a', KINDS),
        ("any of them", KINDS),
    ],
)
def test_a_condition_tells_its_kinds_or_is_kept_for_all(condition: str, kinds: set[str]) -> None:
    rule = f'rule one {{ meta: said = "condition: x" strings: $a = "or" condition: {condition} }}'

    assert kinds_of(rule) == kinds


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_has_the_matches_of_the_whole_set(kind: str) -> None:
    whole, by_kind = compiled({"a": SCRIPTS}, EXTERNALS)
    externals = {**EXTERNALS, "kind": kind}

    for body in (b"#! a mark", b"a mark", b"none"):
        expected = [one.rule for one in whole.match(data=body, externals=externals)]
        found = [one.rule for one in by_kind[kind].match(data=body, externals=externals)]
        assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        SCRIPTS + "rule of_another { condition: of_programs and filesize < 9 }",
        SCRIPTS + '\nprivate rule help { condition: kind == "elf" }',
    ],
)
def test_rules_that_need_each_other_stay_together(text: str) -> None:
    whole, by_kind = compiled({"a": text}, EXTERNALS)

    expected = [rule.identifier for rule in whole]
    assert [rule.identifier for rule in by_kind["dex"]] == expected


def test_what_does_not_compile_is_told() -> None:
    with pytest.raises(yara.Error):
        compiled({"a": "rule x { condition: nothing }"}, EXTERNALS)


def test_a_file_is_split_into_its_rules() -> None:
    assert [*split_yara(SCRIPTS)] == ["of_programs", "of_two", "of_all"]
