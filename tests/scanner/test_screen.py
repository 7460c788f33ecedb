"""What falls at the first look at some sets would fall anyway, and what is remembered is right."""

import copy

import pytest

from patterns.opened import OpenSet
from scanner.again import app_findings
from scanner.behaviour_rules import answer_to
from scanner.features import Facts, asked
from scanner.screen import Screen, screen_of
from tests.scanner.conftest import Scan
from tests.scanner.samples.sample import APPS, build, read_pair

SOME = sorted(path.stem for path in APPS.glob("*.app"))[::8]


@pytest.mark.parametrize("known", ["all that was asked", "half", "nothing"])
@pytest.mark.parametrize("rule", SOME)
def test_a_rule_that_falls_at_the_screen_holds_for_no_app_and_asks_for_no_file(
    rule: str, known: str, scan_here: Scan, opened: OpenSet
) -> None:
    screen = Screen(opened.behaviours)
    for sample in (read_pair(rule).sample, read_pair(rule).near_miss):
        features = scan_here(build(sample))["features"]
        if known != "all that was asked":
            half = sorted(screen.references)[::2]
            features |= {"asked": asked(half if known == "half" else ()), "code": {}}
        facts = Facts(features)

        possible = [one["id"] for one in screen.possible(facts)]

        answers = {one["id"]: answer_to(one, facts) for one in opened.behaviours}
        matter = [name for name, answer in answers.items() if answer.holds or answer.needs]
        assert {*matter} <= {*possible}
        assert len(possible) < len(answers) / 2 or known != "all that was asked"
        found, needs = app_findings(features, opened.data)
        assert [one.rule for one in found if one.rule in answers] == [
            name for name in matter if answers[name].holds
        ]
        assert [name for name in needs if name in answers] == [
            name for name in matter if answers[name].needs
        ]


def test_the_screen_of_a_list_of_rules_is_made_once(opened: OpenSet) -> None:
    other = copy.copy(opened.behaviours)

    assert screen_of(opened.behaviours) is screen_of(opened.behaviours)
    assert screen_of(other) is not screen_of(opened.behaviours)
    for _ in range(10):
        screen_of([])
    assert screen_of(opened.behaviours).rules is opened.behaviours
