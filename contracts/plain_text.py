"""Makes text from outside storable: JSON can carry characters that databases and pages cannot."""

import json
import re
from typing import Any

from runtime.errors import MalformedMessageError

_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNFIT = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def plain(value: Any) -> Any:
    """Return a JSON value in which U+0000 and unpaired surrogates are replacement characters.

    PostgreSQL stores neither, and UTF-8 has no bytes for the latter. Two keys that become the
    same are one, the last.
    """
    if isinstance(value, str):
        return _UNFIT.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def plain_json(body: bytes) -> bytes:
    """Return the JSON text *body* with its strings made `plain`; the usual text comes back as is.

    MalformedMessageError when it is no JSON.
    """
    if not _SUSPECT.search(body):
        return body
    try:
        return json.dumps(plain(json.loads(body))).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"Not JSON ({type(error).__name__}).") from None
