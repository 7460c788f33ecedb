"""Management on a TLS socket, a stand-in for Exchange, and a connector paired with both."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from contracts import keys as jwk
from contracts.certificates import fingerprint
from exchange_connector import configuration, loop, pairing
from exchange_connector.backends import psrp
from exchange_connector.backends.opening import Server
from exchange_connector.management_client import ManagementClient
from exchange_connector.outcome import Outcome
from exchange_connector.settings import Settings
from exchange_connector.spool import Spool
from exchange_connector.sync import Look, Sync
from management.compliance import service as compliance
from management.context import Context
from management.devices import service as devices
from management.devices.models import Device
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.mail_access import connectors, grounds, queries, service, work
from management.mail_access.models import Partnership
from management.mail_access.rules import By, MailSettings
from management.policies.service import ensure_default_policy
from management.work.models import Job
from management.work.rules import JobState
from runtime.clock import utc_now
from tests.servers.exchange import PASSWORD, USER, Exchange
from tests.servers.exchange_wsman import listening

BY = By("keeper", "127.0.0.1")


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@dataclass
class Console:
    """The real app behind TLS; can go away and come back at the same address."""

    app: Flask
    context: Context
    folder: Path
    port: int = 0
    server: BaseWSGIServer | None = None
    thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def start(self) -> None:
        """Listen."""
        certificate, key = self.folder / "console.pem", self.folder / "console.key"
        if not certificate.exists():
            chain, private = self.context.keys.issue_server_certificate(["localhost"], utc_now())
            certificate.write_text(chain)
            key.write_text(private)
        self.server = make_server(
            "localhost",
            self.port,
            self.app,
            threaded=True,
            request_handler=_Silent,
            ssl_context=(str(certificate), str(key)),
        )
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Go away."""
        if self.server and self.thread:
            self.server.shutdown()
            self.thread.join(10)
            self.server.server_close()
            self.server = None


@dataclass
class Bed:
    """Everything a scenario needs."""

    context: Context
    console: Console
    exchange: Exchange
    exchange_url: str
    home: Path
    server: Server | None = None
    """How Exchange is reached, if not with a password over remote PowerShell."""
    spool: Spool | None = None
    management: ManagementClient | None = None
    sync: Sync | None = None
    statistics_per_pass: int = 0
    settling_seconds: float = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The connector's own."""
        return self.home / "connector"

    def settings(self, **said: Any) -> None:
        """Switch mail control on, with the defaults but for what is *said*."""
        chosen = MailSettings(**{"automatic": True, "when_silent": "hold", **said})
        with self.context.database.transaction("test") as session:
            service.change_settings(session, self.context.keys, chosen, BY, "trial", utc_now())

    # --- people and devices ---

    def code(self) -> str:
        """Return a pairing text as the console shows it."""
        with self.context.database.transaction("test") as session:
            secret = connectors.make_pairing_code(session, self.context.keys, BY, utc_now())
        return f"{secret}.{fingerprint(self.context.keys.ca_certificate())}"

    def pair(self, code: str | None = None, name: str = "mail1") -> configuration.Paired:
        """Pair the connector."""
        wish = pairing.Wish(
            management=self.console.url,
            code=self.code() if code is None else code,
            name=name,
            exchange=self.server
            or psrp.Server(url=self.exchange_url, user=USER, password=PASSWORD),
        )
        return pairing.pair(self.folder, wish)

    def enrol(self, owner: str, exchange_device_id: str) -> UUID:
        """Let a healthy device of *owner* be there, judged."""
        now = utc_now()
        with self.context.database.transaction("test") as session:
            policy = ensure_default_policy(session, now)
            key = jwk.public_jwk(jwk.new_key())
            device = Device(
                id=uuid4(),
                name=f"phone of {owner}",
                owner_address=owner,
                platform="android",
                ownership="company",
                exchange_device_id=exchange_device_id,
                enrolment_state=EnrolmentState.ENROLLED,
                enrolled_at=now,
                policy_id=policy.id,
                certificate_serial="1",
                signing_key=key,
                encryption_key=key,
            )
            session.add(device)
            session.flush()
            applied = {"policy_id": str(policy.id), "version": policy.current_version}
        self.say(
            device.id,
            enrolment="enrolled",
            contact=True,
            rooted=False,
            encrypted=True,
            passcode_set=True,
            packages=[],
            bad_apps=[],
            applied_policy=applied,
        )
        return device.id

    def say(self, device_id: UUID, **facts: Any) -> None:
        """Let a device report, be judged, and have the background work done."""
        now = utc_now()
        said = {FactKind(kind): Fact(value, "agent", now) for kind, value in facts.items()}
        with self.context.database.transaction("test") as session:
            devices.record_facts(session, device_id, said, now)
            compliance.rejudge(session, [device_id], now)
        self.work()

    def work(self) -> None:
        """Do the queued work of our kind, as the jobs process does."""
        with self.context.database.transaction("test") as session:
            jobs = session.query(Job).where(Job.kind == service.WORK, Job.state == JobState.QUEUED)
            payloads = [job.payload for job in jobs]
            for job in jobs:
                job.state = JobState.DONE
        for payload in payloads:
            work.decide(self.context, payload, lambda _: None)

    def decide_everything(self) -> None:
        """Decide every partnership anew, as the jobs process does after new settings."""
        work.decide(self.context, {"everything": True}, lambda _: None)

    def age_grace(self, days: int) -> None:
        """Let every user's grace have begun *days* earlier."""
        with self.context.database.transaction("test") as session:
            for row in session.query(Partnership):
                row.next_due_at = utc_now()
                for grace in grounds.list_graces(session, [row.grace_key]).values():
                    grace.since -= timedelta(days=days)

    def partnership(self, device_id: str) -> Partnership:
        """Return what management knows of an ActiveSync DeviceId."""
        with self.context.database.reading() as session:
            return (
                session.query(Partnership).where(Partnership.exchange_device_id == device_id).one()
            )

    def history(self, device_id: str) -> list[tuple[str, str]]:
        """Return (event, access) of a DeviceId, oldest first."""
        row = self.partnership(device_id)
        with self.context.database.reading() as session:
            return [(one.event, one.access) for one in queries.list_history(session, row.id)][::-1]

    # --- the connector in this process ---

    def open(self) -> Sync:
        """Start (again) with what is on disk."""
        self.close()
        settings = Settings(
            folder=self.folder,
            settling_seconds=self.settling_seconds,
            statistics_per_pass=self.statistics_per_pass,
        )
        self.spool = Spool(self.folder / "spool.db")
        self.management = loop.open_management(settings)
        self.sync = loop.open_sync(settings, self.management, self.spool)
        return self.sync

    def run_pass(self, discover: bool = True, look: Look | None = None) -> Outcome:
        """Run one pass, which looks at everything or at nothing, or as *look* says."""
        by_default = Look.ALL if discover else Look.NOT
        return (self.sync or self.open()).run_pass(by_default if look is None else look)

    def close(self) -> None:
        """End the connector of this process."""
        if self.spool and self.management:
            self.spool.close()
            self.management.close()
        self.spool = self.management = self.sync = None

    # --- the connector as a process ---

    def start_process(self, health_port: int, **environment: str) -> subprocess.Popen[bytes]:
        """Start ``sekisho exchange-connector run``."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", "exchange-connector", "run"],
            env={
                **os.environ,
                "SEKISHO_HOME": str(self.home),
                "SEKISHO_CONNECTOR_HEALTH_PORT": str(health_port),
                "SEKISHO_CONNECTOR_DISCOVERY_SECONDS": "0.001",
                **environment,
            },
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def end_processes(self) -> None:
        """End what `start_process` started."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(120)
            if process.stderr:
                process.stderr.close()


@contextmanager
def made(app: Flask, context: Context, home: Path) -> Iterator[Bed]:
    """Yield a bed without a mailbox and not paired."""
    console = Console(app, context, home)
    console.start()
    exchange = Exchange()
    with listening(exchange, {USER: PASSWORD}) as url:
        bed = Bed(context, console, exchange, url, home)
        bed.settings()
        try:
            yield bed
        finally:
            bed.end_processes()
            bed.close()
            console.stop()


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until *true*; TimeoutError after *seconds*."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not true within {seconds} s")
        time.sleep(0.05)


def log_lines(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Return what a process that ended has logged."""
    assert process.stderr
    return [json.loads(line) for line in process.stderr.read().splitlines() if line[:1] == b"{"]
