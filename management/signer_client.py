"""Asks the signer's process; one connection for each question."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts import agent, codec
from management import signer_messages as messages
from runtime import errors

TIMEOUT_SECONDS = 10.0


class SignerClient:
    """Each method raises UnavailableError when the signer does not answer."""

    def __init__(self, socket_path: Path) -> None:
        """Ask at *socket_path*; nothing is opened before the first question."""
        self.socket_path = socket_path

    def sign_order(self, order: agent.Order) -> str:
        """Return *order* as a compact JWS.

        RefusedError names the limit when a wipe exceeds it and nobody approved that command, and
        says so when the signer is paused. The same command_id counts once.
        """
        return str(self._ask(messages.SignOrder(order=codec.write(order).decode()))["token"])

    def sign_trust(self, statement: agent.TrustStatement) -> str:
        """Return *statement* as a compact JWS; RefusedError unless it names the signer's keys."""
        text = codec.write(statement).decode()
        return str(self._ask(messages.SignTrust(statement=text))["token"])

    def public_key(self) -> dict[str, str]:
        """Return the public order-signing key as a JWK."""
        return dict(self.status()["public_key"])

    def successor_thumbprint(self) -> str:
        """Return the thumbprint of the key that will follow."""
        return str(self.status()["successor_thumbprint"])

    def begin_totp(self, administrator_id: UUID, name: str) -> str:
        """Return an otpauth URI to show once; the same again until it is confirmed.

        RefusedError when this administrator has confirmed one already.
        """
        asked = messages.BeginTotp(administrator_id=administrator_id, name=name)
        return str(self._ask(asked)["uri"])

    def check_totp(self, administrator_id: UUID, code: str) -> bool:
        """Tell whether *code* is right; each counts once, the first right one confirms.

        RefusedError says how long to wait after many wrong ones.
        """
        if not _code_like(code):
            return False
        asked = messages.CheckTotp(administrator_id=administrator_id, code=code)
        return bool(self._ask(asked)["right"])

    def forget_totp(self, administrator_id: UUID) -> None:
        """Forget the seed, so that a new one can begin; only for whoever runs the machine."""
        self._ask(messages.ForgetTotp(administrator_id=administrator_id))

    def approve(
        self,
        command_id: UUID,
        administrator_id: UUID,
        code: str,
        requested_by: UUID | None = None,
    ) -> None:
        """Let this one command pass the limits, proved by a fresh *code* of an administrator.

        RefusedError when the code is wrong or used, or *requested_by* is the same person.
        """
        if not _code_like(code):
            raise errors.RefusedError("This code is wrong or was used before.")
        self._ask(
            messages.Approve(
                command_id=command_id,
                administrator_id=administrator_id,
                code=code,
                requested_by=requested_by,
            )
        )

    def pause(self, because: str) -> None:
        """Sign no wipe until `resume`; other orders go on."""
        self._ask(messages.Pause(because=because[:255]))

    def resume(self) -> None:
        """Sign wipes again; only for whoever runs the machine."""
        self._ask(messages.Resume())

    def status(self) -> dict[str, Any]:
        """Return ``public_key``, ``thumbprint``, ``successor_thumbprint``, ``paused_because``,
        ``trust_issue`` (the highest signed), ``limits`` and ``used`` (each kind -> {"hour": n,
        "day": n}), ``administrators``.
        """
        return self._ask(messages.Describe())

    def _ask(self, body: messages.Body) -> dict[str, Any]:
        request = codec.write(messages.SignerRequest(body=body))
        try:
            with connect(self.socket_path) as connection:
                messages.send(connection, request)
                raw = messages.receive(connection)
        except (OSError, errors.MalformedMessageError) as error:
            raise _silent(type(error).__name__) from None
        if raw is None:
            raise _silent("it hung up")
        answer = codec.read(messages.SignerAnswer, raw, messages.MAXIMUM_BYTES)
        if answer.error:
            raise _error(answer)
        return answer.fields


@contextmanager
def connect(path: Path) -> Iterator[socket.socket]:
    """Open a connection to the socket at *path*, which may be longer than 107 bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, short(path) as address:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(address)
        yield connection


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a name of *path* that fits in a socket address."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _code_like(code: str) -> bool:
    return code.isascii() and code.isdigit() and 6 <= len(code) <= 10


def _silent(what: str) -> errors.UnavailableError:
    return errors.UnavailableError(
        f"The order signer does not answer ({what}). Start it with `sekisho management signer`."
    )


def _error(answer: messages.SignerAnswer) -> errors.SekishoError:
    kind = getattr(errors, answer.error, errors.SekishoError)
    known = isinstance(kind, type) and issubclass(kind, errors.SekishoError)
    return kind(answer.text) if known else errors.SekishoError(answer.text)
