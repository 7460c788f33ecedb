"""Who would lose mail, asked of many phones: in the background, piece by piece, with progress."""

import pytest
from sqlalchemy.orm import Session

from management.context import Context
from management.mail_access import queries, trial
from management.work.models import Job
from tests.management.clients import ConsoleClient
from tests.management.test_mail_access import SETTINGS, connector, partnership

__all__ = ["connector"]
TRIED = {**SETTINGS, "block_unmanaged": "yes", "unmanaged_grace_days": "0", "reason": ""}


@pytest.fixture(autouse=True)
def _many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "AT_ONCE", 1)
    monkeypatch.setattr(trial, "PIECE", 1)


def payload(session: Session) -> dict[str, str]:
    (job,) = session.query(Job).where(Job.kind == "mail_access.try").order_by(Job.id)
    return dict(job.payload)


@pytest.mark.usefixtures("connector")
def test_many_phones_are_looked_at_piece_by_piece_and_the_result_switches_on(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    asked = console.post("/mail-access/settings", data={**TRIED, "preview": "yes"})
    assert asked.status_code == 303
    page = asked.headers["Location"]
    assert "0 of 2 phones are looked at" in console.get(page).text
    assert 'name="seen"' not in console.get(page).text  # not seen yet: it cannot be switched on

    said: list[str] = []
    trial.run(context, payload(session), said.append)
    assert said[:2] == ["1 of 2 phones are looked at.", "2 of 2 phones are looked at."]
    found = console.get(page).text
    assert "2 phones would lose mail" in found
    assert "bob@corp.test" in found
    assert "the grace of 0 days ended on" in found
    assert partnership(session, "ADA1").wanted == "leave"

    seen = found.partition('name="seen" value="')[2].partition('"')[0]
    saved = console.post(
        "/mail-access/settings", data={**TRIED, "reason": "looked at it", "seen": seen}
    )
    assert saved.status_code == 302
    assert queries.read_mail_settings(session).automatic


@pytest.mark.usefixtures("connector")
def test_a_look_that_was_killed_goes_on_and_one_that_is_asked_anew_ends_the_old(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    console.post("/mail-access/settings", data={**TRIED, "preview": "yes"})
    first = payload(session)

    class KilledError(Exception):
        pass

    def die(_: str) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        trial.run(context, first, die)
    said: list[str] = []
    trial.run(context, first, said.append)
    assert said[0] == "2 of 2 phones are looked at."
    session.rollback()
    assert trial.get_trial(session, first["digest"]).lose == 2

    console.post("/mail-access/settings", data={**TRIED, "preview": "yes"})
    said.clear()
    trial.run(context, first, said.append)
    assert said == []
