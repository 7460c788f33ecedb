"""The agent package comes from the update source: who may hand out what, and what is refused."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from management.agent_packages import from_source, queries
from management.agent_packages import service as packages
from management.agent_packages.models import AgentPackage
from management.agent_packages.queries import Standing
from management.apps import uploads
from management.apps.queries import find_app
from management.apps.work import scan
from management.audit.models import AuditEntry
from management.context import Context
from management.updates import service, work
from management.updates.models import UpdateRun
from management.updates.queries import find_active_set
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import HopelessError, RefusedError
from tests.management.clients import ConsoleClient
from tests.scanner.build_apk import App, build_apk
from tests.updater import feed as feeds
from tests.updater.feed import Feed
from updater.cli import update
from updater.repository import read_lists, write_next

AGENT = "org.sekisho.agent"
Publish = Callable[..., str]


@pytest.fixture(scope="session")
def apks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Agent packages: three versions by one signer, and one by another."""
    folder = tmp_path_factory.mktemp("agents")
    wanted = {
        "1": App(package=AGENT, version_code=1, version_name="1.0"),
        "2": App(package=AGENT, version_code=2, version_name="2.0"),
        "3": App(package=AGENT, version_code=3, version_name="3.0"),
        "stranger": App(package=AGENT, version_code=9, version_name="9.0", key="CN=Other"),
    }
    return {name: build_apk(folder / f"{name}.apk", app) for name, app in wanted.items()}


class Site:
    """A server that takes its updates from a feed."""

    def __init__(self, context: Context, feed: Feed, apks: dict[str, Path]) -> None:
        self.context, self.feed, self.apks = context, feed, apks
        with context.database.transaction("test") as session:
            service.install_shipped(session, context.settings, utc_now())
            by = service.Actor("keeper")
            service.save_source(session, context.keys, feed.url, feed.root, by, utc_now())

    def request(self) -> str:
        """Ask for an update; return its id."""
        with self.context.database.transaction("test") as session:
            return str(service.request_run(session, "keeper", utc_now()).id)

    def update(self) -> str:
        """Let the server ask its source; return the words."""
        run_id, said = self.request(), list[str]()
        with suppress(HopelessError):
            work.run(self.context, {"run_id": run_id}, said.append)
        return "\n".join(said)

    def take(self, name: str, **said: object) -> str:
        """Publish a package and let the server ask its source."""
        self.feed.publish_agent(self.apks[name], **said)  # type: ignore[arg-type]
        return self.update()

    def upload(self, name: str, other_signer: bool = False) -> str:
        """Upload a package and hand it out, as an administrator does."""
        body = io.BytesIO(self.apks[name].read_bytes())
        received = uploads.receive(self.context.settings.home, body)
        with self.context.database.transaction("test") as session:
            packages.store(session, self.context, received, "a.apk", "keeper", "", utc_now())
        scan(self.context, {"sha256": received.sha256}, lambda said: None)
        with self.context.database.transaction("test") as session:
            packages.release(session, received.sha256, "keeper", utc_now(), other_signer)
        return received.sha256

    @property
    def standing(self) -> Standing:
        with self.context.database.reading() as session:
            return queries.standing(session)

    @property
    def out(self) -> str:
        """The version that is handed out."""
        return self.standing.app.version if self.standing.app else ""

    @property
    def fetched(self) -> int:
        """How often the feed was asked for a package."""
        return sum(path.endswith(".apk") for path in self.feed.requests)

    def count(self, kind: str) -> int:
        """Count works of a kind."""
        with self.context.database.reading() as session:
            return len(session.scalars(select(Job.id).where(Job.kind == kind)).all())


@pytest.fixture
def site(context: Context, tmp_path: Path, apks: dict[str, Path]) -> Iterator[Site]:
    with feeds.running(tmp_path / "feed") as feed:
        yield Site(context, feed, apks)


def test_the_newest_of_the_source_is_handed_out_and_announced_once(
    site: Site, console: ConsoleClient
) -> None:
    assert site.update().count("gent package") == 0
    assert (site.standing.current, site.standing.looked_at) == (None, None)

    assert "Agent package 1.0 is handed out now." in site.take("1")
    assert (site.out, site.standing.follows, site.count("agent_packages.announce")) == (
        "1.0",
        True,
        1,
    )
    site.update()
    assert site.count("agent_packages.announce") == 1
    site.take("2")
    assert (site.out, site.count("agent_packages.announce")) == ("2.0", 2)

    current = site.standing.current
    assert current is not None and current.source == site.feed.url
    for page in ("/agent-package", "/updates/"):
        assert site.feed.url in console.get(page).text
    assert "Follows the update source" in console.get("/agent-package").text
    with site.context.database.reading() as session:
        told = session.scalars(select(AuditEntry.action).where(AuditEntry.actor == "system")).all()
    assert [one for one in told if one.startswith("agent_package")] == [
        "agent_package.fetch",
        "agent_package.release",
    ] * 2


def test_what_an_administrator_handed_out_stays_until_they_follow_the_source_again(
    site: Site, console: ConsoleClient
) -> None:
    site.upload("1")
    assert "An administrator chose what is handed out" in site.take("2")
    assert (site.out, site.standing.follows) == ("1.0", False)
    page = console.get("/agent-package").text
    assert "Chosen by hand" in page and "by keeper" in page

    assert console.post("/agent-package/follow").status_code == 303
    assert (site.out, site.standing.follows, site.standing.problem) == ("2.0", True, "")

    console.post("/agent-package/withdraw")
    site.take("3")
    assert (site.out, site.standing.follows) == ("", False)
    newest = site.standing.newest
    assert newest is not None and newest.version_code == 3
    assert console.post(f"/agent-package/{newest.sha256}/release").status_code == 303
    assert (site.out, site.standing.follows) == ("3.0", True)


def test_another_signer_is_refused_until_a_person_means_it(
    site: Site, console: ConsoleClient
) -> None:
    site.take("1")
    _forget_agents(site.feed)  # its publisher's own command refuses another signer beside the first
    site.update()
    assert (site.out, site.standing.offered) == ("1.0", "")

    assert "Another key signed it" in site.take("stranger")
    assert (site.out, site.standing.offered) == ("1.0", "9.0")
    assert "Another key signed it" in console.get("/updates/").text
    kept = site.standing.newest
    assert kept is not None
    assert console.post(f"/agent-package/{kept.sha256}/release").status_code == 409
    console.post("/agent-package/withdraw")
    meant = {"other_signer": "yes"}
    released = console.post(f"/agent-package/{kept.sha256}/release", data=meant)
    assert (released.status_code, site.out, site.standing.follows) == (303, "9.0", True)
    assert site.standing.problem == ""


def test_a_source_never_goes_back_and_an_administrator_does(site: Site) -> None:
    site.take("2")
    _forget_agents(site.feed)
    assert "Only an administrator goes back" in site.take("1")
    assert site.out == "2.0"
    with site.context.database.reading() as session:
        assert [row.version_code for row in session.scalars(select(AgentPackage))] == [2]

    site.upload("1")
    assert (site.out, site.standing.follows) == ("1.0", False)
    _forget_agents(site.feed)
    site.feed.publish_agent(site.apks["2"])
    site.update()
    assert site.out == "1.0"


def test_a_damaged_package_is_refused_and_taken_once_it_is_whole(site: Site) -> None:
    site.take("1")
    site.feed.publish("9998.1.1")
    site.feed.misbehave(f"{AGENT}-2.apk", feeds.tampered)

    assert "is not handed out" in site.take("2")
    assert site.out == "1.0"
    assert not (site.context.settings.home / "updates" / "agent.apk").exists()
    with site.context.database.reading() as session:
        active = find_active_set(session)
        assert active is not None and active.version == "9998.1.1"  # it did not wait for the agent
    site.feed.behave()
    site.update()
    assert (site.out, site.standing.problem) == ("2.0", "")


def test_what_does_not_fit_is_not_handed_out(site: Site) -> None:
    assert "Update the server first" in site.take("1", server="99.0")
    _forget_agents(site.feed)
    assert "not what the source's signed list says" in site.take("1", version_code=7)
    assert (site.out, site.count("agent_packages.announce")) == ("", 0)
    assert "not what the source" in site.standing.problem


RUN_JOB = """
import sys
from management import tables
from management.context import open_context
from management.settings import load
from management.updates import work
tables.load()
work.run(open_context(load()), {"run_id": sys.argv[1]}, lambda sentence: None)
"""


@pytest.mark.servers
def test_killed_half_way_it_goes_on(site: Site, tmp_path: Path) -> None:
    site.feed.publish_agent(site.apks["1"])
    run_id, settings = site.request(), site.context.settings
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(settings.home),
        "SEKISHO_DATABASE_URL": settings.database_url,
    }
    command = [sys.executable, "-c", RUN_JOB, run_id]
    for point in ("before commit keep an agent package", "before effect hand out an agent package"):
        died = {"SEKISHO_CRASH_AT": point, "SEKISHO_CRASH_MARK": str(tmp_path / point)}
        done = subprocess.run(command, env=environment | died, check=False)
        assert (done.returncode, site.out) == (-signal.SIGKILL, ""), point

    fetched = site.fetched
    work.run(site.context, {"run_id": run_id}, lambda said: None)
    assert (site.out, site.fetched) == ("1.0", fetched)  # what was kept is not fetched again
    assert site.count("agent_packages.announce") == 1
    with site.context.database.reading() as session:
        assert session.get_one(UpdateRun, UUID(run_id)).finished_at is not None


def test_old_packages_of_the_source_are_forgotten_but_not_what_somebody_uses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_source, "KEPT", 1)
    mine = site.upload("1")
    site.take("1")
    assert site.standing.newest is not None
    with site.context.database.transaction("follow") as session:
        from_source.follow(session, site.context.keys, "keeper", utc_now())
    site.take("2")
    second = site.standing.current
    assert second is not None
    site.take("3")

    home = site.context.settings.home
    kept = [uploads.file_of(home, one).exists() for one in (mine, second.sha256)]
    assert (site.out, kept) == ("3.0", [True, False])
    with site.context.database.reading() as session:
        codes = session.scalars(select(AgentPackage.version_code)).all()
        assert sorted(codes) == [1, 3]
        assert find_app(session, second.sha256) is None


def test_what_the_source_offers_now_is_kept_however_old_it_is(site: Site) -> None:
    for name in ("1", "2", "3"):
        site.take(name)
    with site.context.database.reading() as session:
        rows = {one.version_code: one for one in session.scalars(select(AgentPackage))}
        old = [one.version_code for one in queries.old_of_source(session, 1, rows[1].sha256)]
        assert old == [2]
        old = [one.version_code for one in queries.old_of_source(session, 1, rows[2].sha256)]
        assert old == [1]


def test_a_file_that_is_gone_breaks_no_page(site: Site, console: ConsoleClient) -> None:
    site.take("1")
    current = site.standing.current
    assert current is not None
    assert console.post(f"/apps/{current.sha256}/delete").status_code in (302, 303)

    assert "Its file was deleted" not in console.get("/updates/").text
    assert console.get("/agent-package").status_code == 200
    with site.context.database.reading() as session:
        assert (queries.offered_package(session), queries.agent_files(session)) == (None, {})


# --- the publisher ---


@pytest.mark.servers
def test_the_command_publishes_an_agent_and_refuses_what_phones_would(
    tmp_path: Path, apks: dict[str, Path]
) -> None:
    def run(*words: object) -> str:
        said = [str(word) for word in words]
        return CliRunner().invoke(update, said, catch_exceptions=False).output

    repo = tmp_path / "repo"
    run("init", repo)
    assert f"Published agent package {AGENT} 2.0." in run("publish", repo, "--agent", apks["2"])
    assert f"agent/{AGENT}-2.apk" in run("show", repo)
    with pytest.raises(RefusedError, match="is not newer"):
        run("publish", repo, "--agent", apks["1"])
    with pytest.raises(RefusedError, match="Another key signed it"):
        run("publish", repo, "--agent", apks["stranger"])
    unreadable = tmp_path / "no.apk"
    unreadable.write_bytes(apks["3"].read_bytes()[:2000])
    with pytest.raises(RefusedError, match="servers would not hand it out"):
        run("publish", repo, "--agent", unreadable)


def _forget_agents(feed: Feed) -> None:
    """Let the source's list name no agent package any more, as its publisher may."""
    lists = read_lists(feed.repository)
    for name in [one for one in lists.targets.targets if one.startswith("agent/")]:
        del lists.targets.targets[name]
    write_next(feed.repository, lists, utc_now())
