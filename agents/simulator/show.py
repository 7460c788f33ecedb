"""What a simulated device looks like, for people and as JSON. No I/O."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from agents.simulator import reports
from agents.simulator.phone import SETTABLE, Phone
from agents.simulator.state import DeviceState

_PHONE = TypeAdapter(Phone)
_WORDS = {True: "yes", False: "no", None: "unknown"}


def as_fields(state: DeviceState) -> dict[str, Any]:
    """Return what may be shown of *state* as JSON fields: everything but keys and tokens."""
    member = state.membership
    return {
        "device_id": str(member.device_id) if member else None,
        "ended": state.ended,
        "relay": state.relay_url,
        "trust_issue": state.trust.issue if state.trust else None,
        "epoch": member.epoch if member else None,
        "orders_taken": member.order_seq if member else 0,
        "reports_written": member.report_seq if member else 0,
        "reports_not_acknowledged": [report.seq for report in state.reports],
        "certificate": member.certificate if member else None,
        "policy": member.policy.name if member else None,
        "policy_version": member.policy.version if member else None,
        "phone": _PHONE.dump_python(state.phone, mode="json"),
        "posture_reported": bool(member and reports.posture(state, member) == state.posture_said),
        "diary": [{"at": e.at.isoformat(), "what": e.what} for e in state.diary],
    }


def as_text(state: DeviceState) -> str:
    """Return a page of text."""
    return "\n".join([*_who(state), "", *_posture(state), "", *_apps(state), "", *_diary(state)])


def _who(state: DeviceState) -> Iterator[str]:
    about, member = state.phone.description, state.membership
    name = " ".join(filter(None, (about.manufacturer, about.model))) or "Phone"
    yield f"{name} ({about.platform}, {about.ownership})"
    if member is None:
        asked = "waiting for management's answer" if state.asked else "not enrolled"
        yield _line("enrolment", state.ended or asked)
        return
    yield _line("device", str(member.device_id))
    yield _line("relay", state.relay_url)
    yield _line("policy", f"{member.policy.name}, version {member.policy.version}")
    yield _line("orders", f"{member.order_seq} taken in epoch {member.epoch}")
    yield _line("reports", f"{member.report_seq} written, {len(state.reports)} not acknowledged")
    yield _line("locked", _WORDS[state.phone.locked])
    if not state.phone.work_data:
        yield _line("work data", "erased")


def _posture(state: DeviceState) -> Iterator[str]:
    yield "Posture"
    for name in SETTABLE:
        value = getattr(state.phone.posture, name)
        yield _line(name, _WORDS[value] if value is None or isinstance(value, bool) else value)
    for card in state.phone.tray.cards:
        yield _line("sim", " ".join(filter(None, (card.iccid, card.operator, card.country))))


def _apps(state: DeviceState) -> Iterator[str]:
    yield f"Apps ({len(state.phone.apps)})"
    for app in state.phone.apps:
        yield f"  {app.package} {app.version}  {app.sha256[:16]}…  {app.name}".rstrip()


def _diary(state: DeviceState) -> Iterator[str]:
    for message in state.phone.messages:
        yield f"On the screen: {message.text}"
    yield "What happened last"
    for entry in state.diary[-12:]:
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.what}"


def _line(name: str, value: str) -> str:
    return f"  {name:<18} {value}"
