"""Sends pages, scripts and styles packed (gzip), so that a first visit stays below 300 kB.

Packing a page that holds a secret beside what an attacker put into the request can betray the
secret (BREACH) to whoever makes the visitor's browser ask again and again. Our cookies are
``SameSite=Strict``: what another site asks for comes without them and holds no secret.
"""

import gzip
from functools import lru_cache

from flask import Response, request

from management.assets import STATIC

LEVEL = 5
"""Of a page: the size of the best level for a third of its time."""
LEAST_BYTES = 1000
TEXTS = (".css", ".js", ".svg")
MOST_FILES = 64
"""Kept packed; more than there are."""


def pack(response: Response) -> Response:
    """Pack an HTML page, if the browser takes that."""
    if (
        response.mimetype != "text/html"
        or response.is_streamed
        or "Content-Encoding" in response.headers
        or not request.accept_encodings["gzip"]
        or len(body := response.get_data()) < LEAST_BYTES
    ):
        return response
    return _packed(response, gzip.compress(body, LEVEL, mtime=0))


def pack_file(response: Response, name: str) -> Response:
    """Pack a file of `STATIC`; each is packed once, under the one *name* that it has."""
    if not name.endswith(TEXTS) or response.status_code != 200:
        return response
    response.vary.add("Accept-Encoding")
    if not request.accept_encodings["gzip"]:
        return response
    response.direct_passthrough = False
    response.close()  # the file that was to be sent as it is
    return _packed(response, _file(name))


@lru_cache(MOST_FILES)
def _file(name: str) -> bytes:
    return gzip.compress((STATIC / name).read_bytes(), 9, mtime=0)


def _packed(response: Response, body: bytes) -> Response:
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response
