"""Policies in the console: settings of the catalogue, inheritance, secrets, contradictions."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.context import Context
from management.policies.delivery import as_asked
from management.policies.models import Policy, PolicyVersion
from management.policies.queries import current_version, find_policy_by_name
from management.policies.service import ensure_default_policy
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client

CRITERIA = {"maximum_silence": "3", "inactive_after": "30"}
WIFI = {
    "part": ["wifi"],
    "entry.wifi": ["0"],
    "s.wifi.0.name": "会社 Office",
    "s.wifi.0.security": "personal",
    "s.wifi.0.eap": "peap",
    "s.wifi.0.join": "yes",
    "s.wifi.0.passphrase": "open sesame 1",
}


@pytest.fixture
def standard(context: Context) -> UUID:
    """Id of the policy made at set-up."""
    with context.database.transaction("set up") as session:
        return ensure_default_policy(session, utc_now() - timedelta(days=1)).id


def save(console: ConsoleClient, policy_id: UUID | None, name: str, **fields: object) -> str:
    """Send the form; return the page that follows, or the sentences of its errors."""
    form = {"name": name, "because": "test", **CRITERIA, **fields}
    address = f"/policies/{policy_id}" if policy_id else "/policies"
    return console.post(address, data=form, follow_redirects=True).text


def current(context: Context, name: str) -> PolicyVersion:
    with context.database.reading() as session:
        policy = find_policy_by_name(session, name)
        assert policy is not None
        return current_version(session, policy.id)


def test_a_policy_is_made_with_settings_and_shows_them(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    page = save(console, None, "営業", **WIFI)
    assert "The policy is made" in page
    assert "会社 Office" in page
    stored = current(context, "営業").settings
    assert stored["wifi"][0]["name"] == "会社 Office"
    assert stored["wifi"][0]["join"] is True
    assert "passcode" not in stored


def test_every_part_of_the_form_can_be_saved_as_it_is_shown(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    page = console.get(f"/policies/{standard}/edit").text
    before = current(context, "Standard")
    form: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", page.partition("<main")[2].partition("</main")[0]):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        ticked = 'type="checkbox"' not in tag or " checked" in tag
        if name and ticked and name[1] != "csrf_token":
            form.setdefault(name[1], []).append(value[1] if value else "")
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        if chosen:
            form[name] = [chosen[1]]
    form["because"] = ["nothing changed"]
    answer = console.post(f"/policies/{standard}", data=form, follow_redirects=True).text
    assert "there is no new version" in answer
    assert current(context, "Standard").settings == before.settings


def test_secrets_are_sealed_and_never_shown_again(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, standard, "Standard", **WIFI)
    stored = current(context, "Standard")
    assert "open sesame" not in str(stored.settings)
    assert (
        context.keys.unseal(stored.settings["wifi"][0]["passphrase"]["sealed"]) == "open sesame 1"
    )
    for page in (f"/policies/{standard}", f"/policies/{standard}/edit", "/audit"):
        assert "open sesame" not in console.get(page).text

    kept = {**WIFI, "s.wifi.0.passphrase": "", "s.wifi.0.passphrase.set": "yes"}
    renamed = {**kept, "s.wifi.0.name": "Office", "s.wifi.0.was": "会社 Office"}
    save(console, standard, "Standard", **renamed)
    assert current(context, "Standard").settings["wifi"][0] == {
        **stored.settings["wifi"][0],
        "name": "Office",
    }
    page = save(console, standard, "Standard", **(renamed | {"s.wifi.0.passphrase": "other words"}))
    assert "replaced" in page
    assert "other words" not in page


def test_the_password_of_the_agents_settings_goes_to_android_alone(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, standard, "Standard", part=["general"],
         **{"s.general.settings_password": "open sesame 2"})  # fmt: skip
    stored = current(context, "Standard").settings
    assert "open sesame" not in console.get(f"/policies/{standard}/edit").text
    for platform, wanted in (("android", "open sesame 2"), ("ios", None)):
        told = as_asked(stored, platform, context.keys.unseal, None)
        assert told["general"].get("settings_password") == wanted

    save(console, standard, "Standard", part=["general"],
         **{"s.general.settings_password": "", "s.general.settings_password.set": "yes",
            "s.general.log_days": "9"})  # fmt: skip
    kept = current(context, "Standard").settings["general"]
    assert (kept["settings_password"], kept["log_days"]) == (
        stored["general"]["settings_password"], 9
    )  # fmt: skip


def test_what_contradicts_itself_is_refused_at_its_place(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    apps = {
        "part": ["app_control"],
        "s.app_control.rule": "allow",
        "s.app_control.required": "com.example.mail\ncom.example.app",
        "s.app_control.blocked": "com.example.app",
    }
    answer = save(console, standard, "Standard", **apps)
    assert "Required and blocked or forbidden at once: com.example.app" in answer
    assert "Nothing is saved yet" in answer
    crossed = {**apps, "s.app_control.blocked": "", "forbidden_packages": "com.example.mail"}
    answer = save(console, standard, "Standard", **crossed)
    assert "Required and blocked or forbidden at once: com.example.mail" in answer
    assert current(context, "Standard").version == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"s.wifi.0.passphrase": ""}, "This protection needs a pass phrase."),
        ({"s.wifi.0.passphrase": "short"}, "Enter 8 to 63 characters."),
        ({"s.wifi.0.name": ""}, "This must be filled in."),
        ({"s.wifi.0.name": "関所" * 6}, "The name of a network has at most 32 bytes."),
        ({"s.wifi.0.proxy_host": "not a host"}, "This is not valid here: not a host"),
        ({"s.wifi.0.proxy_port": "0"}, "Enter a number from 1 to 65535."),
        ({"s.wifi.0.proxy_port": "８０"}, "Enter a whole number."),
        ({"s.wifi.0.security": "magic"}, "Choose one of: open, personal, enterprise"),
        (
            {"s.wifi.0.authority": "Root", "s.wifi.0.security": "enterprise"},
            "There is no entry Root under Certificates.",
        ),
        ({"entry.wifi": [str(n) for n in range(30)]}, "At most 20 entries."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_told_at_their_place(
    console: ConsoleClient, standard: UUID, fields: dict[str, object], sentence: str
) -> None:
    more = {f"s.wifi.{n}.was": f"n{n}" for n in range(30)} if "entry.wifi" in fields else {}
    answer = save(console, standard, "Standard", **(WIFI | more | fields))
    assert sentence in answer
    assert "Nothing is saved yet" in answer


def test_a_huge_list_is_refused(console: ConsoleClient, standard: UUID) -> None:
    lines = "\n".join(f"com.example.app{n}" for n in range(1001))
    fields = {"part": ["app_control"], "s.app_control.rule": "allow"}
    answer = save(console, standard, "Standard", **fields, **{"s.app_control.blocked": lines})
    assert "At most 1000 entries." in answer
    long = "\n".join("a" * 240 + f".example/{n}" for n in range(1000))
    fields = {"part": ["web_protection"], "s.web_protection.level": "low"}
    answer = save(console, standard, "Standard", **fields, **{"s.web_protection.blocked": long})
    assert "too large for a device" in answer


def test_a_child_follows_its_parent_part_by_part(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    own = {"part": ["passcode"], "s.passcode.minimum_length": "9", "s.passcode.quality": "digits",
           "s.passcode.grace_minutes": "0"}  # fmt: skip
    save(console, None, "Sales", parent=str(standard), inherit=["wifi", "compliance"], **own)
    child = current(context, "Sales")
    assert (child.version, child.parent_version) == (1, 1)

    save(console, standard, "Standard", encrypted="yes", **WIFI)
    followed = current(context, "Sales")
    parent = current(context, "Standard")
    assert (followed.version, followed.parent_version) == (2, 2)
    assert followed.settings["wifi"] == parent.settings["wifi"]
    assert followed.requirements == parent.requirements
    assert followed.settings["passcode"]["minimum_length"] == 9
    assert followed.because == "follows version 2 of Standard: test"
    page = console.get(f"/policies/{child.policy_id}").text
    assert "follows version 2 of Standard" in page
    assert re.search(r"from <a[^>]*>Standard</a>, version 2", page)
    assert "its own" in page

    save(console, standard, "Standard", encrypted="yes", part=["general"],
         **{"s.general.log_detail": "detailed"})  # fmt: skip
    assert current(context, "Standard").version == 3
    assert current(context, "Sales").version == 2  # nothing that it inherits changed


def test_a_change_that_contradicts_a_child_is_refused_and_names_it(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    apps = {"part": ["app_control"], "s.app_control.rule": "allow"}
    mine = {"s.app_control.required": "com.example.app"}
    save(console, None, "Sales", parent=str(standard), inherit=["compliance"], **apps, **mine)
    answer = save(console, standard, "Standard", forbidden_packages="com.example.app")
    assert "Sales, which inherits from it: Required and blocked" in answer
    assert current(context, "Standard").version == 1


def test_policies_inherit_in_no_circle(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, None, "A", parent=str(standard), inherit=["wifi"])
    save(console, None, "B", parent=str(current(context, "A").policy_id), inherit=["wifi"])
    below = str(current(context, "B").policy_id)
    answer = save(console, standard, "Standard", parent=below, inherit=["wifi"])
    assert "cannot inherit from itself" in answer
    answer = save(console, standard, "Standard", parent=str(standard))
    assert "cannot inherit from itself" in answer


def test_a_line_of_policies_has_an_end(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    above = standard
    for name in ("2", "3", "4", "5"):
        save(console, None, name, parent=str(above), inherit=["wifi"])
        above = current(context, name).policy_id
    answer = save(console, None, "6", parent=str(above), inherit=["wifi"])
    assert "At most 5 policies inherit" in answer


def test_a_change_based_on_an_old_version_is_refused(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, standard, "Standard", based_on="1", encrypted="yes")
    answer = save(console, standard, "Standard", based_on="1", passcode_set="yes")
    assert "Somebody else made version 2 meanwhile" in answer
    assert current(context, "Standard").version == 2


def test_a_new_version_queues_its_devices_and_those_of_its_children(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, None, "Sales", parent=str(standard), inherit=["wifi"])
    save(console, standard, "Standard", **WIFI)
    with context.database.reading() as session:
        found = session.scalars(select(Job.key).where(Job.kind == "policies.spread")).all()
        child = session.scalars(select(Policy.id).where(Policy.name == "Sales")).one()
    assert set(found) == {f"policies.spread:{standard}:2", f"policies.spread:{child}:2"}


def test_only_who_may_change_policies_does(app: Flask, context: Context, standard: UUID) -> None:
    operator = signed_in_client(app, context, "helper", Role.OPERATOR)
    assert operator.get(f"/policies/{standard}").status_code == 200
    assert operator.post(f"/policies/{standard}", data={"name": "x"}).status_code == 403
    assert operator.get("/policies/new").status_code == 403


def test_each_change_stands_in_the_audit_trail(console: ConsoleClient, standard: UUID) -> None:
    save(console, standard, "Standard", **WIFI)
    trail = console.get("/audit?action=policy.").text
    assert "policy.change" in trail
    assert "test" in trail


def test_what_has_no_meaning_beside_another_choice_is_dropped(
    console: ConsoleClient, context: Context, standard: UUID
) -> None:
    save(console, standard, "Standard", **(WIFI | {"s.wifi.0.security": "open"}))
    (entry,) = current(context, "Standard").settings["wifi"]
    assert set(entry) == {"name", "security", "hidden", "join"}
