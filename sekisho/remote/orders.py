"""Orders to one device: each kind of command that a device can get, with its reason."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import click

from contracts.orders import CommandKind
from management.commands.rules import DESTRUCTIVE
from runtime.errors import NotFoundError, RefusedError
from sekisho.remote.calls import ask_code
from sekisho.remote.client import Remote
from sekisho.remote.following import COMMAND_ENDS, until_end
from sekisho.remote.lists import pairs
from sekisho.remote.shown import fields, safe

MOST_NAMED = 10
MOST_LOOKED_AT = 2000
SAYS = {
    CommandKind.LOCK: "Lock a device; --set text=... and phone=... are shown on it.",
    CommandKind.UNLOCK: "End lost mode.",
    CommandKind.WIPE: "Erase everything on a device.",
    CommandKind.SELECTIVE_WIPE: "Erase the company's data on a device.",
    CommandKind.RESET_PASSCODE: "Set a new passcode, which is asked for at the terminal.",
    CommandKind.LOCATE: "Ask a device where it is.",
    CommandKind.SCAN_NOW: "Let a device look at its apps now.",
    CommandKind.UPDATE_NOW: "Let a device update its agent.",
    CommandKind.MESSAGE: "Show a message: --set text=...",
    CommandKind.LOST_MODE: "Lock a device behind a message until it is unlocked.",
    CommandKind.INSTALL_APP: "Install an app of the store: --set package=... and so on.",
    CommandKind.REMOVE_APP: "Remove an app: --set package=...",
    CommandKind.RENEW_KEYS: "Let a device make new keys.",
}


def parameters(kind: CommandKind) -> list[click.Parameter]:
    """Return what the command of *kind* takes."""
    yes = click.Option(["--yes"], is_flag=True, help="Do not ask for the device's name.")
    return [
        click.Argument(["device"]),
        click.Option(["--reason"], default="", help="Goes into the audit trail."),
        click.Option(["--set", "given"], multiple=True, metavar="NAME=VALUE", help="What it says."),
        click.Option(["--wait"], is_flag=True, help="Wait until the device did it, or did not."),
        *([yes] if kind in DESTRUCTIVE else []),
    ]


def find_device(remote: Remote, named: str, wholly: bool = False) -> dict[str, Any]:
    """Return the one device that *named* fits: its id, or words that fit no other.

    *wholly*: its id, name or serial number; no beginning of one.
    """
    if not named.strip():
        raise click.UsageError("Which device? The word that names it is empty.")
    try:
        found: dict[str, Any] = remote.get(f"/devices/{UUID(named)}")
        return found
    except ValueError:
        pass
    fitting = remote.items("/devices", {"text": named})
    several = list(islice(_called(fitting, named) if wholly else fitting, MOST_NAMED))
    if not several:
        hint = " An order wants the id, the whole name or the whole serial number."
        raise NotFoundError(f"No device fits {safe(named)!r}.{hint if wholly else ''}")
    if len(several) > 1:
        told = "; ".join(f"{one['name']} = {one['id']}" for one in several)
        raise RefusedError(safe(f"Several devices fit: {told}. Name one by its id."))
    one: dict[str, Any] = remote.get(f"/devices/{several[0]['id']}")
    return one


def _called(found: Iterator[dict[str, Any]], named: str) -> Iterator[dict[str, Any]]:
    """Yield those whose name or serial number is *named*; RefusedError when very many begin so."""
    wanted = named.strip().casefold()
    for number, one in enumerate(found):
        if number == MOST_LOOKED_AT:
            raise RefusedError(f"More than {number} devices begin so. Name one by its id.")
        if wanted in (one["name"].strip().casefold(), one["serial"].strip().casefold()):
            yield one


def order(remote: Remote, kind: CommandKind, given: dict[str, Any]) -> int:
    """Queue a command; return the exit status, with ``--wait`` that of what became of it."""
    device = find_device(remote, given["device"], wholly=True)
    if kind in DESTRUCTIVE and not given["yes"]:
        _ask(kind, device)
    reason = given["reason"] or asked("Reason", "--reason TEXT")
    body: dict[str, Any] = {
        "kind": kind.value,
        "reason": reason,
        "arguments": _arguments(kind, given),
    }
    if kind in DESTRUCTIVE:
        body["code"] = ask_code()
    made = remote.ask("POST", f"/devices/{device['id']}/commands", body=body)
    for line in _told(kind, device, made):
        click.echo(line)
    if not given["wait"]:
        return 0
    state = ""
    for now in until_end(remote, f"/commands/{made['id']}", COMMAND_ENDS):
        state = now["state"]
        click.echo(safe(f"{state}{_waits(now)} {now['detail']}".rstrip()))
    return 0 if state == "done" else 1


def asked(what: str, option: str, hidden: bool = False) -> str:
    """Return what somebody types at the terminal; where there is none, say which option it is."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} is missing: {option}")
    said: str = click.prompt(what, hide_input=hidden, err=True)
    return said.strip()


def _arguments(kind: CommandKind, given: dict[str, Any]) -> dict[str, str]:
    said = pairs(given["given"])
    if kind is CommandKind.RESET_PASSCODE:  # never an argument: others see those
        said["passcode"] = asked("New passcode", "a program sends it by `call --data`", hidden=True)
    return said


def _ask(kind: CommandKind, device: dict[str, Any]) -> None:
    """Have the name typed: what is erased does not come back."""
    for line in fields({name: device[name] for name in ("name", "owner_address", "model", "id")}):
        click.echo(line, err=True)
    said = asked(f"{_words(kind)}: type the device's name to go on", "--yes goes on without it")
    if said != device["name"].strip():
        raise RefusedError("That is not its name. Nothing was ordered.")


def _told(kind: CommandKind, device: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    state = f"{made['state']}{_waits(made)}"
    yield safe(f"{_words(kind)} for {device['name']} is {state}: {made['id']}")
    if made["state"] == "queued":
        yield f"Take it back with: sekisho remote call POST /commands/{made['id']}/cancel"


def _waits(command: dict[str, Any]) -> str:
    return f", waits for {command['waiting_for']}" if command["waiting_for"] else ""


def _words(kind: CommandKind) -> str:
    return kind.value.replace("_", " ").capitalize()
