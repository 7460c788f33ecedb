"""How we greet a mail server."""

import socket

from management.outgoing_mail.rules import HOST


def own_name(connection: socket.socket) -> str:
    """Return how we greet: by a name with a domain, else by our address (RFC 5321, 4.1.3)."""
    name, address = socket.gethostname(), str(connection.getsockname()[0])
    if "." in name and HOST.fullmatch(name):
        return name
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
