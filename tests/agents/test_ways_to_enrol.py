"""Every way in, through a real relay: link, server and key, key alone, agent package; and terms."""

import io
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from agents.simulator import apk
from agents.simulator.device import SimulatedDevice
from agents.simulator.enrolment import TermsAskedError
from contracts import enrolment_key, signing_block
from contracts.agent import DeviceDescription
from management.agent_packages import service as agent_packages
from management.agent_packages.work import announce
from management.apps import uploads
from management.apps.work import scan
from management.devices.rules import FactKind
from management.enrolment.queries import find_by_key
from management.enrolment.service import make_key
from management.terms import queries as terms_queries
from management.terms import service as terms
from management.terms.work import ask
from management.updates.service import install_shipped
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError, UnauthenticatedError
from tests.agents.headquarters import Headquarters
from tests.scanner.build_apk import App, build_apk

pytestmark = pytest.mark.servers
PHONE = DeviceDescription(platform="android", manufacturer="Kumo", model="K9")


@pytest.fixture
def key(hq: Headquarters) -> str:
    with hq.context.database.transaction("make a key") as session:
        ends = utc_now() + timedelta(days=30)
        return make_key(session, hq.context.keys, "shop", "", None, ends, "a test", utc_now())[1]


@pytest.fixture
def phone(tmp_path: Path, hq: Headquarters) -> SimulatedDevice:
    """A phone that lets management answer whenever it waits."""
    return SimulatedDevice(tmp_path / "phone", wait=lambda seconds: hq.visit())


def _thumbprint(hq: Headquarters) -> str:
    return str(hq.context.signer.status()["thumbprint"])


def test_a_typed_key_alone_is_enough(hq: Headquarters, phone: SimulatedDevice, key: str) -> None:
    whole = enrolment_key.typed(key, _thumbprint(hq), hq.devices_url)

    device_id = phone.enrol(whole.lower().replace("-", " ", 3), PHONE)
    assert hq.device(device_id).owner_address == ""
    assert phone.state.fingerprint == _thumbprint(hq)


def test_a_server_and_a_typed_key_are_enough(
    hq: Headquarters, phone: SimulatedDevice, key: str
) -> None:
    server = hq.devices_url.removeprefix("https://")
    typed = enrolment_key.typed(key, _thumbprint(hq))

    with pytest.raises(MalformedMessageError, match="say it once"):
        phone.enrol(typed, PHONE)
    assert hq.device(phone.enrol(typed, PHONE, server=server)).model == "K9"


def test_a_relay_of_another_management_gets_nothing(
    hq: Headquarters, phone: SimulatedDevice, key: str
) -> None:
    strange = enrolment_key.typed(key, "A" * 42 + "E", hq.devices_url)

    with pytest.raises(UnauthenticatedError, match="another management"):
        phone.enrol(strange, PHONE)
    assert phone.state.asked is None


# --- terms of use ---


@pytest.fixture
def publish(hq: Headquarters) -> Iterator[Callable[[str], int]]:
    def publish(text: str) -> int:
        with hq.context.database.transaction("publish") as session:
            body = f"<title>Terms</title><p>{text}".encode()
            return terms.publish(session, body, "", True, "a test", utc_now()).version

    yield publish
    with hq.context.database.transaction("withdraw") as session:
        terms.withdraw(session, "a test", utc_now())


def test_terms_are_accepted_at_enrolment_and_asked_again(
    hq: Headquarters, phone: SimulatedDevice, publish: Callable[[str], int]
) -> None:
    first = publish(f"Be kind. {utc_now()}")
    device_id = phone.enrol(hq.invite(), PHONE)
    assert _accepted(hq, device_id) == (first, None)

    second = publish(f"Be kinder. {utc_now()}")
    phone.set_terms(False)
    ask(hq.context, {}, lambda said: None)
    _meet(hq, phone)
    assert _accepted(hq, device_id) == (first, second)
    with hq.context.database.reading() as session:
        assert terms_queries.count_answers(session)[second] == (0, 1)


def test_who_refuses_the_terms_stays_outside_and_keeps_the_key(
    hq: Headquarters, phone: SimulatedDevice, publish: Callable[[str], int]
) -> None:
    version = publish(f"No games. {utc_now()}")
    code = hq.invite()
    phone.set_terms(False)
    with pytest.raises(RefusedError, match="terms of use were not accepted"):
        phone.enrol(code, PHONE)
    phone.begin_enrolment(code, PHONE)
    hq.visit()
    with pytest.raises(TermsAskedError) as asked:
        phone.finish_enrolment()
    assert asked.value.terms.version == version
    assert "No games." in asked.value.terms.html

    phone.set_terms(True)
    assert hq.device(phone.enrol(code, PHONE)).owner_address == "hanako@example.jp"


def _accepted(hq: Headquarters, device_id: UUID) -> tuple[int | None, int | None]:
    with hq.context.database.reading() as session:
        row = terms_queries.terms_of(session, device_id)
        return (row.accepted_version, row.refused_version) if row else (None, None)


def _meet(hq: Headquarters, phone: SimulatedDevice) -> None:
    """Bring orders, let the phone take them and answer, and take the answer."""
    hq.visit()
    phone.check_in()
    hq.visit()


# --- the agent package ---


@pytest.fixture(scope="module")
def packages(hq: Headquarters, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("packages")
    with hq.context.database.transaction("install patterns") as session:
        install_shipped(session, hq.context.settings, utc_now())
    made = []
    for number in (1, 2):
        app = App(package="org.sekisho.agent", version_code=number, version_name=f"{number}.0")
        made.append(build_apk(folder / f"{number}.apk", app))
    return made


def _release(hq: Headquarters, path: Path) -> None:
    received = uploads.receive(hq.context.settings.home, io.BytesIO(path.read_bytes()))
    with hq.context.database.transaction("store") as session:
        agent_packages.store(session, hq.context, received, path.name, "a test", "", utc_now())
    scan(hq.context, {"sha256": received.sha256}, lambda said: None)
    with hq.context.database.transaction("release") as session:
        agent_packages.release(session, received.sha256, "a test", utc_now())
    hq.visit()
    hq.visit()


def _offer(hq: Headquarters, key: str) -> None:
    with hq.context.database.transaction("choose the key") as session:
        found = find_by_key(session, key)
        assert found is not None
        agent_packages.choose_key(session, found.id, utc_now())


def _get(hq: Headquarters, path: str, **headers: str) -> httpx.Response:
    trusted = ssl.create_default_context(cadata=hq.relay.ca_certificate)
    with httpx.Client(verify=trusted, trust_env=False, timeout=60) as http:
        return http.get(hq.devices_url + path, headers=headers)


def test_a_downloaded_package_enrols_by_itself_and_hears_of_the_next(
    hq: Headquarters, phone: SimulatedDevice, key: str, packages: list[Path], tmp_path: Path
) -> None:
    _offer(hq, key)
    _release(hq, packages[0])

    page = _get(hq, "/mobile", **{"Accept-Language": "ja"})
    assert '<html lang="ja">' in page.text
    assert "<svg" in page.text
    assert "org.sekisho.agent" in page.text
    assert "Download for Android" in _get(hq, "/mobile?lang=en").text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    got = tmp_path / "agent.apk"
    got.write_bytes(_get(hq, "/mobile/agent.apk").content)
    device_id = phone.enrol(apk.enrolment_code(got), PHONE)
    _meet(hq, phone)

    _release(hq, packages[1])
    announce(hq.context, {}, lambda said: None)
    announce(hq.context, {}, lambda said: None)
    _meet(hq, phone)
    _meet(hq, phone)
    assert hq.fact(device_id, FactKind.AGENT_VERSION) == "2.0"
    assert [line.what for line in phone.state.diary].count("Agent 2.0 is announced.") == 1


def test_without_tls_nobody_gets_the_key(hq: Headquarters, key: str, packages: list[Path]) -> None:
    _offer(hq, key)
    _release(hq, packages[0])

    with httpx.Client(trust_env=False, timeout=60) as http:
        moved = http.get(hq.relay.plain_url + "/mobile")
        bare = http.get(hq.relay.plain_url + "/mobile/agent.apk")
    leads_to = urlsplit(moved.headers["Location"])
    assert moved.status_code == 302
    assert (leads_to.scheme, leads_to.path) == ("https", "/mobile")
    assert leads_to.port == urlsplit(hq.devices_url).port
    assert bare.content == packages[0].read_bytes()
    assert signing_block.MAGIC in _get(hq, "/mobile/agent.apk").content


def test_a_cancelled_key_is_handed_out_no_longer(
    hq: Headquarters, key: str, packages: list[Path], tmp_path: Path
) -> None:
    _offer(hq, key)
    _release(hq, packages[0])
    with hq.context.database.transaction("choose none") as session:
        agent_packages.choose_key(session, None, utc_now())
    hq.visit()

    got = tmp_path / "agent.apk"
    got.write_bytes(_get(hq, "/mobile/agent.apk").content)
    with pytest.raises(MalformedMessageError, match="no enrolment key"):
        apk.enrolment_code(got)
    with hq.context.database.transaction("withdraw") as session:
        agent_packages.withdraw(session, "a test", utc_now())
    hq.visit()
    assert _get(hq, "/mobile/agent.apk").status_code == 404
    assert "no agent package" in _get(hq, "/mobile?lang=en").text
