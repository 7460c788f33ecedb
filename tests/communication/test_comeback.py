"""Many devices that come back at once do not knock the relay over (`make soak`: 100,000)."""

import pytest

from tests.communication import comeback, crowd
from tests.communication.comeback import Wave
from tests.communication.relay import Management, Relay

pytestmark = pytest.mark.servers
MOST_GROWTH = 200_000_000
"""Bytes of memory: 64 MB of bodies at most, what each connection takes, and what is known."""


@pytest.mark.parametrize(
    ("devices", "at_once"),
    [
        pytest.param(1_500, 250, id="small"),
        pytest.param(100_000, 1_000, id="100000", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
    ],
)
def test_a_crowd_is_stored_or_sent_away_quickly_and_nothing_acknowledged_is_lost(
    own_relay: Relay, devices: int, at_once: int
) -> None:
    comeback.allow_sockets(at_once)
    own_relay.start()
    management = Management(own_relay)
    members = crowd.gather(management, devices)
    (token,) = crowd.tokens(own_relay, members[:1])
    own_relay.kill()
    own_relay.start()
    management, wave = Management(own_relay), Wave()
    connections = crowd.connect(own_relay, at_once)
    with comeback.watching_memory(own_relay) as memory, comeback.polling(own_relay, token) as polls:
        comeback.roll(connections, comeback.reports(members), wave)
        heard = management.send("GET", "/link/v1/status").status_code
    for connection in connections:
        connection.close()

    assert heard == 200
    assert len(wave.stored) + len(wave.sent_away) == devices, "each was answered"
    assert wave.stored
    assert polls, "polls are answered meanwhile, all with 204"
    assert max(memory) - memory[0] < MOST_GROWTH
    assert sorted(comeback.collect(management)) == sorted(wave.stored)
    if len(wave.sent_away) > 1000:
        assert wave.most_at_once() < len(wave.sent_away) / 20, "they do not meet again"
