"""The main job in short, again and again with a new phone, over HTTP and the command line."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

from agents.simulator.device import SimulatedDevice
from contracts.agent import DeviceDescription, InstalledApp
from runtime.errors import UnavailableError
from tests.end_to_end.client import PATIENCE_SECONDS, Client, Form
from tests.end_to_end.product import Product, until
from tests.scanner.build_apk import App, build_apk
from tests.servers.exchange import PASSWORD, USER, Exchange
from tests.servers.exchange_wsman import listening
from tests.updater import feed

STEPS = ("enrol", "report", "mail", "upload", "root", "heal", "lock", "update", "clean up")
SETTLE_SECONDS = 240.0
QUICK = {"SEKISHO_CONNECTOR_DISCOVERY_SECONDS": "2"}


@dataclass
class Site:
    """A running product with an administrator, a connector at Exchange and an update source."""

    product: Product
    client: Client
    exchange: Exchange
    feed: feed.Feed
    apk: bytes
    folder: Path
    walks: int = 0

    @property
    def supervisor(self) -> int:
        """The process id of `sekisho up`."""
        assert self.product.process is not None
        return self.product.process.pid

    def walk(self, at: Callable[[str], None] = lambda step: None) -> "Walk":
        """Take one walk with a new phone and return it, to be looked at."""
        self.walks += 1
        walk = Walk(self, self.walks)
        walk.take(at)
        return walk


@contextmanager
def killable(folder: Path, environment: dict[str, str]) -> Iterator[Site]:
    """Run a product whose processes have *environment* besides; our own commands have it not."""
    app = App(package="org.example.walk", schemes=frozenset())
    apk = build_apk(folder / "plain.apk", app).read_bytes()
    product = Product(folder / "home", environment=environment | QUICK)
    try:
        product.start()
        for name in environment:
            product.environment.pop(name)
        with site(product, folder, apk) as prepared:
            yield prepared
    except BaseException:
        print(product.said(), product.logs())
        raise
    finally:
        product.stop()


@contextmanager
def site(product: Product, folder: Path, apk: bytes) -> Iterator[Site]:
    """Set the started *product* up by what an administrator does once."""
    client, exchange = Client(product.console), Exchange()
    client.set_up(product.setup_link())
    client.token = product.sekisho("admin", "token", "ada").strip()
    settings = "/mail-access/settings"
    chosen = {"automatic": "yes", "when_silent": "hold", "block_limit": "1000"}
    looked = client.fill(settings, settings, preview="yes", **chosen).text
    seen = re.search(r'name="seen" value="([0-9a-f-]+)"', looked)
    assert seen, looked
    client.fill(settings, settings, seen=seen[1], reason="many walks in an hour", **chosen)
    url = listening(exchange, {USER: PASSWORD})
    with url as address, feed.running(folder / "feed") as source:
        pair(product, client, address)
        client.fill("/updates/", "/updates/source", address=source.url, root=source.root.decode())
        yield Site(product, client, exchange, source, apk, folder)
    client.close()


def pair(product: Product, client: Client, address: str) -> None:
    """Pair the connector, and wait until it called."""
    page = client.fill("/mail-access/connectors", "/mail-access/connectors/code").text
    shown = re.search(r'id="code"[^>]*>([^<]+)<', page)
    assert shown, page
    product.sekisho(
        "exchange-connector", "pair", "--management", product.console, "--code", shown[1].strip(),
        "--exchange-url", address, "--exchange-user", USER, "--exchange-auth", "basic",
        "--password-stdin", "--name", "mail", input=PASSWORD,
    )  # fmt: skip
    until("the connector calls", lambda: client.get("/mail-access/connectors")["items"])


@dataclass
class Walk:
    """One phone's way through the product, and what was acknowledged on it."""

    site: Site
    number: int
    phone: SimulatedDevice = field(init=False)
    device_id: UUID = field(init=False)
    invitations: list[str] = field(default_factory=list)
    command: str = ""
    version: str = ""
    app: str = ""

    def __post_init__(self) -> None:
        self.mailbox = f"user{self.number}"
        self.owner = f"{self.mailbox}@corp.test"
        self.exchange_id = f"android{self.number:08d}"
        self.package = f"org.example.walk{self.number}"
        self.marker = f"marker of walk {self.number}, which only a later set knows"
        self.phone = SimulatedDevice(
            self.site.folder / f"phone{self.number}",
            wait=lambda seconds: time.sleep(min(seconds, 0.5)),
        )

    def take(self, at: Callable[[str], None]) -> None:
        """Go through all steps; *at* hears of each before it begins."""
        for step in STEPS:
            at(step)
            getattr(self, step.replace(" ", "_"))()

    # --- the steps ---

    def enrol(self) -> None:
        self.site.exchange.add_phone(self.mailbox, self.exchange_id, model="Pixel 8")
        made = self.site.client.make(
            "/invitations", {"address": self.owner, "person": "Hanako"}, lambda: None
        )  # its answer holds the key: without it another one has to be made
        self.invitations.append(made["invitation"]["id"])
        about = DeviceDescription(
            platform="android", model="Pixel 8", exchange_device_id=self.exchange_id
        )
        self._patiently("enrolled", lambda: bool(self.phone.enrol(made["link"], about)))
        self.device_id = self.phone.device_id

    def report(self) -> None:
        self.settles("healthy")

    def mail(self) -> None:
        self.mail_is("allowed")

    def upload(self) -> None:
        """An app is stored and judged, and the phone holds it."""
        body = variant(self.site.apk, self.marker)
        self.app = sha256(body).hexdigest()
        answer = self.site.client.fill(
            "/apps/", "/apps/upload", files={"file": (f"{self.package}.apk", body)}
        )
        assert answer.status_code == 303, answer.text
        self.verdict_is({"clean", "unwanted"})
        app = InstalledApp(package=self.package, name="App", version="1.0", sha256=self.app)
        self.phone.install(app)
        self.settles("healthy")

    def root(self) -> None:
        self.phone.set(rooted="true")
        self.settles("non_compliant")
        self.mail_is("blocked")

    def heal(self) -> None:
        self.phone.set(rooted="false")
        self.settles("healthy")
        self.mail_is("allowed")

    def lock(self) -> None:
        """A lock, which is queued once and done once, whatever becomes of the answer."""
        path = f"/devices/{self.device_id}/commands"

        def look() -> Any:
            found = self.commands("lock")
            return found[0] if found else None

        self.command = self.site.client.make(path, {"kind": "lock", "reason": "lost"}, look)["id"]

        def done() -> bool:
            self.check_in()
            return bool(
                self.site.client.get(f"/commands/{self.command}")["finished_at"] is not None
            )

        until("the lock is done", done, SETTLE_SECONDS)

    def update(self) -> None:
        """A later pattern set finds the app that the phone holds; without the app mail is back."""
        client = self.site.client
        self.version = f"{datetime.now(UTC):%Y.%m.%d}.{self.number + 10}"
        self.site.feed.publish(self.version, marker=self.marker)

        def updated() -> bool:
            if any(one["active"] for one in self.sets()):
                return True
            runs = client.get("/updates")["runs"]
            if not any(run["state"] == "running" for run in runs):
                client.make("/updates/runs", {}, lambda: None)
            return False

        until("the set is active", updated, SETTLE_SECONDS)
        self.verdict_is({"malicious"})
        self.settles("non_compliant")
        self.mail_is("blocked")
        self.phone.uninstall(self.package)
        self.settles("healthy")
        self.mail_is("allowed")

    def clean_up(self) -> None:
        """The app is deleted, and everything that the phone said has been acknowledged."""
        assert self.site.client.get("/apps", text=self.app)["items"], "an upload is missing"
        self._delete_app()

        def quiet() -> bool:
            self.check_in()
            state = self.phone.state
            return not (state.reports or state.pending or state.to_run)

        until("every report is acknowledged", quiet, SETTLE_SECONDS)

    def _delete_app(self) -> None:
        """Delete it; an app that is not there any more was deleted when no answer came."""
        client, page = self.site.client, f"/apps/{self.app}"
        lost = client.unanswered

        def gone() -> bool:
            shown = client.ask("GET", page)
            if f"{page}/delete" not in shown.text:
                assert client.unanswered > lost, "an upload is missing"
                return True
            token = Form(shown.text, f"{page}/delete").fields
            answer = client.attempt("POST", f"{page}/delete", data=token)
            return answer is not None and answer.status_code == 303

        until("the app is deleted", gone, PATIENCE_SECONDS)

    # --- what is waited for ---

    def check_in(self) -> None:
        self._patiently("a check-in", lambda: bool(self.phone.check_in()))

    def _patiently(self, what: str, do: Callable[[], bool]) -> None:
        def tried() -> bool:
            try:
                return do()
            except UnavailableError:  # as an agent does: later once more
                return False

        until(what, tried, PATIENCE_SECONDS)

    def settles(self, wanted: str) -> None:
        """Check in until management says *wanted*."""

        def said() -> bool:
            self.check_in()
            return bool(self.judgement()["state"] == wanted)

        until(f"walk {self.number}'s phone is {wanted}", said, SETTLE_SECONDS)

    def mail_is(self, wanted: str) -> None:
        pair, exchange = (self.mailbox, self.exchange_id), self.site.exchange

        def so() -> bool:
            lists = (pair in exchange.allowed(), pair in exchange.blocked())
            return lists == (wanted == "allowed", wanted == "blocked")

        until(f"mail of walk {self.number} is {wanted}", so, SETTLE_SECONDS)

    def verdict_is(self, wanted: set[str]) -> None:
        def judged() -> bool:
            answer = self.site.client.get(f"/apps/{self.app}")
            assert answer["verdict"] in {"", "clean", "unwanted", "malicious"}, answer
            return answer["verdict"] in wanted

        until(f"the app is {wanted}", judged, SETTLE_SECONDS)

    def judgement(self) -> Any:
        return self.site.client.get(f"/devices/{self.device_id}/judgement")

    def commands(self, kind: str) -> list[Any]:
        found = self.site.client.get("/commands", device_id=str(self.device_id))["items"]
        return [one for one in found if one["kind"] == kind]

    def sets(self) -> list[Any]:
        sets = self.site.client.get("/updates")["sets"]
        return [one for one in sets if one["version"] == self.version]


def variant(apk: bytes, marker: str) -> bytes:
    """Return the unsigned *apk* with another entry, and so another hash."""
    body = BytesIO(apk)
    with ZipFile(body, "a") as archive:
        archive.writestr("assets/marker.txt", marker)
    return body.getvalue()
