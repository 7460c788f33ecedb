"""Takes a command to its next step."""

from datetime import datetime

from contracts.agent import CommandKind
from management.commands.models import Command
from management.commands.rules import FINISHED, SECRETS, CommandState, Waiting, without_secrets


def step(command: Command, following: CommandState, now: datetime, detail: str) -> None:
    """Go on to the next step; times never run backwards, also when the clock does.

    What must stay secret is forgotten once the command ended.
    """
    earlier = (command.queued_at, command.sent_at, command.acknowledged_at)
    at = max(now, *(time for time in earlier if time is not None))
    command.state, command.detail = following.value, detail[:4000]
    command.waiting_for = Waiting.NOTHING.value
    if following is CommandState.SENT:
        command.sent_at = at
    elif following is CommandState.ACKNOWLEDGED:
        command.acknowledged_at = at
    else:
        command.finished_at = at
    if following in FINISHED and command.kind in SECRETS:
        command.arguments = without_secrets(CommandKind(command.kind), command.arguments)
