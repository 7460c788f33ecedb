"""Groups: a tree without circles, policies that come down it, devices that are in exactly one."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from management.access import Role
from management.audit.models import AuditEntry
from management.audit.queries import list_entries
from management.compliance.service import rejudge
from management.context import Context
from management.database import Database
from management.devices.models import Device
from management.groups import rules, service
from management.groups.models import ROOT_GROUP, UNAUTHORIZED_GROUP, Group
from management.groups.queries import read_tree
from management.groups.rules import Node, Tree, below, line, ordered, refusal
from management.handlers import find_handler
from management.listing.queries import count_devices, list_devices
from management.listing.rules import DeviceFilter
from management.policies.inheritance import Link
from management.policies.queries import current_version, list_versions
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from management.store.models import StoreEntry, StoreTarget
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleets import add_device

names = st.text(min_size=1, max_size=5)


@pytest.fixture
def policy(context: Context) -> UUID:
    """Id of the policy made at set-up, together with the groups."""
    with context.database.transaction("set up") as session:
        return ensure_default_policy(session, utc_now() - timedelta(days=1)).id


@pytest.fixture
def strict(context: Context, policy: UUID) -> UUID:
    """Id of another policy."""
    with context.database.transaction("make a policy") as session:
        asked = Requirements(no_usb_debugging=True)
        return create_policy(session, "Strict", asked, {}, "keeper", "", utc_now()).id


def make_group(context: Context, name: str, parent: UUID = ROOT_GROUP) -> UUID:
    with context.database.transaction("make a group") as session:
        return service.create_group(session, name, parent).id


def make_device(context: Context, policy: UUID, group: UUID = ROOT_GROUP, **fields: str) -> UUID:
    with context.database.transaction("make a device") as session:
        device = add_device(session, policy, group_id=group, **fields)
        rejudge(session, [device.id], utc_now())
        return device.id


def work(context: Context) -> None:
    """Do all queued work about groups."""
    with context.database.transaction("take work") as session:
        jobs = session.scalars(
            select(Job).where(Job.kind.in_((service.SETTLE, service.MOVE)))
        ).all()
        payloads = [(job.kind, job.payload) for job in jobs if job.state == "queued"]
        for job in jobs:
            job.state = "done"
    for kind, payload in payloads:
        find_handler(kind)(context, payload, lambda told: None)


def policy_of(context: Context, device_id: UUID) -> UUID:
    with context.database.reading() as session:
        return session.get_one(Device, device_id).policy_id


def give(context: Context, group_id: UUID, android: UUID | None, ios: UUID | None) -> None:
    with context.database.transaction("give policies") as session:
        group = session.get_one(Group, group_id)
        policies = {"android": android, "ios": ios}
        service.change_group(
            session, group_id, group.name, group.parent_id, policies, "keeper", utc_now()
        )


def put(console: ConsoleClient, group_id: UUID, **fields: str) -> int:
    return console.post(f"/groups/{group_id}", data={"reason": "test", **fields}).status_code


# --- the tree ---


def tree_of(parents: list[int]) -> Tree:
    """Return a tree: group n+1 is below group parents[n] of those before it."""
    ids = [UUID(int=number + 1) for number in range(len(parents) + 1)]
    nodes = [Node(ids[0], "root", None, {})]
    for number, parent in enumerate(parents):
        above = ids[parent % (number + 1)]
        nodes.append(Node(ids[number + 1], f"g{number}", above, {}))
    return {node.id: node for node in nodes}


trees = st.lists(st.integers(0, 20), max_size=15).map(tree_of)


@given(trees, st.data())
def test_what_is_not_refused_leaves_a_tree(tree: Tree, data: st.DataObject) -> None:
    ids = sorted(tree)
    moved, target = data.draw(st.sampled_from(ids)), data.draw(st.sampled_from(ids))
    why = refusal(tree, moved, "other name", target)
    if moved == UUID(int=1) or target in below(tree, moved):
        assert why
    if not why:
        node = tree[moved]
        after = {**tree, moved: Node(moved, "other name", target, node.policies)}
        assert {one.id for _, one in ordered(after)} == set(tree)
        assert all(line(after, one)[-1].id == UUID(int=1) for one in after)
        assert max(len(line(after, one)) for one in after) <= rules.DEEPEST


@given(trees)
def test_each_group_is_shown_once_after_its_parent(tree: Tree) -> None:
    shown = [node.id for _, node in ordered(tree)]
    assert sorted(shown) == sorted(tree)
    for depth, node in ordered(tree):
        assert depth == len(line(tree, node.id)) - 1
        assert node.parent_id is None or shown.index(node.parent_id) < shown.index(node.id)


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=4))
def test_no_question_about_a_circle_goes_on_for_ever(order: list[str]) -> None:
    ids = {letter: uuid4() for letter in "abcd"}
    tree = {
        ids[one]: Node(ids[one], one, ids[above], {})
        for one, above in zip("abcd", order, strict=True)
    }
    for node in tree.values():
        assert len(line(tree, node.id)) <= 4


# --- through the console ---


def test_groups_are_made_moved_renamed_and_deleted(
    console: ConsoleClient, context: Context, policy: UUID
) -> None:
    made = console.post(
        "/groups", data={"name": " 営業部 ", "reason": "new"}, follow_redirects=True
    )
    assert "営業部" in made.text
    sales = make_group(context, "Sales")
    with context.database.reading() as session:
        first = session.scalars(select(Group.id).where(Group.name == "営業部")).one()

    assert put(console, sales, name="Verkauf Süd", parent=str(first)) == 302
    assert "Verkauf Süd" in console.get("/groups").text
    refused = console.post(f"/groups/{first}/delete", data={"reason": "x"})
    assert refused.status_code == 409
    assert "Other groups are below it" in refused.text
    assert console.post(f"/groups/{sales}/delete", data={"reason": "x"}).status_code == 302
    assert console.post(f"/groups/{first}/delete", data={"reason": "x"}).status_code == 302
    assert "営業部" not in console.get("/groups").text
    trail = console.get("/audit?action=group.").text
    assert all(word in trail for word in ("group.create", "group.change", "group.delete"))


def test_a_circle_is_refused(console: ConsoleClient, context: Context, policy: UUID) -> None:
    above = make_group(context, "above")
    under = make_group(context, "under", above)
    answer = console.post(
        f"/groups/{above}", data={"name": "above", "parent": str(under), "reason": "x"}
    )
    assert answer.status_code == 409
    assert "cannot be put below itself" in answer.text
    assert put(console, ROOT_GROUP, name="All", parent=str(under)) == 409


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "1 to 100 printable characters"),
        ("x" * 101, "1 to 100 printable characters"),
        ("a\x07b", "1 to 100 printable characters"),
        ("SALES", "beside it already"),
    ],
    ids=["empty", "long", "bell", "taken"],
)
def test_names_that_cannot_be_are_refused(
    console: ConsoleClient, context: Context, policy: UUID, name: str, sentence: str
) -> None:
    make_group(context, "Sales")
    answer = console.post("/groups", data={"name": name, "reason": "x"})
    assert answer.status_code == 409
    assert sentence in answer.text


def test_the_tree_has_a_depth(context: Context, policy: UUID) -> None:
    at = ROOT_GROUP
    for number in range(rules.DEEPEST - 1):
        at = make_group(context, f"level {number}", at)
    with pytest.raises(RefusedError, match="at most 8 deep"):
        make_group(context, "too deep", at)


def test_groups_of_the_set_up_stay(console: ConsoleClient, context: Context, policy: UUID) -> None:
    for group in (ROOT_GROUP, UNAUTHORIZED_GROUP):
        answer = console.post(f"/groups/{group}/delete", data={"reason": "x"})
        assert "made at set-up and stays" in answer.text
    renamed = {"name": "welcome", "parent": str(ROOT_GROUP)}
    assert put(console, UNAUTHORIZED_GROUP, **renamed) == 409
    assert put(console, ROOT_GROUP, name="Alle", android=str(policy)) == 409  # none for iOS


def test_a_group_with_devices_is_not_deleted_before_they_are_moved(
    console: ConsoleClient, context: Context, policy: UUID, strict: UUID
) -> None:
    sales, support = make_group(context, "Sales"), make_group(context, "Support")
    give(context, support, strict, None)
    devices = [make_device(context, policy, sales) for _ in range(3)]
    answer = console.post(f"/groups/{sales}/delete", data={"reason": "x"})
    assert answer.status_code == 409
    assert "Move all its devices first" in answer.text

    path, form = f"/groups/{sales}/move-devices", {"to": str(support), "reason": "closed"}
    page = console.get(f"{path}?to={support}").text
    assert ("3 devices go into" in page, page.count('href="/devices/') >= 3) == (True, True)
    assert console.get(f"{path}?to={uuid4()}").status_code == 404
    for typed in ("", "2", "four"):
        assert console.post(path, data={**form, "confirm": typed}).status_code == 409
    assert console.post(path, data={**form, "confirm": "3"}).status_code == 302
    late = make_device(context, policy, sales)
    work(context)
    with context.database.transaction("look, and let it go too") as session:
        assert session.get_one(Device, late).group_id == sales, "it came after the look"
        session.get_one(Device, late).group_id = support
        told = session.query(AuditEntry).where(AuditEntry.action == "group.move_devices").one()
        assert (told.reason, told.details["devices"]) == ("closed", 3)
        assert set(told.details["device_ids"]) == {str(one) for one in devices}
    assert {policy_of(context, device) for device in devices} == {strict}
    assert console.post(f"/groups/{sales}/delete", data={"reason": "x"}).status_code == 302


# --- policies ---


def test_a_group_to_which_the_store_offers_apps_says_so(context: Context, policy: UUID) -> None:
    sales = make_group(context, "Sales")
    with context.database.transaction("offer") as session:
        entry = StoreEntry(
            kind="app",
            package="org.example.app",
            name="App",
            created_at=utc_now(),
            created_by="keeper",
        )
        session.add(entry)
        session.flush()
        session.add(StoreTarget(entry_id=entry.id, group_id=sales))
    with pytest.raises(RefusedError, match="app store"), context.database.transaction("x") as s:
        service.delete_group(s, sales, "keeper", utc_now())


def test_a_policy_comes_down_the_tree_by_platform(
    console: ConsoleClient, context: Context, policy: UUID, strict: UUID
) -> None:
    above = make_group(context, "above")
    under = make_group(context, "under", above)
    phone = make_device(context, policy, under)
    tablet = make_device(context, policy, under, platform="ios")
    own = make_device(context, policy, under)
    with context.database.transaction("its own") as session:
        service.give_own_policy(session, own, policy, "keeper", utc_now())

    assert put(console, above, name="above", parent=str(ROOT_GROUP), android=str(strict)) == 302
    work(context)
    assert policy_of(context, phone) == strict
    assert policy_of(context, tablet) == policy
    assert policy_of(context, own) == policy
    page = console.get("/groups").text
    assert "from above" in page

    with context.database.reading() as session:
        keys = session.scalars(select(Job.key).where(Job.kind == "policies.spread")).all()
    assert any(key.startswith(f"policies.spread:{strict}:") for key in keys)


def test_moving_a_device_changes_its_policy_and_says_so(
    console: ConsoleClient, context: Context, policy: UUID, strict: UUID
) -> None:
    sales = make_group(context, "Sales")
    give(context, sales, strict, None)
    device = make_device(context, policy)
    form = {"group": str(sales), "policy": "", "reason": "new job"}
    assert console.post(f"/groups/of-device/{device}", data=form).status_code == 302
    assert policy_of(context, device) == strict
    part = console.get(f"/groups/of-device/{device}").text
    assert "Strict" in part
    assert "from group Sales" in part
    assert "not reported yet" in part
    assert "device.place" in console.get("/audit").text

    form |= {"policy": str(policy)}
    console.post(f"/groups/of-device/{device}", data=form)
    assert policy_of(context, device) == policy
    assert "given to this device by name" in console.get(f"/groups/of-device/{device}").text
    console.post(f"/groups/of-device/{device}", data=form | {"policy": ""})
    assert policy_of(context, device) == strict


def test_devices_are_found_by_group_and_the_groups_below(
    console: ConsoleClient, context: Context, policy: UUID
) -> None:
    above = make_group(context, "above")
    under = make_group(context, "under", above)
    for number in range(3):
        make_device(context, policy, under, name=f"under {number}")
    make_device(context, policy, above, name="above 1")
    make_device(context, policy, name="root 1")
    with context.database.reading() as session:
        wanted = DeviceFilter(group_id=above)
        assert count_devices(session, wanted) == 4
        first = list_devices(session, wanted, limit=2)
        rest = list_devices(session, wanted, first[-1].cursor)
        assert [row.device.name for row in (*first, *rest)] == [
            "above 1", "under 0", "under 1", "under 2"
        ]  # fmt: skip
        assert count_devices(session, DeviceFilter(group_id=uuid4())) == 0
    page = console.get(f"/devices?group={under}").text
    assert "under 2" in page
    assert "above / under" in page
    assert "above 1" not in page
    assert console.get("/devices?group=x").status_code == 400


def test_only_who_may_change_policies_changes_groups(
    app: Flask, context: Context, policy: UUID
) -> None:
    operator = signed_in_client(app, context, "helper", Role.OPERATOR)
    assert operator.get("/groups").status_code == 200
    for address in ("/groups", f"/groups/{ROOT_GROUP}", f"/groups/{ROOT_GROUP}/delete"):
        assert operator.post(address, data={"name": "x", "reason": "x"}).status_code == 403


# --- at the same time ---


def together(database: Database, *actions: Callable[[], None]) -> list[SekishoError]:
    """Do all at once, each in its own thread; return what was refused."""
    refused: list[SekishoError] = []
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        start.wait(60)
        try:
            action()
        except SekishoError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return refused


def test_two_moves_at_once_make_no_circle(context: Context, policy: UUID) -> None:
    one, two = make_group(context, "one"), make_group(context, "two")

    def put_below(group: UUID, name: str, parent: UUID) -> Callable[[], None]:
        def move() -> None:
            with context.database.transaction("move a group") as session:
                nothing = {"android": None, "ios": None}
                service.change_group(session, group, name, parent, nothing, "keeper", utc_now())

        return move

    refused = together(context.database, put_below(one, "one", two), put_below(two, "two", one))
    assert len(refused) == 1
    with context.database.reading() as session:
        assert len(ordered(read_tree(session))) == 4


def test_a_device_that_moves_while_the_policy_changes_has_the_new_one(
    context: Context, policy: UUID, strict: UUID
) -> None:
    sales = make_group(context, "Sales")
    devices = [make_device(context, policy) for _ in range(4)]

    def move(device: UUID) -> Callable[[], None]:
        def run() -> None:
            with context.database.transaction("move a device") as session:
                service.move_device(session, device, sales, "keeper", utc_now())

        return run

    moves = [move(device) for device in devices]
    assert together(context.database, *moves, lambda: give(context, sales, strict, None)) == []
    work(context)
    assert {policy_of(context, device) for device in devices} == {strict}


def test_children_follow_whatever_changes_at_once(context: Context, policy: UUID) -> None:
    link = Link(parent_id=policy, inherited=("compliance", "wifi"))
    with context.database.transaction("make a child") as session:
        child = create_policy(session, "Child", Requirements(), {}, "k", "", utc_now(), link).id

    def change(policy_id: UUID, silence: int, **settings: object) -> Callable[[], None]:
        def run() -> None:
            with context.database.transaction("change a policy") as session:
                asked = Requirements(maximum_silence=timedelta(days=silence))
                change_policy(session, policy_id, asked, settings, "k", "why", utc_now())

        return run

    own = {"general": {"log_days": 3}}
    parents = [change(policy, days) for days in (4, 5, 6)]
    children = [change(child, 9, **own), change(child, 9, **own)]
    assert together(context.database, *parents, *children) == []
    with context.database.reading() as session:
        parent, followed = current_version(session, policy), current_version(session, child)
        assert parent.version == 4
        assert followed.requirements == parent.requirements
        assert followed.parent_version == 4
        assert followed.settings["general"] == {"log_days": 3}
        numbers = [row.version for row in list_versions(session, child)]
        assert numbers == list(range(len(numbers), 0, -1))


# --- the API ---


def test_the_api_says_and_changes_the_same(
    app: Flask, context: Context, policy: UUID, strict: UUID
) -> None:
    owner = api_client(app, context, "program", Role.OWNER)
    reader = api_client(app, context, "reader", Role.READ_ONLY)
    made = owner.post("/api/v1/groups", json={"name": "支社", "because": "new"})
    assert made.status_code == 201
    group = made.get_json()
    body = {
        "name": "支社 2", "parent_id": str(ROOT_GROUP), "android_policy_id": str(strict),
        "ios_policy_id": None, "because": "strict",
    }  # fmt: skip
    changed = owner.put(f"/api/v1/groups/{group['id']}", json=body).get_json()
    assert changed["android"] == {"policy_id": str(strict), "from_group_id": group["id"]}
    assert changed["ios"] == {"policy_id": str(policy), "from_group_id": str(ROOT_GROUP)}
    assert reader.put(f"/api/v1/groups/{group['id']}", json=body).status_code == 403
    listed = reader.get("/api/v1/groups").get_json()["items"]
    assert [one["full_name"] for one in listed] == ["All devices", "unauthorized", "支社 2"]

    device = make_device(context, policy)
    place = {"group_id": group["id"], "because": "moved"}
    placed = owner.put(f"/api/v1/devices/{device}/policy", json=place).get_json()
    assert (placed["policy_id"], placed["policy_from"]) == (str(strict), "group")
    assert placed["applied_version"] is None
    assert owner.get(f"/api/v1/devices?group_id={group['id']}").get_json()["items"][0]["id"] == str(
        device
    )
    missing = owner.put(
        f"/api/v1/devices/{device}/policy", json={"group_id": str(uuid4()), "because": "x"}
    )
    assert missing.status_code == 404
    refused = owner.post(f"/api/v1/groups/{group['id']}/delete", json={"because": "x"})
    assert refused.status_code == 409
    assert "Move all its devices first" in refused.get_json()["detail"]
    move = f"/api/v1/groups/{group['id']}/move-devices"
    assert owner.get(move).get_json() == {"devices": 1, "device_ids": [str(device)]}
    target = {"to_group_id": str(ROOT_GROUP), "because": "x", "devices": 2}
    assert owner.post(move, json=target).status_code == 409
    assert owner.post(move, json=target | {"devices": 1}).status_code == 200
    work(context)
    left = owner.post(f"/api/v1/groups/{group['id']}/delete", json={"because": "x"}).get_json()
    assert len(left["items"]) == 2


def test_settings_pass_through_the_api_and_back(app: Flask, context: Context, policy: UUID) -> None:
    owner = api_client(app, context, "program", Role.OWNER)
    address = f"/api/v1/policies/{policy}/settings"
    wifi = [{"name": "Büro", "passphrase": "open sesame 1"}]
    body = {"settings": {"wifi": wifi}, "because": "new office", "based_on": 1}
    said = owner.put(address, json=body).get_json()
    assert said["settings"]["wifi"][0]["passphrase"] == {"set": True}
    assert said["settings"]["wifi"][0]["security"] == "personal"
    again = {"settings": said["settings"], "because": "same", "based_on": 2}
    assert owner.put(address, json=again).get_json()["version"] == 2
    stale = owner.put(address, json={**again, "based_on": 1})
    assert stale.status_code == 409
    versions = owner.get(f"/api/v1/policies/{policy}/versions").get_json()["items"]
    change = {"setting": "wifi.passphrase", "entry": "Büro", "before": None, "now": {"set": True}}
    assert change in versions[0]["changed"]
    assert "sesame" not in str(versions)

    for settings, place in (
        ({"wify": []}, "wify"),
        ({"wifi": [{"name": "x", "ssid": "x"}]}, "wifi.0.ssid"),
        ({"general": {"log_days": "7"}}, "general.log_days"),
        ({"general": {"log_days": 1e99}}, "general.log_days"),
        ({"general": []}, "general"),
        ({"wifi": {}}, "wifi"),
        ({"app_control": {"blocked": ["ü"]}}, "app_control.blocked"),
        ({"certificates": [{"name": "x", "certificate": "PEM"}]}, "certificates.0.certificate"),
    ):
        wrong = owner.put(address, json={"settings": settings, "because": "x"})
        assert wrong.status_code == 409, settings
        assert place in wrong.get_json()["detail"]


def test_changes_are_noted_with_what_was_before(
    console: ConsoleClient, context: Context, policy: UUID, strict: UUID
) -> None:
    sales = make_group(context, "Sales")
    device = make_device(context, policy)
    change = {"name": "Vans", "parent": str(ROOT_GROUP), "android": str(strict), "reason": "r"}
    console.post(f"/groups/{sales}", data=change)
    place = {"group": str(sales), "policy": "", "reason": "r"}
    console.post(f"/groups/of-device/{device}", data=place)
    with context.database.reading() as session:
        told = {one.action: one.details for one in list_entries(session)}
    assert told["group.change"]["before"] == {"name": "Sales", "android": ""}
    assert told["group.change"]["after"] == {"name": "Vans", "android": str(strict)}
    assert told["device.place"]["before"] == {"group": str(ROOT_GROUP)}
    assert told["device.place"]["after"] == {"group": str(sales)}
