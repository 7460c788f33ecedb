"""A database that was filled straight is as if the devices had come one by one."""

import pytest
from sqlalchemy import func, select

from management.apps.models import App, DeviceApp
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device, DeviceJudgement
from management.groups.queries import read_tree
from management.listing import queries, work
from management.listing.rules import DeviceFilter
from runtime.clock import utc_now
from runtime.errors import RefusedError
from sekisho.fill import fill


def test_a_filled_database_needs_no_mending(context: Context) -> None:
    fill(context.database, 900, utc_now(), lambda _said: None)

    said: list[str] = []
    work.check(context, {}, said.append)

    assert said[-1] == "900 devices looked at, 0 were listed wrongly, 0 counts were wrong."
    with context.database.reading() as session:
        assert len(read_tree(session)) >= 100
        held = dict(
            session.execute(select(DeviceApp.sha256, func.count()).group_by(DeviceApp.sha256)).all()
        )
        assert sum(held.values()) == 4500
        kept = dict(session.execute(select(App.sha256, App.devices)).all())
        assert held == {sha256: number for sha256, number in kept.items() if number}
        assert len(queries.list_devices(session, DeviceFilter(text="髙﨑"), limit=500)) == 900 // 30


def test_filled_devices_are_judged_as_any_other(context: Context) -> None:
    now = utc_now()
    fill(context.database, 450, now, lambda _said: None)

    with context.database.transaction("judge") as session:
        ids = session.scalars(select(Device.id)).all()
        before = dict(
            session.execute(select(DeviceJudgement.device_id, DeviceJudgement.state)).all()
        )
        rejudge(session, ids, now)
        after = dict(
            session.execute(select(DeviceJudgement.device_id, DeviceJudgement.state)).all()
        )

    assert before == after


def test_only_a_database_without_devices_is_filled(context: Context) -> None:
    fill(context.database, 3, utc_now(), lambda _said: None)

    with pytest.raises(RefusedError, match="devices already"):
        fill(context.database, 3, utc_now(), lambda _said: None)
