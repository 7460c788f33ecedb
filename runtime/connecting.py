"""Connects within one time for everything: looking the name up and all of its addresses."""

import socket
import ssl
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread

MOST_ADDRESSES = 8
"""Of one name; more are not tried."""
Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


def connect(host: str, port: int, ends_at: float) -> socket.socket:
    """Return a connection to the first address of *host* that takes one before *ends_at*, on the
    monotonic clock; OSError: the last one's, TimeoutError when time is over.

    Each address gets its share of what is left: a silent one leaves some for those behind it.
    """
    addresses = _look_up(host, port, ends_at)[:MOST_ADDRESSES]
    failed: OSError = OSError("the name has no address")
    for tried, (family, address) in enumerate(addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(left(ends_at) / (len(addresses) - tried))
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failed = error
    raise failed


def left(ends_at: float) -> float:
    """Return how many seconds are left; TimeoutError: none."""
    seconds = ends_at - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("it took too long")
    return seconds


def shown_certificate(host: str, port: int, ends_at: float) -> bytes:
    """Return the certificate (DER) that is shown there, whoever issued it; OSError: none is."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    with connect(host, port, ends_at) as plain:
        plain.settimeout(left(ends_at))  # of a handshake as a whole
        with anything.wrap_socket(plain, server_hostname=host) as secure:
            return secure.getpeercert(binary_form=True) or b""


def _look_up(host: str, port: int, ends_at: float) -> Sequence[Address]:
    """Ask in a thread: the system's resolver knows no time limit of ours, and ends by its own."""
    answers: SimpleQueue[Sequence[Address] | OSError] = SimpleQueue()
    Thread(target=_ask, args=(host, port, answers), daemon=True).start()
    try:
        found = answers.get(timeout=left(ends_at))
    except Empty:
        raise TimeoutError("its name was not found in time") from None
    if isinstance(found, OSError):
        raise found
    return found


def _ask(host: str, port: int, answers: SimpleQueue[Sequence[Address] | OSError]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is too long
        answers.put(OSError(f"{host} is no name of a server"))
    except OSError as error:
        answers.put(error)
    else:
        answers.put([(one[0], one[4]) for one in found])
