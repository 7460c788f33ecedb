"""The gate before a real ActiveSync server: SOGo with Dovecot, behind nginx, and two phones."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyactivesync import Client
from pyactivesync._wbxml import WBXMLReader, WBXMLWriter, find, find_all, text_of, wtag

from runtime.clock import utc_now
from tests.exchange_connector.bed import Bed, wait_until
from tests.exchange_connector.test_gate import Gate, is_known
from tests.servers import sogo, sogo_front

pytestmark = [pytest.mark.servers, pytest.mark.alone]

MINE, OTHER = "ApplADA1", "androidADA2"
PATH = "/Microsoft-Server-ActiveSync"


@dataclass
class Phone:
    """A protocol client; raw where pyactivesync would not do what is to be seen."""

    front: str
    device_id: str
    authority: str

    def client(self) -> Client:
        found = Client(
            server=self.front,
            username="ada",
            password=sogo.PASSWORDS["ada"],
            device_id=self.device_id,
            verify_ssl=self.authority,  # type: ignore[arg-type]
        )
        found._provisioned = True  # SOGo has no policy, so it gives no key to go on with
        return found

    def post(self, command: str, body: bytes, version: str = "14.1") -> httpx.Response:
        query = f"Cmd={command}&User=ada&DeviceId={self.device_id}&DeviceType=iPhone"
        return httpx.post(
            f"https://{self.front}{PATH}?{query}",
            content=body,
            auth=("ada", sogo.PASSWORDS["ada"]),
            headers={
                "MS-ASProtocolVersion": version,
                "Content-Type": "application/vnd.ms-sync.wbxml",
            },
            verify=ssl.create_default_context(cafile=self.authority),
            trust_env=False,
            timeout=120,
        )

    def sync(self, inbox: str, key: str, wait: int = 0) -> tuple[str, list[str], str]:
        """Return (next key, subjects of new mail, status)."""
        said = [wtag("AirSync", "SyncKey", text=key), wtag("AirSync", "CollectionId", text=inbox)]
        if key != "0":
            said.append(wtag("AirSync", "GetChanges", text="1"))
        collection = wtag("AirSync", "Collection", children=said)
        parts = [wtag("AirSync", "Collections", children=[collection])]
        if wait:
            parts.append(wtag("AirSync", "HeartbeatInterval", text=str(wait)))
        answer = self.post("Sync", _document("AirSync", "Sync", parts))
        nodes = WBXMLReader(answer.content).parse() if answer.content else []
        added = [
            text_of(find(more, "Email.Subject")) for _, _, more in find_all(nodes, "AirSync.Add")
        ]
        return (
            text_of(find(nodes, "AirSync.SyncKey")) or key,
            [one or "" for one in added],
            text_of(find(nodes, "AirSync.Status")) or "",
        )

    def begin(self) -> tuple[str, str]:
        """Synchronise the folders and the inbox; return (its id, the key to go on with)."""
        inbox = next(str(one.id) for one in self.client().list_folders() if int(one.type) == 2)
        return inbox, self.sync_all(inbox)[0]

    def sync_all(self, inbox: str) -> tuple[str, list[str]]:
        """Synchronise the inbox from the beginning; return (next key, subjects of all mail)."""
        key, subjects = "0", list[str]()
        for _ in range(3):
            key, more, _ = self.sync(inbox, key)
            subjects += more
        return key, subjects


def _document(page: str, name: str, children: list[Any]) -> bytes:
    return WBXMLWriter().tag(page, name, children=children).render()


PROVISION = _document(
    "Provision",
    "Provision",
    [
        wtag(
            "Provision",
            "Policies",
            children=[
                wtag(
                    "Provision",
                    "Policy",
                    children=[wtag("Provision", "PolicyType", text="MS-EAS-Provisioning-WBXML")],
                )
            ],
        )
    ],
)


@pytest.fixture(scope="module")
def server() -> Iterator[sogo.Sogo]:
    if not sogo.can_run():
        pytest.skip("only root may start SOGo, Dovecot and PostgreSQL under their own users")
    with sogo.running() as found:
        for user in sogo.PASSWORDS:
            found.deliver(user, "welcome")
            found.wake(user)
        yield found


@pytest.fixture
def gate(bed: Bed, server: sogo.Sogo) -> Iterator[Gate]:
    (bed.home / "gate.log").touch()
    made = Gate(bed, None, server.url, *sogo.free_ports(2))  # type: ignore[arg-type]
    made.pair()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def phones(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Phone]]:
    """Two phones of ada, enrolled and healthy, before nginx and a running gate."""
    gate.start()
    authority = _authority(gate.bed, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority)  # beats what a client was told
    with sogo_front.running(tmp_path, _certificate(gate.bed), gate.port) as front:
        strange = f"https://{front}/owa/..%5CMicrosoft-Server-ActiveSync"
        trust = ssl.create_default_context(cafile=authority)
        assert httpx.get(strange, verify=trust, trust_env=False).status_code == 400
        yield [Phone(front, one, authority) for one in (MINE, OTHER)]


def _authority(bed: Bed, folder: Path) -> str:
    path = folder / "authority.pem"
    path.write_text(bed.context.keys.ca_certificate())
    return str(path)


def _certificate(bed: Bed) -> tuple[str, str]:
    return bed.context.keys.issue_server_certificate(["localhost"], utc_now())


def test_a_block_is_seen_at_once_also_by_a_sync_that_hangs(
    gate: Gate, phones: list[Phone], server: sogo.Sogo
) -> None:
    devices = [gate.bed.enrol("ada@corp.test", one.device_id) for one in phones]
    mine, other = phones
    for phone in phones:
        nodes = WBXMLReader(phone.post("Provision", PROVISION).content).parse()
        assert text_of(find(nodes, "Provision.Status")) == "1"
    inbox, _ = mine.begin()
    first = mine.client().sync_folder(inbox)
    assert mine.client().sync_folder(inbox, sync_key=first.sync_key).added
    begun = [phone.begin() for phone in phones]
    for one in (MINE, OTHER):
        wait_until(is_known(gate.bed, one), 120)
        wait_until(lambda one=one: gate.bed.partnership(one).applied == "allow", 120)  # type: ignore[misc]

    with ThreadPoolExecutor() as pool:
        hanging = [
            pool.submit(phone.sync, *start, 50) for phone, start in zip(phones, begun, strict=True)
        ]
        wait_until(lambda: b"sekisho_gate_open_requests 2.0" in gate.get("metrics"), 120)
        gate.bed.say(devices[0], rooted=True)
        _, subjects, status = hanging[0].result(120)
        assert (subjects, status) == ([], "129")
        server.deliver("ada", "sent after the block")
        _, subjects, _ = hanging[1].result(120)
        assert subjects == ["sent after the block"]

    with pytest.raises(Exception, match="129"):
        mine.client().list_folders()
    assert mine.post("FolderSync", b"", "12.1").status_code == 403
    assert other.client().list_folders()
    assert mine.sync(*begun[0])[1:] == ([], "129")

    gate.bed.say(devices[0], rooted=False)
    gate.wait_for_block(MINE, blocked=False)
    assert mine.client().list_folders()
    assert "sent after the block" in mine.sync_all(inbox)[1]


def test_auth_request_blocks_the_next_request_and_the_hole_is_as_documented(
    gate: Gate, server: sogo.Sogo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = gate.bed.enrol("ada@corp.test", MINE)
    gate.start(SEKISHO_GATE_AUTH_REQUEST="true")
    authority = _authority(gate.bed, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority)
    certificate = _certificate(gate.bed)
    with (
        sogo_front.running(tmp_path, certificate, gate.port, server.url) as front,
        ThreadPoolExecutor() as pool,
    ):
        phone = Phone(front, MINE, authority)
        begun = phone.begin()
        wait_until(is_known(gate.bed, MINE), 120)
        wait_until(lambda: gate.bed.partnership(MINE).applied == "allow", 120)
        hanging = pool.submit(phone.sync, *begun, 50)
        gate.bed.say(device, rooted=True)
        wait_until(lambda: gate.bed.partnership(MINE).applied == "block", 120)
        with pytest.raises(Exception, match="129"):
            phone.client().list_folders()
        server.deliver("ada", "into the hole")
        assert "into the hole" in hanging.result(120)[1]
