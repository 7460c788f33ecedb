"""A real ActiveSync server out of Debian's packages: SOGo, with Dovecot, PostgreSQL and memcached.

Needs root, as the four run under users of their own. Everything lies in one folder, listens on
loopback at free ports, and ends by the ids of the processes that were started here; SOGo's settings
go on its command line, so nothing of the machine is changed.
"""

import imaplib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import psycopg

from tests.servers import needs
from tests.servers.postgres import BINARIES

PASSWORDS = {"ada": "lovelace", "bob": "builder"}
DOMAIN = "corp.test"
PATH = "/SOGo/Microsoft-Server-ActiveSync"
SECONDS = 60.0


class NotListeningError(Exception):
    """A server ended, or took too long."""


@dataclass(frozen=True, slots=True)
class Sogo:
    """The running server."""

    folder: Path
    port: int
    imap_port: int

    @property
    def url(self) -> str:
        """Where ActiveSync is."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def wake(self, user: str) -> None:
        """Have Dovecot count changes of the inbox, which SOGo's Sync builds on.

        It begins with the first client that asks for that (RFC 7162); SOGo itself never does.
        """
        end = time.monotonic() + SECONDS
        while not self._try_wake(user):
            assert time.monotonic() < end
            time.sleep(0.2)

    def _try_wake(self, user: str) -> bool:
        """Return whether it went well: Dovecot's sign-in is ready a little after it listens."""
        try:
            with imaplib.IMAP4("127.0.0.1", self.imap_port, 20) as imap:
                imap.login(user, PASSWORDS[user])
                imap.enable("CONDSTORE")
                imap.select("INBOX")
                return imap.store("1:*", "+FLAGS", "\\Flagged")[0] == "OK"
        except (imaplib.IMAP4.error, OSError):
            return False

    def deliver(self, user: str, subject: str) -> None:
        """Put a mail into the user's mailbox, as a delivery agent does."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"chief@{DOMAIN}", f"{user}@{DOMAIN}", subject
        mail["Message-ID"] = f"<{uuid4()}@{DOMAIN}>"
        mail["Date"] = "Sun, 22 Nov 2026 10:00:00 +0000"
        mail.set_content("for your eyes only")
        box = self.folder / "mail" / user
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir(parents=True, exist_ok=True)
        name = f"{time.time():.6f}.{uuid4().hex}.test"
        (box / "tmp" / name).write_bytes(mail.as_bytes())
        _own(box, "mail")
        (box / "tmp" / name).rename(box / "new" / name)


def can_run() -> bool:
    """Tell whether this user may start the servers; only root may."""
    return os.geteuid() == 0


@contextmanager
def running() -> Iterator[Sogo]:
    """Start everything, yield it, end it."""
    with ExitStack() as stack:
        yield _started(stack)


def _started(stack: ExitStack) -> Sogo:
    """Start everything; anew where somebody took a port before the server that it was meant for."""
    for is_last in (False, False, True):
        try:
            with ExitStack() as attempt:
                found = _start(attempt)
                stack.push(attempt.pop_all())
                return found
        except (NotListeningError, OSError, psycopg.Error):
            if is_last:
                raise
    raise AssertionError


def _start(stack: ExitStack) -> Sogo:
    sogod = needs.program("sogod", "sogo", "/usr/sbin")
    folder = Path(mkdtemp(prefix="sekisho-sogo-"))
    folder.chmod(0o755)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    sql, imap, cache, port = free_ports(4)
    stack.enter_context(_postgres(folder / "sql", sql))
    stack.enter_context(_dovecot(folder, imap))
    stack.enter_context(_memcached(cache))
    words = [sogod, "-WONoDetach", "YES", "-WOWorkersCount", "4", "-WOLogFile", "-"]
    words += ["-WOPort", f"127.0.0.1:{port}", "-WOPidFile", f"{folder}/run/sogo.pid"]
    for name, value in _settings(sql, imap, cache).items():
        words += [f"-{name}", value]
    stack.enter_context(process(words, port, folder / "sogo.log", "sogo"))
    return Sogo(folder, port, imap)


def _settings(sql: int, imap: int, cache: int) -> Mapping[str, str]:
    """Return SOGo's settings; a table for each thing as its own documentation names them."""
    database = f"postgresql://tests@127.0.0.1:{sql}/sogo"
    users = (
        f'({{type = sql; id = users; viewURL = "{database}/people"; canAuthenticate = YES; '
        "isAddressBook = NO; userPasswordAlgorithm = plain; MailFieldNames = (mail);})"
    )
    return {
        "SOGoProfileURL": f"{database}/sogo_user_profile",
        "OCSFolderInfoURL": f"{database}/sogo_folder_info",
        "OCSSessionsFolderURL": f"{database}/sogo_sessions_folder",
        "OCSEMailAlarmsFolderURL": f"{database}/sogo_alarms_folder",
        "OCSCacheFolderURL": f"{database}/sogo_cache_folder",
        "OCSStoreURL": f"{database}/sogo_store",
        "OCSAclURL": f"{database}/sogo_acl",
        "SOGoUserSources": users,
        "SOGoIMAPServer": f"imap://127.0.0.1:{imap}",
        "SOGoMailDomain": DOMAIN,
        "SOGoMemcachedHost": f"127.0.0.1:{cache}",
        "SOGoMaximumPingInterval": "60",
        "SOGoMaximumSyncInterval": "60",
        "SOGoInternalSyncInterval": "1",
    }


@contextmanager
def _postgres(folder: Path, port: int) -> Iterator[None]:
    """SOGo's driver wants TCP, unlike the server in `postgres`."""
    initdb = needs.program("initdb", "postgresql", *BINARIES)
    server = needs.program("postgres", "postgresql", *BINARIES)
    folder.mkdir(mode=0o700)
    _own(folder, "postgres")
    made = ["-D", str(folder / "data"), "-U", "tests", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run(
        [*_as("postgres"), initdb, *made, "--locale=C.UTF-8"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    words = [server, "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-F"]
    with process([*words, "-k", ""], port, folder / "log", "postgres", signal.SIGINT):
        _fill(port)
        yield


def _create(where: str) -> None:
    """Make the database; the server listens a little before it lets anybody in."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with psycopg.connect(f"{where} dbname=postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE sogo")
                return
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _fill(port: int) -> None:
    where = f"host=127.0.0.1 port={port} user=tests"
    _create(where)
    with psycopg.connect(f"{where} dbname=sogo") as connection:
        connection.execute(
            "CREATE TABLE people (c_uid text PRIMARY KEY, c_name text, c_password text, "
            "c_cn text, mail text)"
        )
        for user, password in PASSWORDS.items():
            connection.execute(
                "INSERT INTO people VALUES (%s, %s, %s, %s, %s)",
                (user, user, password, user.title(), f"{user}@{DOMAIN}"),
            )


DOVECOT = """
base_dir = {folder}/run/dovecot
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%n
first_valid_uid = 8
first_valid_gid = 8
passdb {{
  driver = passwd-file
  args = {folder}/passwords
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


@contextmanager
def _dovecot(folder: Path, port: int) -> Iterator[None]:
    for name in ("mail", "run"):
        (folder / name).mkdir()
    _own(folder / "mail", "mail")
    (folder / "run").chmod(0o777)
    lines = [f"{user}:{{PLAIN}}{password}" for user, password in PASSWORDS.items()]
    (folder / "passwords").write_text("\n".join(lines) + "\n")
    configuration = folder / "dovecot.conf"
    configuration.write_text(DOVECOT.format(folder=folder, port=port))
    program = needs.program("dovecot", "dovecot-imapd", "/usr/sbin")
    with process([program, "-F", "-c", str(configuration)], port, folder / "dovecot.out"):
        yield


@contextmanager
def _memcached(port: int) -> Iterator[None]:
    program = needs.program("memcached", "memcached")
    words = [program, "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-m", "16"]
    with process(words, port, Path("/dev/null")):
        yield


@contextmanager
def process(
    words: list[str],
    port: int,
    log: Path,
    user: str = "",
    ending: signal.Signals = signal.SIGTERM,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server until the block ends; it must listen on *port* before the block begins."""
    with log.open("ab") as out:
        # A group of its own, so that the children of whatever does not end by itself end too.
        started = subprocess.Popen(
            [*(_as(user) if user else []), *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            start_new_session=True,
        )
    try:
        _wait_for(port, started, log)
        yield started
    finally:
        _end(started, ending)


def _wait_for(port: int, started: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and started.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
    raise NotListeningError(f"{started.args!r} does not listen on port {port}: {said}")


def _end(started: "subprocess.Popen[bytes]", ending: signal.Signals) -> None:
    started.send_signal(ending)
    with suppress(subprocess.TimeoutExpired):
        started.wait(3)
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait(60)


def free_ports(number: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [int(one.getsockname()[1]) for one in found]


def _as(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def _own(path: Path, user: str) -> None:
    for one in (path, *path.rglob("*")):
        shutil.chown(one, user, user)
