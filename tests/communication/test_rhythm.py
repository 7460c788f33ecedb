"""When devices come: each at its own time, quickly when somebody waits, and a crowd not at once."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from communication.limits import Crowd
from communication.rhythm import interval_for, next_poll
from contracts import codec
from contracts.link import LiveDevices
from tests.communication import crowd
from tests.communication.relay import Management, Phone, Relay, detail

slots = st.integers(1, 10_000_000)
intervals = st.integers(10, 86_400)
times = st.floats(1.7e9, 2.5e9)


@given(slots, intervals, times)
def test_the_next_poll_is_half_to_one_and_a_half_intervals_away(
    slot: int, interval: int, now: float
) -> None:
    assert interval * 0.5 - 1 <= next_poll(slot, interval, now) <= interval * 1.5 + 1


@given(slots, intervals, times, st.floats(0, 2))
def test_a_device_that_comes_when_it_was_told_keeps_its_place(
    slot: int, interval: int, now: float, late: float
) -> None:
    then = now + next_poll(slot, interval, now) + late

    assert abs(next_poll(slot, interval, then) - (interval - late)) <= 2


def test_100_000_devices_that_come_at_once_are_spread_over_the_interval() -> None:
    seconds = Counter(next_poll(slot, 900, 1.8e9) for slot in range(1, 100_001))

    assert len(seconds) >= 900
    assert max(seconds.values()) < 1.5 * 100_000 / 900


@given(st.integers(0, 2**53), st.integers(1, 604_800))
def test_an_agent_chooses_its_interval_within_bounds(wanted: int, usual: int) -> None:
    chosen = interval_for(wanted, usual)

    assert chosen == usual if wanted == 0 else min(60, usual) <= chosen <= 86_400


def test_the_more_are_sent_away_the_later_they_come_back() -> None:
    few, many = Crowd(200), Crowd(200)
    early = [few.retry_after(1000.0) for _ in range(500)]
    late = [many.retry_after(1000.0) for _ in range(150_000)][-1000:]

    assert min(early) >= 10 and max(early) <= 120
    assert min(late) >= 10 and 600 < max(late) <= 900
    assert max(many.retry_after(1200.0) for _ in range(500)) <= 120, "the crowd is forgotten"


def _after(phone: Phone, token: str, query: str = "") -> int:
    return int(phone.poll(token, query).headers["Sekisho-Poll-After"])


@pytest.mark.servers
def test_each_device_has_a_place_of_its_own(relay: Relay, management: Management) -> None:
    members = crowd.gather(management, 40)
    (connection,) = crowd.connect(relay, 1)
    with connection:
        asked = [crowd.poll(token) for token in crowd.tokens(relay, members)]
        first, second = (
            [int(crowd.ask(connection, one)[2]["sekisho-poll-after"]) for one in asked]
            for _ in range(2)
        )

    assert len(set(first)) > 30
    assert 450 <= min(first) <= max(first) <= 1350
    away = [min((a - b) % 900, (b - a) % 900) for a, b in zip(first, second, strict=True)]
    assert max(away) <= 120, "a place is a time of the clock: only what passed meanwhile is less"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("wanted", "shortest", "longest"), [(3600, 1800, 5400), (1, 30, 90), (10**9, 43_200, 129_600)]
)
def test_an_agent_says_how_often_its_policy_wants_it_to_come(
    phone: Phone, wanted: int, shortest: int, longest: int
) -> None:
    assert shortest <= _after(phone, phone.token(), f"?every={wanted}") <= longest


def _hurry(management: Management, *devices: UUID, seconds: int) -> None:
    body = codec.write(LiveDevices(devices=devices, seconds=seconds))
    assert management.send("POST", "/link/v1/live", body).status_code == 204


@pytest.mark.servers
def test_a_device_somebody_waits_for_hurries_and_others_do_not(
    relay: Relay, management: Management, phone: Phone
) -> None:
    other = Phone(relay, management)
    _hurry(management, phone.id, uuid4(), seconds=3600)

    answer = phone.poll(phone.token(), "?every=3600")

    assert answer.headers["Sekisho-Poll-After"] == "5"
    assert answer.headers["Sekisho-Poll-Wait"] == "55"
    calm = other.poll(other.token())
    assert int(calm.headers["Sekisho-Poll-After"]) >= 450
    assert "Sekisho-Poll-Wait" not in calm.headers


@pytest.mark.servers
def test_the_hurry_ends(management: Management, phone: Phone) -> None:
    token = phone.token()
    _hurry(management, phone.id, seconds=1)

    assert phone.poll(token, "?wait=3").status_code == 204
    assert _after(phone, token) >= 450


@pytest.mark.servers
def test_only_management_makes_devices_hurry(phone: Phone) -> None:
    body = codec.write(LiveDevices(devices=(phone.id,), seconds=60))

    assert phone.send("POST", "/link/v1/live", body).status_code == 404


@pytest.mark.servers
def test_a_poll_may_be_signed_instead_and_works_once(phone: Phone, management: Management) -> None:
    path = "/agent/v1/poll?after=0&epoch=1"
    headers = phone.headers("GET", path)
    management.order(phone.id, 1, 1, "order")

    assert phone.send("GET", path, headers=headers).status_code == 200
    again = phone.send("GET", path, headers=headers)
    assert (again.status_code, "made before" in detail(again)) == (401, True)
    other = phone.send("GET", path.replace("after=0", "after=1"), headers=headers)
    assert other.status_code == 401


@pytest.mark.servers
def test_a_signed_poll_with_a_wrong_clock_is_told_so(phone: Phone) -> None:
    path = "/agent/v1/poll?after=0&epoch=1"
    headers = phone.headers("GET", path, now=datetime.now(UTC) - timedelta(minutes=10))

    answer = phone.send("GET", path, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (401, "urn:sekisho:clock-skew")


@pytest.mark.servers
def test_500_polls_that_hang_keep_nobody_waiting_and_an_order_ends_its_own_at_once(
    relay: Relay, management: Management, phone: Phone
) -> None:
    members = crowd.gather(management, 520)
    waits = [crowd.poll(token, "?wait=55") for token in crowd.tokens(relay, members)]
    short = phone.token()
    connections = crowd.connect(relay, len(waits))
    for connection, asked in zip(connections, waits, strict=True):
        connection.sendall(asked)

    for _ in range(100):
        assert phone.poll(short).status_code == 204
    assert phone.report(1).status_code == 202
    assert phone.orders() == ()
    assert crowd.answered(connections) == [], "all the others still hang"

    management.order(members[7].id, 1, 1, "order")
    assert crowd.answered(connections, 60) == [connections[7]]
    assert crowd.read(connections[7])[:2] == (200, b'{"v":1,"orders_waiting":1}')
    for connection in connections:
        connection.close()


@pytest.mark.servers
def test_a_later_poll_of_the_same_device_ends_the_earlier(
    relay: Relay, management: Management
) -> None:
    (member,) = crowd.gather(management, 1)
    (token,) = crowd.tokens(relay, [member])
    first, second = crowd.connect(relay, 2)
    with first, second:
        first.sendall(crowd.poll(token, "?wait=55"))
        assert crowd.answered([first], 0.5) == []
        second.sendall(crowd.poll(token, "?wait=55"))

        assert crowd.answered([first, second], 60) == [first]
        assert crowd.read(first)[0] == 204
        management.order(member.id, 1, 1, "order")
        assert crowd.answered([second], 60) == [second]
        assert crowd.read(second)[0] == 200


@pytest.mark.servers
def test_an_outage_ends_and_all_come_back_at_once(own_relay: Relay) -> None:
    """Nobody is turned away for good, nothing acknowledged is lost, management is heard."""
    own_relay.start()
    management = Management(own_relay)
    members = crowd.gather(management, 300)
    tokens = crowd.tokens(own_relay, members)
    own_relay.kill()
    own_relay.start()
    connections = crowd.connect(own_relay, len(members))
    for connection, member in zip(connections, members, strict=True):
        connection.sendall(member.report(1, str(member.id)))
    heard = management.send("GET", "/link/v1/status").status_code
    stored, sent_away, told = set(), [], set()
    for connection, member, token in zip(connections, members, tokens, strict=True):
        status, _, headers = crowd.read(connection)
        if status == 202:
            stored.add(member.id)
        else:
            assert (status, 10 <= int(headers["retry-after"]) <= 900) == (503, True)
            sent_away.append(member)
        told.add(crowd.ask(connection, crowd.poll(token))[2]["sekisho-poll-after"])

    assert heard == 200
    assert len(told) > 200, "they do not meet again"
    (again,) = crowd.connect(own_relay, 1)
    for member in sent_away:  # each at a time of its own
        assert crowd.ask(again, member.report(1, str(member.id)))[0] == 202
        stored.add(member.id)
    came = set()
    while found := management.inbound():
        came |= {item.sender for item in found}
        management.take(*(item.id for item in found))
    assert came == stored == {member.id for member in members}
    for connection in (*connections, again):
        connection.close()
