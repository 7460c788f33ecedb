"""A hundred streams of news at the console's real server: pages answer meanwhile."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from management.access import Role
from management.administrators.service import add_administrator, begin_session
from management.database import Database
from management.progress import said
from management.web_streams import MOST_EACH
from management.work import service
from runtime.clock import utc_now
from tests.management.test_web_server import _answers, _until, server

pytestmark = pytest.mark.servers
__all__ = ["server"]
ADMINISTRATORS = 25
ENOUGH_SECONDS = 120


def _prepare(database: Database) -> tuple[list[str], UUID]:
    """Return the cookies of administrators, and a job that runs."""
    cookies, now = [], utc_now()
    with database.transaction("prepare") as session:
        for number in range(ADMINISTRATORS):
            keeper = add_administrator(session, f"keeper {number}", Role.READ_ONLY, now)
            session.flush()
            cookies.append(begin_session(session, keeper, "127.0.0.1", now))
        job = service.enqueue(session, "apps.scan", f"a:{uuid4()}", {"sha256": "a" * 64})
        assert job is not None
        assert service.claim_one(session, job.id, "w") is not None
        return cookies, job.id


async def _until_told(lines: AsyncIterator[str], part: str) -> None:
    async for line in lines:
        if part in line:
            return
    raise AssertionError(f"the stream ended before it told {part}")


async def _follow(base: str, trusting: ssl.SSLContext, database: Database) -> None:
    cookies, job_id = _prepare(database)
    path = f"{base}/jobs/events?job={job_id}"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(verify=trusting, timeout=ENOUGH_SECONDS, limits=httpx.Limits())
        )
        streams = []
        for cookie in cookies * MOST_EACH:
            headers = {"Cookie": f"__Host-sekisho={cookie}"}
            opened = await stack.enter_async_context(client.stream("GET", path, headers=headers))
            assert opened.headers["content-type"].startswith("text/event-stream")
            streams.append(opened.aiter_lines())
        await asyncio.gather(*(_until_told(one, '"lines": 0') for one in streams))

        headers = {"Cookie": f"__Host-sekisho={cookies[0]}"}
        whole = await client.get(path, headers=headers)  # one too many: told, and asked to return
        assert whole.text.count("event: job") == 1
        assert whole.text.startswith("retry: ")
        for page in ("/devices", "/jobs", "/healthz"):
            assert (await client.get(base + page, headers=headers)).status_code in (200, 503)

        with database.transaction("go on") as session:
            assert service.heartbeat(session, job_id, "w", said=[said("%(done)s", done=7)])
        await asyncio.gather(*(_until_told(one, '"done": 7') for one in streams))


def test_a_hundred_streams_tell_news_while_pages_answer(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, process = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))
    database = Database(f"sqlite:///{home}/sekisho.db")
    asyncio.run(asyncio.wait_for(_follow(base, trusting, database), ENOUGH_SECONDS))

    cookies, job_id = _prepare_once_more(database)
    database.close()
    with httpx.Client(verify=trusting, timeout=ENOUGH_SECONDS) as client:
        path = f"{base}/jobs/events?job={job_id}"
        with client.stream("GET", path, headers={"Cookie": f"__Host-sekisho={cookies}"}) as stream:
            assert any("event: job" in line for line in stream.iter_lines())
            process.terminate()  # an open stream holds up no end
            assert process.wait(ENOUGH_SECONDS) == 0


def _prepare_once_more(database: Database) -> tuple[str, UUID]:
    with database.transaction("prepare") as session:
        keeper = add_administrator(session, "last", Role.READ_ONLY, utc_now())
        session.flush()
        cookie = begin_session(session, keeper, "127.0.0.1", utc_now())
        job = service.enqueue(session, "apps.scan", f"a:{uuid4()}", {"sha256": "b" * 64})
        assert job is not None
        return cookie, job.id
