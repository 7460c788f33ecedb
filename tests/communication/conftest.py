"""One running communication server for the tests that do not end it."""

from collections.abc import Iterator

import pytest

from tests.communication.relay import Management, Phone, Relay


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A communication server, paired."""
    started = Relay(tmp_path_factory.mktemp("relay")).start()
    yield started
    started.hang_up()
    started.stop()


@pytest.fixture
def own_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A communication server that the test may end, kill and configure; not started."""
    made = Relay(tmp_path_factory.mktemp("relay"))
    yield made
    made.hang_up()
    if made.process is not None and made.process.poll() is None:
        made.kill()


@pytest.fixture
def management(relay: Relay) -> Iterator[Management]:
    """The one management server that may use the link."""
    dialled = Management(relay)
    yield dialled
    while left := dialled.inbound():
        dialled.take(*(item.id for item in left))


@pytest.fixture
def phone(relay: Relay, management: Management) -> Phone:
    """A device that the relay knows."""
    return Phone(relay, management)
