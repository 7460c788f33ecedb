from hypothesis import given
from hypothesis import strategies as st

from contracts.connector import Access
from exchange_connector.access_rules import (
    BLOCKED_BY_OTHERS,
    Change,
    Lists,
    mailboxes_to_visit,
    plan,
)

ids = st.sampled_from(["A", "B", "C", "D"])
some = st.frozensets(ids)
lists = st.builds(Lists, some, some)
accesses: st.SearchStrategy[Access] = st.sampled_from(("allow", "block", "leave"))
wishes = st.dictionaries(ids, accesses)
pairs = st.tuples(st.sampled_from(["ada", "bob"]), ids)
NOTHING: frozenset[str] = frozenset()


def after(actual: Lists, change: Change) -> Lists:
    return Lists(
        (actual.allowed - change.remove.allowed) | change.add.allowed,
        (actual.blocked - change.remove.blocked) | change.add.blocked,
    )


def test_a_block_replaces_our_own_allow() -> None:
    ours = actual = Lists(frozenset("A"), NOTHING)
    planned = plan({"A": "block"}, actual, ours)

    assert planned.change == Change(Lists(NOTHING, frozenset("A")), Lists(frozenset("A"), NOTHING))
    assert planned.ours == Lists(NOTHING, frozenset("A"))
    assert planned.change.sentence() == "block A; no longer allow A"


def test_an_allow_does_not_lift_a_block_of_somebody_else() -> None:
    planned = plan({"A": "allow"}, Lists(NOTHING, frozenset("A")), Lists())

    assert planned.change.remove == Lists()
    assert planned.overridden == {"A": BLOCKED_BY_OTHERS}
    assert planned.settled == {}


@given(wishes, lists, lists)
def test_what_we_did_not_make_stays(wanted: dict[str, Access], actual: Lists, ours: Lists) -> None:
    planned = plan(wanted, actual, ours)
    then = after(actual, planned.change)

    assert actual.allowed - ours.allowed <= then.allowed
    assert actual.blocked - ours.blocked <= then.blocked
    assert planned.change.remove.allowed <= ours.allowed
    assert planned.change.remove.blocked <= ours.blocked


@given(wishes, lists, lists)
def test_what_is_wanted_holds_afterwards_or_is_a_problem(
    wanted: dict[str, Access], actual: Lists, ours: Lists
) -> None:
    planned = plan(wanted, actual, ours)
    then = after(actual, planned.change)

    for device_id, access in wanted.items():
        if access == "block":
            assert device_id in then.blocked
        if access == "allow":
            assert device_id in then.allowed
            assert (device_id in then.blocked) == (device_id in planned.overridden)
    assert planned.settled.keys() | planned.overridden.keys() == wanted.keys()


@given(wishes, lists, lists)
def test_doing_it_again_does_nothing(wanted: dict[str, Access], actual: Lists, ours: Lists) -> None:
    first = plan(wanted, actual, ours)
    second = plan(wanted, after(actual, first.change), first.ours)

    assert second.change.is_empty
    assert second.ours == first.ours


@given(wishes, lists, lists)
def test_dying_between_intention_and_effect_loses_nothing(
    wanted: dict[str, Access], actual: Lists, ours: Lists
) -> None:
    """What was written down before the effect counts only where the mail server has it."""
    first = plan(wanted, actual, ours)
    intended = Lists(ours.allowed | first.ours.allowed, ours.blocked | first.ours.blocked)

    assert plan(wanted, actual, intended).change == first.change
    assert plan(wanted, after(actual, first.change), intended).change.is_empty


@given(wishes, lists, lists)
def test_nothing_wanted_takes_back_exactly_ours(
    wanted: dict[str, Access], actual: Lists, ours: Lists
) -> None:
    first = plan(wanted, actual, ours)
    end = plan({}, after(actual, first.change), first.ours)

    assert end.ours == Lists()
    assert end.change.add == Lists()


@given(wishes, lists, lists, some)
def test_what_others_took_away_is_not_put_back_and_is_told(
    wanted: dict[str, Access], actual: Lists, ours: Lists, held: frozenset[str]
) -> None:
    planned = plan(wanted, actual, ours, held)

    for device_id in held & wanted.keys():
        assert device_id not in planned.change.add.allowed | planned.change.add.blocked
        has = actual.blocked if wanted[device_id] == "block" else actual.allowed
        if wanted[device_id] != "leave" and device_id not in has:
            assert device_id in planned.overridden
    assert planned.settled.keys() | planned.overridden.keys() == wanted.keys()


@given(st.frozensets(pairs), st.frozensets(pairs), st.frozensets(pairs), st.booleans())
def test_every_mailbox_with_a_difference_is_visited(
    wanted: frozenset[tuple[str, str]],
    known: frozenset[tuple[str, str]],
    ours: frozenset[tuple[str, str]],
    everything: bool,
) -> None:
    visited = set(mailboxes_to_visit(wanted, known, ours, everything))

    assert {mailbox for mailbox, _ in (wanted | ours) - known} <= visited
    if everything:
        assert visited == {mailbox for mailbox, _ in wanted | ours}
