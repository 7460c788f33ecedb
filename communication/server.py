"""The running communication server: its ports, its housekeeping, its end."""

import logging
import resource
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from communication import agent_api, app, fast_path, health, pairing
from communication.board import Board
from communication.device_identity import Identity, read_management_key
from communication.fast_path import Poll
from communication.front import Front
from communication.listener import Listener
from communication.mailbox import Limits, Mailbox
from communication.parts import Parts
from communication.settings import Settings
from contracts import codec
from runtime.clock import utc_now
from runtime.health import serve as serve_health

log = logging.getLogger(__name__)
THREADS = {"devices": 8, "link": 2, "plain": 1}
"""So that a crowd of devices cannot keep management out."""
FLUSH_SECONDS = 5.0
FORGET_SECONDS = 600.0
DEVICE_BODIES = {
    "/agent/v1/reports": agent_api.REPORT_BYTES,
    "/agent/v1/enrolments": agent_api.ENROLMENT_BYTES,
    "*": 4096,
}


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ConfigurationError when something needed is missing."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _allow_connections()
    parts = _open(settings)
    listeners = _listen(parts)
    serve_health(settings.health_port, health.checks(parts))
    log.info(
        "Listening for devices on %s, for management on %s, plain HTTP on %s.",
        *(settings.devices_port, settings.link_port, settings.http_port),
    )
    _keep_house(parts, stop)
    parts.poll.let_go()
    parts.inbound_came()
    for listener in listeners:
        listener.end()
    _flush(parts)
    parts.mailbox.close()
    log.info("Stopped.")


def _open(settings: Settings) -> Parts:
    pairing.check(settings.folder)
    pairing.prepare_own(settings.folder, [settings.public_name])
    limits = Limits(
        device_messages=settings.device_messages,
        device_bytes=settings.device_bytes,
        inbound_bytes=settings.inbound_bytes,
        outbound_bytes=settings.outbound_bytes,
        enrolments=settings.enrolments,
    )
    mailbox = Mailbox(settings.folder / "mailbox.db", limits)
    management = read_management_key(settings.folder / pairing.MANAGEMENT)
    identity = Identity(mailbox, management, settings.requests_per_minute)
    token_key = (settings.folder / pairing.TOKEN_KEY).read_bytes()
    board = Board(mailbox)
    poll = Poll(mailbox, board, token_key, settings.poll_seconds, settings.held_polls)
    return Parts(settings, mailbox, board, identity, token_key, poll, utc_now())


def _listen(parts: Parts) -> list[Listener]:
    settings, folder = parts.settings, parts.settings.folder
    poll = {fast_path.PATH: parts.poll.answer}
    devices = Front(app.devices_app(parts), _threads("devices"), DEVICE_BODIES, poll)
    link = Front(app.link_app(parts), _threads("link"), {"*": codec.MAXIMUM_BYTES})
    plain = Front(app.plain_app(parts), _threads("plain"), {"*": 0})
    health.register(parts, {"devices": devices, "link": link, "plain": plain})
    wanted = (
        (settings.devices_port, devices, pairing.TLS_CERTIFICATE, pairing.TLS_KEY),
        (settings.link_port, link, pairing.LINK_CERTIFICATE, pairing.LINK_KEY),
        (settings.http_port, plain, "", ""),
    )
    listeners = []
    for port, front, certificate, key in wanted:
        files = (folder / certificate, folder / key) if certificate else (None, None)
        listener = Listener(settings.host, port, *files)
        listener.begin(front.serve)
        listeners.append(listener)
    return listeners


def _threads(port: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS[port], thread_name_prefix=port)


def _allow_connections() -> None:
    """Take as many open sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _keep_house(parts: Parts, stop: threading.Event) -> None:
    forgot = 0.0
    while not stop.wait(FLUSH_SECONDS):
        try:
            _flush(parts)
            if time.monotonic() - forgot > FORGET_SECONDS:
                forgot = time.monotonic()
                with parts.mailbox.writing("old") as mailbox:
                    mailbox.forget_old(utc_now())
        except sqlite3.Error:
            log.exception("Housekeeping failed; it is tried again.")


def _flush(parts: Parts) -> None:
    """Write down who polled since the last time."""
    if beats := parts.board.take_beats():
        with parts.mailbox.writing("seen") as mailbox:
            mailbox.put_seen(beats)
