"""docs/administration-from-afar.md: each command line in it is one, each file has an operation."""

import re
import shlex
from pathlib import Path

import click
import pytest

from contracts.orders import CommandKind
from management.commands.rules import DESTRUCTIVE
from sekisho.remote import orders
from sekisho.remote.cli import remote
from tests.management.parity import FILES

DOCUMENT = Path(__file__).parents[2] / "docs" / "administration-from-afar.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
LINES = re.findall(r"^(?:\$ )?sekisho remote (.+?)(?: \|.*)?$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_the_document_is_one(line: str) -> None:
    name, *words = shlex.split(line)
    command = remote.commands[name]
    with click.Context(command, info_name=name) as context:
        assert command.parse_args(context, words) == []


def test_every_kind_of_order_and_every_option_that_is_named_is_there() -> None:
    named = {kind.value.replace("_", "-") for kind in CommandKind}
    assert named <= remote.commands.keys()
    assert orders.SAYS.keys() == set(CommandKind)
    known = {
        option
        for command in remote.commands.values()
        for one in command.params
        for option in one.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= known
    assert [kind for kind in CommandKind if "--yes" in _options(kind)] == sorted(
        DESTRUCTIVE, key=list(CommandKind).index
    )


def _options(kind: CommandKind) -> set[str]:
    return {option for one in orders.parameters(kind) for option in one.opts}


def test_the_table_of_files_names_as_many_as_there_are() -> None:
    table = TEXT.partition("## Files")[2].partition("## Exit status")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    logs = {"get_relay_log", "get_connector_log"}
    assert len(rows) == len({*FILES.values()} - {"get_app"} - logs) + 1
