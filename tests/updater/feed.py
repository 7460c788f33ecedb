"""An update source of our own on loopback: keys made on the spot, real HTTP, able to misbehave.

with running(folder) as feed:
    feed.publish("2026.12.1")
    feed.misbehave("timestamp.json", feed.cut_off(100))
"""

import hashlib
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from patterns import pattern_set
from runtime.clock import utc_now
from updater import publish as publishing
from updater.agent_package import AgentPackage, read_package
from updater.publishing_keys import KeyFolder
from updater.repository import Repository, newest_root

RULE = """
rule {name} {{
  meta:
    title = "Test marker {name}"
    severity = "high"
    category = "test-file"
    meaning = "Holds a marker that only our own tests use."
    why = "No honest app holds this marker, it was made up for a test."
  strings: $marker = "{marker}"
  condition: $marker
}}
"""
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Writes a whole answer, given what an honest server would have sent."""


class Feed:
    """A source in a folder, published there and served from there."""

    def __init__(self, folder: Path, url: str, now: datetime | None = None) -> None:
        """Make the repository, with keys, as of *now*."""
        self.folder = folder
        self.url = url
        self.repository = Repository(folder / "repo", KeyFolder(folder / "keys"))
        self.requests: list[str] = []
        self.answers: dict[str, Answer] = {}
        publishing.create(self.repository, now or utc_now())

    @property
    def root(self) -> bytes:
        """The root.json that an administrator enters."""
        return (self.repository.metadata / "1.root.json").read_bytes()

    @property
    def newest_root(self) -> bytes:
        """The root.json of now."""
        return newest_root(self.repository).read_bytes()

    def publish(self, version: str, now: datetime | None = None, marker: str = "") -> str:
        """Build a small pattern set, which finds *marker*, and publish it."""
        archive = self.build(version, marker)
        return publishing.publish(self.repository, archive, now or utc_now())

    def publish_agent(self, file: Path, server: str = "", **said: object) -> AgentPackage:
        """Publish an agent package; *said*: what the list says of it though it is not so."""
        agent = replace(_read_once(file), server=server, **said)  # type: ignore[arg-type]
        return publishing.publish_agent(self.repository, file, agent, utc_now())

    def build(self, version: str, marker: str = "") -> Path:
        """Return the archive of a small pattern set."""
        sources = self.folder / f"sources-{version}"
        (sources / "yara").mkdir(parents=True, exist_ok=True)
        text = RULE.format(name="found_marker", marker=marker or f"marker of {version}")
        (sources / "yara" / "marker.yar").write_text(text)
        archive = self.folder / f"{version}.zip"
        pattern_set.build(sources, archive, version)
        return archive

    def sign_timestamp(self, now: datetime | None = None) -> None:
        """Say anew that what is published is current."""
        publishing.sign_timestamp(self.repository, now or utc_now())

    def rotate(self, *replace: str) -> None:
        """Publish the next root, with fresh keys for *replace*."""
        publishing.renew_root(self.repository, utc_now(), replace)

    def keep(self, name: str) -> None:
        """Keep the present state under *name*."""
        shutil.copytree(self.repository.folder, self.folder / f"kept-{name}")

    def go_back_to(self, name: str) -> None:
        """Show the state kept under *name* again."""
        shutil.rmtree(self.repository.folder)
        shutil.copytree(self.folder / f"kept-{name}", self.repository.folder)

    def target(self, version: str) -> Path:
        """Return the published file of pattern set *version*."""
        return next((self.repository.targets / "pattern").glob(f"*.{version}.zip"))

    def misbehave(self, ending: str, answer: Answer) -> None:
        """Answer requests for paths that end so with *answer*."""
        self.answers[ending] = answer

    def behave(self) -> None:
        """Be an honest server again."""
        self.answers.clear()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        path = handler.path.split("?")[0]
        self.requests.append(path)
        file = self.repository.folder / path.lstrip("/")
        body = file.read_bytes() if file.is_file() else b""
        for ending, misbehaviour in self.answers.items():
            if path.endswith(ending):
                return misbehaviour(handler, body)
        if not file.is_file():
            return status(404)(handler, b"")
        return instead(body)(handler, b"")


_read_once = cache(read_package)
"""Reading a package takes a process of its own; its bytes are always the same here."""


def status(code: int, location: str = "") -> Answer:
    """Answer with a status and nothing else."""

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.send_response(code)
        if location:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def instead(content: bytes) -> Answer:
    """Send other content."""

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def tampered(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Change one byte in the middle."""
    middle = len(body) // 2
    instead(body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])(handler, body)


def truncated(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Send the first half as if it were all."""
    instead(body[: len(body) // 2])(handler, body)


def cut_off(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Promise the whole length and hang up in the middle."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Go on after the end for 64 MB, or until nobody listens."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)
    for _ in range(1024):
        handler.wfile.write(b" " * 65_536)


def drip(pause_seconds: float, seconds: float) -> Answer:
    """Send one byte after each pause for a while."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        end = time.monotonic() + seconds
        for number in range(len(body)):
            if time.monotonic() > end:
                return
            handler.wfile.write(body[number : number + 1])
            handler.wfile.flush()
            time.sleep(pause_seconds)

    return answer


def drip_headers(pause_seconds: float, seconds: float) -> Answer:
    """Never come to the end of the headers."""

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Wait: ")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b"z")
            handler.wfile.flush()
            time.sleep(pause_seconds)

    return answer


def stall(seconds: float) -> Answer:
    """Promise an answer and send nothing."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def once(answer: Answer, then: Callable[[], None]) -> Answer:
    """Misbehave, and do *then* before the next request is answered."""

    def misbehave(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        then()
        answer(handler, body)

    return misbehave


def rewritten(archive: Path, name: str, body: bytes, listed: bool) -> Path:
    """Return a copy of *archive* with another file *name*; *listed*: the manifest fits it."""
    with zipfile.ZipFile(archive) as opened:
        files = {info.filename: opened.read(info) for info in opened.infolist()}
    files[name] = body
    if listed:
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = hashlib.sha256(body).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    out = archive.with_name("rewritten.zip")
    with zipfile.ZipFile(out, "w") as written:
        for entry, content in files.items():
            written.writestr(entry, content)
    return out


@contextmanager
def running(folder: Path, now: datetime | None = None) -> Iterator[Feed]:
    """Serve a new source, whose files lie in *folder*, on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Requests)
    server.daemon_threads = True
    folder.mkdir(parents=True, exist_ok=True)
    _Requests.feeds[server.server_port] = feed = Feed(
        folder, f"http://127.0.0.1:{server.server_port}", now
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="feed")
    thread.start()
    try:
        yield feed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        del _Requests.feeds[server.server_port]


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    feeds: dict[int, Feed] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        try:
            self.feeds[self.server.server_address[1]].answer(self)  # type: ignore[index]
        except OSError:  # the reader hung up, as it should on nonsense
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of the test's output."""
