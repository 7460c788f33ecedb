"""How old a system version is, for a policy that asks for one that was published lately."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.compliance.judgement import Rule, State
from management.compliance.rules import judge
from management.compliance.versions import PUBLISHED, published_on
from tests.management.test_compliance_rules import NOW, asked_by, healthy, iphone, nonsense

YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("platform", "version", "day"),
    [
        ("ios", "17.5.1", date(2024, 5, 13)),
        ("ios", "17.5", date(2024, 5, 13)),
        ("ios", "12.3", date(2018, 9, 17)),
        ("ios", "9.3", date(2018, 9, 17)),
        ("ios", "19.2", date(2025, 9, 15)),
        ("ios", "17.9", None),
        ("ios", "99", None),
        ("android", "14", date(2023, 10, 4)),
        ("android", "8.1.0", date(2017, 12, 5)),
        ("android", "14.1", None),
        ("android", "Tiramisu", date(2014, 11, 12)),
        ("symbian", "3", None),
        ("ios", "", None),
        ("ios", 17, None),
    ],
)
def test_a_version_is_as_old_as_the_last_known_one_that_it_reaches(
    platform: str, version: Any, day: date | None
) -> None:
    assert published_on(platform, version) == day


@given(st.sampled_from(["android", "ios", ""]), nonsense | st.from_regex(r"\A\d{1,3}(\.\d+)?\Z"))
def test_every_version_has_an_age_or_none(platform: str, version: Any) -> None:
    day = published_on(platform, version)
    assert day is None or day in {known for _, known in PUBLISHED[platform]}


def test_an_old_system_breaks_the_rule_on_its_day_and_an_unknown_new_one_never() -> None:
    asked = iphone(maximum_os_age={"ios": 2 * YEAR})
    before, after = NOW, NOW + YEAR
    day = published_on("ios", "18.6")
    assert day is not None

    assert judge(healthy(os_version="18.6"), asked, before).state is State.HEALTHY
    (violation,) = (
        one
        for one in judge(healthy(os_version="18.6.2"), asked, after).violations
        if one.rule is Rule.OS_AGE
    )
    assert violation.since.date() == day + 2 * YEAR
    assert "is of 2025-07-29, at most 730 days old asked" in violation.because
    newer = judge(healthy(os_version="27.4"), asked, after)
    assert Rule.OS_AGE not in {one.rule for one in newer.violations}
    android = asked_by(maximum_os_age={"ios": YEAR})
    assert judge(healthy(os_version="5"), android, before).state is State.HEALTHY
