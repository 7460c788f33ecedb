"""An explanation as text for a terminal, from its JSON fields, here and from afar. Pure."""

import json
from datetime import datetime
from typing import Any


def as_text(fields: dict[str, Any]) -> str:
    """Return the fields of an explanation (`cli.as_fields`) for people."""
    policy, device = fields["policy"], fields["device"]
    lines = [
        f"{device['name']} ({device['id']}), {device['owner']}",
        f"At {_minute(fields['at'])}: {fields['state']} since {_minute(fields['since'])}, "
        f"risk {fields['risk']}",
        f"Policy: {policy['name']}, version {policy['version']}",
        f"Patterns: {fields['pattern_version'] or 'none yet'}",
        *_reasons(fields["violations"]),
        *(
            f"Borne: {one['rule']} ({one['finding'].replace('_', ' ')})"
            for one in fields["undecided"]
        ),
        *_following(fields["consequences"], fields["at"]),
        *(_contradiction(one) for one in fields["contradictions"]),
        "Facts:",
        *(_fact_line(kind, said) for kind, said in fields["facts"].items()),
        *(f"  {kind}: cannot be said" for kind in fields["not_applicable"]),
    ]
    if fields["stale"]:
        lines.insert(4, f"Silent, so no longer sure: {', '.join(fields['stale'])}")
    return "\n".join(lines)


def _reasons(violations: list[dict[str, Any]]) -> list[str]:
    if not violations:
        return ["Nothing is broken."]
    lines = ["Broken:"]
    for one in violations:
        lines += [
            f"  {one['rule']} ({one['severity']}): {one['because']}, since {_minute(one['since'])}",
            f"    user: {one['mend']}",
            f"    administrator: {one['administrator_mend']}",
        ]
    return lines


def _following(consequences: list[dict[str, Any]], at: str) -> list[str]:
    if not consequences:
        return []
    now = datetime.fromisoformat(at)
    return ["Follows:"] + [
        f"  {one['kind']} for {one['rule']}: "
        f"{'due since' if datetime.fromisoformat(one['due_at']) <= now else 'due at'} "
        f"{_minute(one['due_at'])}"
        for one in consequences
    ]


def _contradiction(one: dict[str, Any]) -> str:
    said, proved = one["said"]["value"], one["proved"]["value"]
    return (
        f"Contradiction: the device says {one['fact']} {json.dumps(said)}, its hardware proved "
        f"{json.dumps(proved)} ({_minute(one['proved']['said_at'])}); {one['counts']} counts"
    )


def _fact_line(kind: str, said: dict[str, Any]) -> str:
    value = "cannot tell" if said["value"] is None else json.dumps(said["value"])
    return f"  {kind}: {value[:200]} ({said['source']}, {_minute(said['said_at'])})"


def _minute(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
