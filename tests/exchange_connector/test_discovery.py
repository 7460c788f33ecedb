"""What is asked of Exchange to find phones: every call that the stand-in got is read here."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from exchange_connector import discovery, enforcement
from exchange_connector.sync import Look
from tests.exchange_connector.bed import Bed

LATER = datetime(2026, 6, 1, tzinfo=UTC)


def named_reads(bed: Bed) -> Counter[str]:
    """Return how often each reading cmdlet was called for one mailbox or identity."""
    return Counter(
        cmdlet
        for cmdlet, said in bed.exchange.calls
        if cmdlet.startswith("Get-") and ({"Mailbox", "Identity"} & said.keys())
    )


def test_no_pass_ever_asks_mailbox_by_mailbox(bed: Bed) -> None:
    bed.exchange.fill(60, 2)
    bed.statistics_per_pass = 3
    bed.pair()

    for number, look in enumerate((Look.ALL, Look.NEW, Look.NEW, Look.ALL), start=1):
        bed.run_pass(look=look)
        assert named_reads(bed) == {"Get-MobileDeviceStatistics": 3 * number}
    bulk = Counter(cmdlet for cmdlet, said in bed.exchange.calls if "Identity" not in said)
    assert bulk["Get-MobileDevice"] == 4
    assert bulk["Get-CASMailbox"] == 2
    asked = [said["Mailbox"] for said in bed.exchange.called("Get-MobileDeviceStatistics")]
    assert len(set(asked)) == len(asked) == 12


def test_a_delta_without_news_is_one_call_and_tells_nothing(bed: Bed) -> None:
    bed.exchange.fill(5)
    bed.pair()
    bed.run_pass()
    seen_at = bed.partnership("ApplDNQ000000").seen_at
    before = len(bed.exchange.calls)

    bed.run_pass(look=Look.NEW)
    assert [cmdlet for cmdlet, _ in bed.exchange.calls[before:]] == ["Get-MobileDevice"]
    asked = bed.exchange.calls[-1][1]["Filter"]
    assert asked == (
        "(FirstSyncTime -gt '2025-12-31T23:49:00Z') -or (DeviceAccessState -eq 'Quarantined')"
    )
    assert bed.partnership("ApplDNQ000000").seen_at == seen_at


def test_a_delta_brings_a_new_phone_with_its_address_and_marks_nothing_as_gone(bed: Bed) -> None:
    bed.exchange.fill(3)
    bed.pair()
    bed.run_pass()
    bed.exchange.add_phone("ada", "ADA1", first_sync_at=LATER)
    bed.enrol("ada@corp.test", "ADA1")

    bed.run_pass(look=Look.NEW)
    found = bed.partnership("ADA1")
    assert (found.user_address, found.wanted) == ("ada@corp.test", "allow")
    assert bed.exchange.allowed() == {("ada", "ADA1")}
    assert bed.partnership("ApplDNQ000000").gone_at is None


def test_a_phone_in_quarantine_is_found_by_a_delta_whenever_it_came(bed: Bed) -> None:
    bed.exchange.fill(1)
    bed.pair()
    bed.run_pass()
    bed.exchange.default_access = "Quarantine"
    bed.exchange.add_phone("ada", "OLD1", first_sync_at=datetime(2020, 1, 1, tzinfo=UTC))

    bed.run_pass(look=Look.NEW)
    assert bed.partnership("OLD1").access_state == "Quarantined"


def test_masses_in_quarantine_are_read_once_an_hour_and_not_with_every_delta(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100,000 each delta would bring all again; here the limit is 5 and there are 20."""
    monkeypatch.setattr(discovery, "FEW_QUARANTINED", 5)
    bed.exchange.default_access = "Quarantine"
    bed.exchange.fill(20)
    bed.pair()
    assert bed.run_pass().discovered == 20
    assert bed.partnership("ApplDNQ000000").access_state == "Quarantined"

    bed.exchange.calls.clear()
    bed.run_pass(look=Look.NEW)
    (asked,) = bed.exchange.called("Get-MobileDevice")
    assert "Quarantined" not in asked["Filter"]
    assert len(bed.exchange.calls) == 1

    bed.exchange.default_access = "Allow"
    bed.run_pass()
    bed.exchange.calls.clear()
    bed.run_pass(look=Look.NEW)
    (asked,) = bed.exchange.called("Get-MobileDevice")
    assert "Quarantined" in asked["Filter"]


def test_the_last_sync_comes_mailbox_by_mailbox_the_longest_not_asked_first(bed: Bed) -> None:
    bed.exchange.fill(4)
    for phone in bed.exchange.phones.values():
        phone.synced_at = LATER
    bed.statistics_per_pass = 2
    bed.pair()

    bed.run_pass()
    assert bed.partnership("ApplDNQ000000").last_sync_at == LATER
    assert bed.partnership("ApplDNQ000020").synced_read_at is None
    bed.run_pass(look=Look.NEW)
    assert bed.partnership("ApplDNQ000020").last_sync_at == LATER
    bed.run_pass(look=Look.NEW)
    assert len(bed.exchange.called("Get-MobileDeviceStatistics")) == 4


def test_what_exchange_could_not_read_is_not_gone(bed: Bed) -> None:
    bed.exchange.fill(3)
    bed.pair()
    bed.run_pass()
    bed.exchange.faults.unreadable_devices = 1

    outcome = bed.run_pass()
    assert outcome.exchange_problem == ""
    assert bed.partnership("ApplDNQ000000").gone_at is None


def test_the_other_doors_of_a_mailbox_are_known(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.mailboxes["ada"].closed |= {"ImapEnabled", "PopEnabled"}
    bed.pair()

    bed.run_pass()
    assert bed.partnership("ADA1").open_doors == "activesync ews owa mapi"


def test_a_renamed_user_keeps_block_grace_and_history(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.exchange.add_phone("bob", "BOB1")
    bed.pair()
    bed.say(device, rooted=True)
    bed.run_pass()
    bed.age_grace(10)
    before = bed.partnership("ADA1")
    bed.exchange.rename("ada", "ada.lovelace", "Leavers")
    bed.exchange.rename("bob", "robert")

    bed.run_pass()
    row = bed.partnership("ADA1")
    assert row.id == before.id
    assert row.mailbox == "corp.test/Leavers/ada.lovelace"
    assert bed.history("ADA1").count(("renamed", "")) == 1
    assert bed.partnership("BOB1").grace_key == "robert@corp.test"
    bed.age_grace(4)
    bed.run_pass()
    assert bed.exchange.blocked() >= {("robert", "BOB1")}
    assert bed.spool
    assert not any("Users/ada" in mailbox for mailbox in bed.spool.ours())


def test_the_same_pair_twice_in_the_directory_is_one_phone(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1", first_sync_at=LATER, model="new")
    twin = bed.exchange.add_phone("ada", "ADA2", first_sync_at=LATER - timedelta(days=9))
    twin.device_id, twin.model = "ADA1", "old"
    bed.pair()

    outcome = bed.run_pass()
    assert outcome.discovered == 1
    assert bed.partnership("ADA1").device_model == "new"


def test_without_management_lists_are_compared_and_everything_is_told_afterwards(bed: Bed) -> None:
    bed.exchange.fill(2)
    bed.pair()
    bed.run_pass()
    bed.console.stop()
    bed.exchange.add_phone("ada", "ADA1")

    assert bed.run_pass().discovered is None
    assert bed.spool
    compared, discovered = bed.spool.moment("compared_at"), bed.spool.moment("discovered_at")
    assert compared and discovered and compared > discovered
    bed.console.start()
    bed.run_pass()
    assert bed.partnership("ADA1").user_address == "ada@corp.test"


def test_many_changes_over_several_passes_read_the_lists_once_and_change_each_mailbox_once(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.exchange.fill(60, 2)
    bed.settings(block_limit=1000)
    bed.pair()
    bed.run_pass()
    monkeypatch.setattr(enforcement, "BUDGET_SECONDS", 0.05)
    bed.settings(block_limit=1000, unmanaged_grace_days=0)
    bed.decide_everything()
    before, passes = len(bed.exchange.calls), 1

    while bed.run_pass(discover=False).unfinished:
        passes += 1
    asked = bed.exchange.calls[before:]
    assert passes > 1
    assert len(bed.exchange.blocked()) == 120
    changed = Counter(said["Identity"] for cmdlet, said in asked if cmdlet == "Set-CASMailbox")
    assert set(changed.values()) == {1}
    assert len(changed) == 60
    assert Counter(cmdlet for cmdlet, said in asked if "Identity" not in said) == {
        "Get-CASMailbox": 1
    }
