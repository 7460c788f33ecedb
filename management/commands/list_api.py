"""The API's view of the list of commands: the console's filter, its count and its file."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.agent import CommandKind
from management.access import Permission
from management.api.bodies import CountAnswer
from management.api.operations import FileAnswer, Limit, Place, Words, operation
from management.commands import search
from management.commands.api import Argument, CommandAnswer, answer_of, bp
from management.commands.export import as_csv
from management.commands.filters import NAMES, CommandFilter
from management.commands.queries import Cursor
from management.paging import time_cursor, write_cursor
from management.personal import file_of, list_of, tell_number
from management.web import reader, reading


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsQuery:
    """Which commands are wanted; what is empty filters nothing."""

    text: Words = ""
    """Words that the device's name, owner, address, model, serial number or IMEI begin with; of
    Japanese any two characters, of numbers also the last 4 to 6 digits."""
    owner_address: Words = ""
    """Of the device's owner, whole."""
    device_id: UUID | None = None
    kind: CommandKind | Literal[""] = ""
    state: Literal[
        "", "queued", "sent", "acknowledged", "done", "failed", "expired", "cancelled"
    ] = ""
    waiting_for: Literal["", "undo", "approval", "enforcement", "retry", "return", "person"] = ""
    requested_by: Argument = ""
    batch_id: UUID | None = None
    """The bulk command that it is part of."""
    since: AwareDatetime | None = None
    """Asked for at this instant or later."""
    until: AwareDatetime | None = None
    """Asked for before this instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandQuery(CommandsQuery):
    """Which commands are wanted, and which page of them."""

    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPage:
    """Commands, newest first.

    A page may hold fewer than asked for although ``next`` is there: the search goes on behind it.
    """

    items: tuple[CommandAnswer, ...]
    next: str | None
    count: CountAnswer


@operation(bp, "/commands", Permission.VIEW, in_groups=True, shows=list_of("commands"))
def list_commands(query: CommandQuery) -> CommandPage:
    """List commands, newest first."""
    place = Cursor(*time_cursor(query.after)) if query.after else None
    with reading() as session:
        page = search.look(session, _filter(query), place, query.limit)
    more = page.more
    return CommandPage(
        items=tuple(answer_of(row.command) for row in page.rows),
        next=None if more is None else write_cursor(more.queued_at, more.command_id),
        count=CountAnswer(value=page.count.number, capped=page.count.more),
    )


@operation(
    bp,
    "/commands/list.csv",
    Permission.VIEW,
    in_groups=True,
    media_type="text/csv; charset=utf-8",
    shows=file_of("command.export", "commands"),
)
def export_commands(query: CommandsQuery) -> FileAnswer:
    """Get all commands of a filter as a CSV file, newest first.

    It begins with a byte order mark and has a line of names; nothing in it is taken for a formula.
    The audit trail notes who took it.
    """
    wanted = _filter(query)
    with reading() as session:
        tell_number(search.count_all(session, wanted))
    return FileAnswer("commands.csv", as_csv(reader(), wanted))


def _filter(query: CommandsQuery) -> CommandFilter:
    return CommandFilter(**{field: getattr(query, field) for field in NAMES.values()})
