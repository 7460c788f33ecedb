"""The running communication server: its ports, its housekeeping, its end."""

import fcntl
import logging
import os
import resource
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from communication import (
    agent_api,
    app,
    downloads,
    fast_path,
    file_api,
    health,
    pairing,
    report_path,
    routes,
    told,
)
from communication.board import Board
from communication.device_identity import Identity, read_management_key
from communication.fast_path import Poll
from communication.front import Front
from communication.mailbox import Limits, Mailbox
from communication.parts import Parts
from communication.ports import Kind, Ports
from communication.settings import Settings
from contracts import codec
from contracts.files import SEALED_PART_BYTES
from runtime.clock import utc_now
from runtime.errors import ConfigurationError
from runtime.health import serve as serve_health

log = logging.getLogger(__name__)
THREADS = {"devices": 8, "link": 2, "plain": 1}
"""So that a crowd of devices cannot keep management out."""
FLUSH_SECONDS = 5.0
FORGET_SECONDS = 600.0
DEVICE_BODIES = {
    report_path.PATH: report_path.REPORT_BYTES,
    "/agent/v1/enrolments": agent_api.ENROLMENT_BYTES,
    file_api.UPLOADS: SEALED_PART_BYTES,
    "*": 4096,
}


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status.

    ConfigurationError when something needed is missing.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _allow_connections()
    parts = _open(settings)
    _listen(parts)
    serve_health(settings.health_port, health.checks(parts))
    log.info(
        "Listening for devices on %s, for management on %s, plain HTTP on %s.",
        *(parts.ports.numbers(kind) for kind in ("devices", "link", "plain")),
    )
    _keep_house(parts, stop)
    parts.poll.let_go()
    parts.inbound_came()
    parts.ports.end()
    parts.reports.end()
    _flush(parts)
    parts.mailbox.close()
    log.info("Stopped.")
    return 0 if stop.is_set() else 1


def _open(settings: Settings) -> Parts:
    pairing.prepare_own(settings.folder, [settings.public_name])
    pairing.finish_tls(settings.folder)
    _alone(settings.folder)
    limits = Limits(
        device_messages=settings.device_messages,
        device_bytes=settings.device_bytes,
        inbound_bytes=settings.inbound_bytes,
        outbound_bytes=settings.outbound_bytes,
        enrolments=settings.enrolments,
        free_bytes=settings.free_bytes,
    )
    mailbox = Mailbox(settings.folder / "mailbox.db", limits)
    management = read_management_key(settings.folder / pairing.MANAGEMENT)
    board = Board(mailbox)
    identity = Identity(mailbox, board, management, settings.requests_per_minute)
    token_key = (settings.folder / pairing.TOKEN_KEY).read_bytes()
    poll = Poll(mailbox, board, identity, token_key, settings)
    return Parts(settings, mailbox, board, identity, poll, utc_now())


def _alone(folder: Path) -> None:
    """Keep a second server away from this mailbox, until this process ends."""
    file = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"Another communication server uses {folder}; end it or choose another folder."
        ) from None


def _listen(parts: Parts) -> None:
    settings, folder = parts.settings, parts.settings.folder
    poll = {fast_path.PATH: parts.poll.answer}
    posts = {report_path.PATH: parts.reports.take, fast_path.TOKEN_PATH: parts.poll.token}
    for_devices, in_plain = app.devices_app(parts), app.plain_app(parts)
    devices = Front(
        *(for_devices, _threads("devices"), DEVICE_BODIES, settings.body_seconds),
        poll,
        posts,
        routes.gate(for_devices, parts.identity, posts),
        {downloads.PATH: partial(parts.downloads.stream, plain=False)},
    )
    link_bodies = {"*": codec.MAXIMUM_BYTES}
    link = Front(app.link_app(parts), _threads("link"), link_bodies, settings.body_seconds)
    plain = Front(
        *(in_plain, _threads("plain"), {"*": 0}, settings.body_seconds),
        gate=routes.gate(in_plain),
        streams={downloads.PATH: partial(parts.downloads.stream, plain=True)},
    )
    health.register(parts, {"devices": devices, "link": link, "plain": plain})
    kinds = {
        "devices": Kind(devices.serve, folder / pairing.TLS_CERTIFICATE, folder / pairing.TLS_KEY),
        "link": Kind(link.serve, folder / pairing.LINK_CERTIFICATE, folder / pairing.LINK_KEY),
        "plain": Kind(plain.serve),
    }
    parts.ports = Ports(settings.host, kinds)
    parts.ports.set(told.ports(told.find(settings)))


def _threads(port: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS[port], thread_name_prefix=port)


def _allow_connections() -> None:
    """Take as many open sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _keep_house(parts: Parts, stop: threading.Event) -> None:
    forgot = 0.0
    while not stop.wait(FLUSH_SECONDS):
        if not parts.ports.alive():
            log.error("A port is no longer served; the server ends so that it is started again.")
            return
        parts.logging.level()
        try:
            _flush(parts)
            if time.monotonic() - forgot > FORGET_SECONDS:
                forgot = time.monotonic()
                with parts.mailbox.writing("old") as mailbox:
                    mailbox.forget_old(utc_now())
        except sqlite3.Error as error:
            log.warning("Housekeeping failed (%s); it is tried again.", error)


def _flush(parts: Parts) -> None:
    """Write down who polled since the last time."""
    if not (beats := parts.board.take_beats()):
        return
    try:
        with parts.mailbox.writing("seen") as mailbox:
            mailbox.put_seen(beats)
    except sqlite3.Error:
        parts.board.give_back(beats)
        raise
