"""What `sekisho demo` plays: phones, an app store, an update source and a mail server."""

import io
import json
import random
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

import patterns
from agents.simulator.device import SimulatedDevice
from agents.simulator.fleet import enrol_fleet, profiles
from contracts.agent import CommandKind, InstalledApp
from management.apps import queries as apps
from management.apps import service as app_service
from management.apps import uploads
from management.commands.service import queue_command
from management.compliance.rules import Fact, FactKind
from management.compliance.service import rejudge
from management.context import open_context
from management.devices.queries import get_device
from management.devices.service import record_facts
from management.enrolment.service import invite, qr_content
from management.groups.queries import read_tree
from management.groups.service import create_group
from management.policies.models import ROOT_GROUP
from management.settings import Settings
from management.updates import queries as updates
from management.updates import service as update_service
from patterns import pattern_set
from runtime.clock import utc_now
from runtime.errors import SekishoError
from sekisho import demo_apks
from sekisho.demo_mail import MailServer
from sekisho.first_start import devices_url
from updater import publish
from updater.publishing_keys import KeyFolder
from updater.repository import Repository

T = TypeVar("T")
DEVICES = 200
SEED = 20261121
BY = "demonstration"
GROUPS = ("東京 Tokyo", "大阪 Osaka", "営業部 Sales")
ACTOR = update_service.Actor(BY)
SILENT = ((190, 5), (193, 12), (195, 45), (198, 90))
"""From which place in the fleet on, for how many days a device has been silent."""
LEFT = range(186, 190)
"""Places of devices that left."""
BAD_APPS = ("testvirus", "prize", "prize", "prize")
"""Each on one Android phone."""
HARMLESS = (
    ("com.example.notes", "Notes", "3.1.0", ("INTERNET",)),
    ("com.example.timetable", "Timetable", "12.4", ("INTERNET", "ACCESS_COARSE_LOCATION")),
    ("com.example.expenses", "Expenses", "2.0.7", ("INTERNET", "CAMERA")),
    ("com.example.torch", "Torch", "1.0", ("CAMERA",)),
)
MARK = b"demonstration marker 7f1c: stands for a family that only the newer pattern set knows"
NEW_RULE = """
rule demonstration_new_family {
    meta:
        title = "Family of the demonstration"
        meaning = "Carries the text by which the demonstration marks one of its own apps."
        why = "No other app carries this text."
        severity = "high"
        category = "trojan"
        family = "DemoFamily"
        technique = "T1655"
    strings:
        $text = "demonstration marker 7f1c: stands for a family"
    condition:
        $text
}
"""


class World:
    """Fills the console once, then keeps phones and mail server alive."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.context = open_context(settings)
        self.folder = settings.home / "demo"
        self.chance = random.Random(SEED)  # noqa: S311  (a made-up world, no secret)
        self.mail = MailServer(self.context, self.folder / "mail.json")
        self.fleet: list[SimulatedDevice] = []

    def fill(self) -> None:
        """Do each step that was not done before."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        steps = (
            ("apps", self._apps),
            ("devices", self._devices),
            ("mail", self._mail),
            ("update", self._update),
            ("silence", self._silence),
            ("commands", self._commands),
        )
        for name, step in steps:
            mark = self.folder / f"{name}.done"
            if not mark.exists():
                self.say(f"demo: {name} ...")
                step()
                mark.touch()
            fleet = self.folder / "fleet"
            self.fleet = [SimulatedDevice(p) for p in sorted(fleet.glob("*"))]
        self.say("demo: the console is filled; phones and mail server go on.")

    def live(self) -> None:
        """Let a few phones check in and the mail server report, until the process ends."""
        while True:
            for device in self.chance.sample(self.fleet[: LEFT.start], 10):
                self._try(device.check_in)
            self._try(self.mail.run_pass)
            time.sleep(15)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except SekishoError as error:
            self.say(f"demo: {error}")

    def _apps(self) -> None:
        """Upload harmless apps, one that the shipped set knows, one that only a newer set will."""
        honest = demo_apks.new_signer("Example Developer", utc_now())
        files = {
            f"{package}.apk": demo_apks.apk(
                package, label, version, permissions, {"assets/readme.txt": label.encode()}, honest
            )
            for package, label, version, permissions in HARMLESS
        }
        strange = demo_apks.new_signer("Free Games Unlimited", utc_now())
        files["com.example.prize.apk"] = demo_apks.apk(
            "com.example.prize", "Prize Wheel", "9.9", ("INTERNET", "READ_SMS"),
            {"assets/config.dat": MARK}, strange,
        )  # fmt: skip
        files["com.example.testvirus.apk"] = demo_apks.apk(
            "com.example.testvirus",
            "Scanner Test",
            "1.0",
            (),
            {"assets/eicar.txt": _eicar()},
            strange,
        )
        hashes = {name: self._upload(name, body) for name, body in files.items()}
        (self.folder / "apps.json").write_text(json.dumps(hashes), encoding="utf-8")
        self._until(lambda: all(self._verdict(sha256) for sha256 in hashes.values()))

    def _upload(self, name: str, body: bytes) -> str:
        received = uploads.receive(self.settings.home, io.BytesIO(body))
        with self.context.database.transaction("demo upload") as session:
            app_service.store_upload(session, self.context.keys, received, name, BY, "", utc_now())
        return received.sha256

    def _verdict(self, sha256: str) -> bool:
        with self.context.database.reading() as session:
            return apps.find_verdict(session, sha256) is not None

    def _devices(self) -> None:
        """Invite and enrol the fleet over the real protocol; some install the uploaded apps."""
        codes = self._invitations()
        self.fleet = enrol_fleet(codes, self.folder / "fleet", SEED, told=self._enrolled)
        hashes = json.loads((self.folder / "apps.json").read_text(encoding="utf-8"))
        staying = self.fleet[: LEFT.start]
        androids = (one for one in staying if one.state.phone.description.platform == "android")
        for phone, name in zip(islice(androids, 2, 6), BAD_APPS, strict=True):
            package = f"com.example.{name}"
            phone.install(
                InstalledApp(
                    package=package,
                    name=name.title(),
                    version="1.0",
                    sha256=hashes[f"{package}.apk"],
                )
            )
            phone.check_in()
        for place in LEFT:
            self.fleet[place].leave("The employee left.")
        for device in staying:
            self._try(device.check_in)

    def _invitations(self) -> list[str]:
        fingerprint = str(self.context.signer.status()["thumbprint"])
        with self.context.database.transaction("demo invitations") as session:
            known = {node.name: node.id for node in read_tree(session).values()}
            groups = [
                known.get(name) or create_group(session, name, ROOT_GROUP).id for name in GROUPS
            ]
            keys = [
                invite(
                    session, self.context.keys, f"user{place:03d}@example.com", f"User {place:03d}",
                    None, timedelta(days=7), BY, utc_now(), groups[place % len(groups)],
                )[1]
                for place in range(DEVICES)
            ]  # fmt: skip
        return [qr_content(key, devices_url(self.settings), fingerprint) for key in keys]

    def _enrolled(self, count: int) -> None:
        self.say(f"demo: {count} of {DEVICES} phones are enrolled")

    def _mail(self) -> None:
        """Give every phone a mailbox, and a few mailboxes a phone that nobody manages."""
        about = [profile.description for profile in profiles(DEVICES, SEED)]
        self.mail.fill(about, self.chance)
        for _ in range(3):
            self.mail.run_pass()
            time.sleep(2)

    def _update(self) -> None:
        """Publish a newer pattern set to a source of our own; fail once, then take it."""
        source = self.folder / "update-source"
        repository = Repository(source, KeyFolder(self.folder / "update-keys"))
        root = publish.create(repository, utc_now()).read_bytes()
        self._save_source(self.folder / "no-such-folder", root)
        self._run_update()
        publish.publish(repository, self._newer_set(), utc_now())
        self._save_source(source, root)
        self._run_update()

    def _newer_set(self) -> Path:
        sources = self.folder / "patterns"
        shutil.copytree(Path(patterns.__file__).parent / "base", sources, dirs_exist_ok=True)
        rule = sources / "yara" / "demonstration.yar"
        rule.write_text(NEW_RULE, encoding="utf-8")
        archive = self.folder / "newer.zip"
        pattern_set.build(sources, archive, f"{utc_now():%Y.%m.%d}.1")
        return archive

    def _save_source(self, folder: Path, root: bytes) -> None:
        with self.context.database.transaction("demo update source") as session:
            update_service.save_source(
                session, self.context.keys, str(folder), root, ACTOR, utc_now()
            )

    def _run_update(self) -> None:
        with self.context.database.transaction("demo update") as session:
            run = update_service.request_run(session, BY, utc_now())
        self._until(lambda: self._ended(run.id))

    def _ended(self, run_id: object) -> bool:
        with self.context.database.reading() as session:
            return all(run.finished_at for run in updates.list_runs(session) if run.id == run_id)

    def _silence(self) -> None:
        """Let some devices have been silent for days: said by hand, for nobody waits that long."""
        for first, days in SILENT:
            for device in self.fleet[first : first + 2]:
                self._age(device, utc_now() - timedelta(days=days))

    def _commands(self) -> None:
        """Order a few things: some phones do them soon, a silent one never."""
        orders: tuple[tuple[int, CommandKind, dict[str, str]], ...] = (
            (5, CommandKind.LOCK, {}),
            (9, CommandKind.MESSAGE, {"text": "Please update your phone this week."}),
            (12, CommandKind.SCAN_NOW, {}),
            (SILENT[1][0], CommandKind.LOCATE, {}),
        )
        for place, kind, arguments in orders:
            device_id = self.fleet[place].device_id
            with self.context.database.transaction("demo command") as session:
                queue_command(session, device_id, kind, arguments, BY, "demonstration", utc_now())

    def _age(self, device: SimulatedDevice, contact_at: datetime) -> None:
        with self.context.database.transaction("demo silence") as session:
            get_device(session, device.device_id).contact_at = contact_at
            said = {FactKind.CONTACT: Fact(True, BY, contact_at)}
            record_facts(session, device.device_id, said, utc_now())
            rejudge(session, [device.device_id], utc_now())

    def _until(self, done: Callable[[], bool], seconds: float = 300.0) -> None:
        give_up = time.monotonic() + seconds
        while not done():
            if time.monotonic() > give_up:
                raise SekishoError("The product did not do its part in time; see its logs.")
            time.sleep(0.5)


def _eicar() -> bytes:
    """Return the EICAR test string, put together so that this file is not itself a finding."""
    return rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
