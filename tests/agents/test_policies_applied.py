"""A policy on its way: from its group to the phone, and what the phone could not apply back."""

from datetime import timedelta
from uuid import UUID

import pytest

from agents.simulator.device import SimulatedDevice
from agents.simulator.phone import Phone
from agents.simulator.policy import not_applied
from contracts.agent import DeviceDescription, NotApplied, PolicyDocument, SettingNeed
from management.compliance.work import spread_policy
from management.enrolment.service import invite, qr_content
from management.groups.queries import DevicePolicy, explain_missed, read_device_policy
from management.groups.service import change_group, create_group, delete_group, move_device
from management.policies.models import ROOT_GROUP, Policy
from management.policies.rules import Requirements
from management.policies.service import create_policy
from management.policies.values import Reader
from runtime.clock import utc_now
from tests.agents.headquarters import Headquarters

pytestmark = pytest.mark.servers
ASKED = {
    "feature_locks": {"no_usb_files": True, "no_airdrop": True, "no_screen_capture": True},
    "wifi": [
        {
            "name": "会社",
            "security": "enterprise",
            "identity": "{user}",
            "password": "open sesame 1",
        },
        {"name": "Gäste", "security": "open", "proxy_host": "proxy.example", "proxy_port": 80},
    ],
}


def make_policy(hq: Headquarters, name: str, asked: object) -> Policy:
    reader = Reader(hq.context.keys, {})
    settings = reader.read(asked)
    assert reader.errors == {}
    with hq.context.database.transaction("make a policy") as session:
        return create_policy(session, name, Requirements(), settings, "keeper", "", utc_now())


def make_group(hq: Headquarters, name: str, policy: Policy) -> UUID:
    with hq.context.database.transaction("make a group") as session:
        group = create_group(session, name, ROOT_GROUP)
        both = {"android": policy.id, "ios": policy.id}
        change_group(session, group.id, name, ROOT_GROUP, both, "keeper", utc_now())
        return group.id


def invite_into(hq: Headquarters, group_id: UUID) -> str:
    with hq.context.database.transaction("invite") as session:
        _, key = invite(
            session, hq.context.keys, "yui@example.org", "Yui", None, timedelta(days=1), "keeper",
            utc_now(), group_id,
        )  # fmt: skip
    return qr_content(key, hq.devices_url, str(hq.context.signer.status()["thumbprint"]))


def device_policy(hq: Headquarters, device_id: UUID) -> DevicePolicy:
    hq.visit()
    with hq.context.database.reading() as session:
        return read_device_policy(session, device_id)


def test_a_device_gets_the_policy_of_its_group_and_says_what_it_could_not_apply(
    hq: Headquarters, phone: SimulatedDevice
) -> None:
    policy = make_policy(hq, "Personal phones", ASKED)
    group = make_group(hq, "Personal", policy)
    about = DeviceDescription(
        platform="android", ownership="personal", management_mode="work_profile"
    )
    phone.set(os_version="7.1")
    phone.begin_enrolment(invite_into(hq, group), about)
    hq.visit()
    assert phone.finish_enrolment() is None
    phone.check_in()

    got = phone.state.member().policy
    assert (got.policy_id, got.version) == (policy.id, 1)
    assert got.settings["wifi"][0]["password"] == "open sesame 1"
    assert got.settings["wifi"][0]["identity"] == "yui"
    assert "no_airdrop" not in got.settings["feature_locks"], "that is Apple's"

    stands = device_policy(hq, phone.device_id)
    assert stands.group.name == "Personal"
    assert stands.is_applied
    assert stands.applied_since is not None
    missed = {(one["setting"], one["entry"]): one["because"] for one in stands.not_applied}
    assert missed == {
        ("feature_locks.no_usb_files", ""): "This needs device owner; this device is managed as "
        "work profile.",
        ("wifi.proxy_host", "Gäste"): "This needs system version 8.0; this device has 7.1.",
        ("wifi.proxy_port", "Gäste"): "This needs system version 8.0; this device has 7.1.",
    }
    said = explain_missed(stands)[0]
    assert said.setting is not None
    assert str(said.setting.label) == "No files over USB"

    since = stands.applied_since
    phone.set(os_version="8.0")
    phone.check_in()
    stands = device_policy(hq, phone.device_id)
    assert [one["setting"] for one in stands.not_applied] == ["feature_locks.no_usb_files"]
    assert stands.applied_since == since, "the policy was applied all the time"


def test_a_device_that_moves_is_asked_another_policy_and_applies_it(
    hq: Headquarters, phone: SimulatedDevice
) -> None:
    first = make_group(hq, "First", make_policy(hq, "First", ASKED))
    policy = make_policy(hq, "Second", {"general": {"log_days": 3}})
    second = make_group(hq, "Second", policy)
    about = DeviceDescription(platform="android", management_mode="device_owner")
    phone.begin_enrolment(invite_into(hq, first), about)
    hq.visit()
    phone.finish_enrolment()
    phone.check_in()

    with hq.context.database.transaction("move") as session:
        move_device(session, phone.device_id, second, "keeper", utc_now())
    stands = device_policy(hq, phone.device_id)
    assert stands.policy.id == policy.id
    assert not stands.is_applied
    assert stands.applied is not None
    assert stands.applied.name == "First"
    spread_policy(hq.context, {"policy_id": str(policy.id)}, lambda told: None)
    hq.visit()
    phone.check_in()
    assert device_policy(hq, phone.device_id).is_applied
    assert phone.state.member().policy.settings["general"]["log_days"] == 3


def test_an_invitation_into_a_deleted_group_leads_to_the_root(
    hq: Headquarters, phone: SimulatedDevice
) -> None:
    group = make_group(hq, "Closed soon", make_policy(hq, "Closed", ASKED))
    code = invite_into(hq, group)
    with hq.context.database.transaction("delete") as session:
        delete_group(session, group, "keeper", utc_now())
    phone.begin_enrolment(code, DeviceDescription(platform="android"))
    hq.visit()
    phone.finish_enrolment()
    stands = device_policy(hq, phone.device_id)
    assert stands.group.id == ROOT_GROUP
    assert stands.policy.id == hq.policy_id


@pytest.mark.parametrize(
    ("ownership", "platform", "because"),
    [
        ("company", "android", ""),
        ("personal", "android", "work profile"),
        ("company", "ios", "supervised"),
    ],
)
def test_a_phone_that_says_no_mode_is_what_its_owner_usually_has(
    ownership: str, platform: str, because: str
) -> None:
    phone = Phone(
        description=DeviceDescription(platform=platform, ownership=ownership)  # type: ignore[arg-type]
    )
    need = SettingNeed(setting="a.b", modes=("device_owner",))
    document = PolicyDocument(
        policy_id=UUID(int=1), version=1, name="x", settings={"a": {"b": True}}, needs=(need,)
    )
    found = not_applied(phone, document)
    assert [one.setting for one in found] == (["a.b"] if because else [])
    assert all(isinstance(one, NotApplied) and because in one.because for one in found)
