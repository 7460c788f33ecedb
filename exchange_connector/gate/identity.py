"""Who asks for what: a phone's query string and user name, read strictly. Pure.

What is forwarded is what was decided on: the query is written anew from the parts that were read,
so no server can read another DeviceId out of it than we did. Whatever has two meanings (a name
twice, bytes left over, a user name that is not UTF-8) is refused.

Sources: MS-ASHTTP 2.2.1.1.1 (base64 and plain query), 2.2.1.1.2 (headers); RFC 7617 (Basic).
"""

import base64
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from exchange_connector.gate.commands import COMMAND_CODES, COMMANDS
from runtime.errors import MalformedMessageError, UnauthenticatedError

Key = tuple[str, str]
"""(user, DeviceId in small letters): what decisions are kept for."""
LONGEST_QUERY = 4096
LONGEST_NAME_BYTES = 255
"""Of a user, as said and in the one spelling: normalised text may be eighteen times longer."""
MOST_PARAMETERS = 16
LONGEST_DEVICE_ID = 64
_NAME = re.compile(r"[A-Za-z]{1,32}")
_PLAIN_TEXT = re.compile(r"[!-~]+")
_VERSION = re.compile(r"(\d{1,2})\.(\d)")


class UnreadableError(MalformedMessageError):
    """The request says not, or not clearly, which phone asks for what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as far as a decision and its answer depend on it."""

    command: str
    version: int
    """Of the protocol, times ten (141); 0 when the phone does not say."""
    device_id: str
    device_type: str
    query: str
    """To forward: it says what the fields above say, and nothing twice."""


def read_query(query: str, version: str = "") -> Asked:
    """Return what the *query* (without ``?``) asks for; *version* is ``MS-ASProtocolVersion``.

    Raises UnreadableError.
    """
    if not query or len(query) > LONGEST_QUERY:
        raise UnreadableError("The query is empty or too long.")
    return _read_plain(query, version) if "&" in query else _read_base64(query)


def _read_plain(query: str, version: str) -> Asked:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise UnreadableError("The query is no list of names and values.") from None
    said = {name.lower(): value for name, value in pairs}
    if len(said) != len(pairs) or not all(_NAME.fullmatch(name) for name in said):
        raise UnreadableError("The query says something twice, or under a strange name.")
    if not all(value.isprintable() for value in said.values()):
        raise UnreadableError("The query holds control characters.")
    command = _command(said.pop("cmd", ""))
    device_id = _device_id(said.get("deviceid", "").encode())
    rest = "&".join(f"{_SPELLED.get(n, n)}={quote(v, safe='/:@')}" for n, v in said.items())
    return Asked(
        command, _version(version), device_id, said.get("devicetype", ""), f"Cmd={command}&{rest}"
    )


_SPELLED = {
    name.lower(): name
    for name in (
        *("User", "DeviceId", "DeviceType", "AttachmentName", "CollectionId", "CollectionName"),
        *("ItemId", "LongId", "ParentId", "Occurrence", "SaveInSent", "Options", "AcceptMultiPart"),
    )
}
"""How servers spell them: some look for exactly this."""


def _command(said: str) -> str:
    found = COMMANDS.get(said.lower())
    if found is None:
        raise UnreadableError("The command is unknown.")
    return found


def _version(said: str) -> int:
    found = _VERSION.fullmatch(said.strip())
    return int(found[1]) * 10 + int(found[2]) if found else 0


def _device_id(raw: bytes) -> str:
    """Return the DeviceId as Exchange shows it: text as it is, other bytes in hexadecimal."""
    text = raw.decode("ascii", "replace")
    if not _PLAIN_TEXT.fullmatch(text):
        text = raw.hex().upper()
    if not 1 <= len(text) <= LONGEST_DEVICE_ID:
        raise UnreadableError("The DeviceId is missing or too long.")
    return text


def _read_base64(query: str) -> Asked:
    text = unquote(query).rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return _read_fields(raw)
    except (ValueError, LookupError):  # binascii.Error is a ValueError
        raise UnreadableError("The query is neither plain nor base64 of the right form.") from None


def _read_fields(raw: bytes) -> Asked:
    """Read version, command, locale, DeviceId, policy key, DeviceType, parameters to the end."""
    command = COMMAND_CODES[raw[1]]
    device_id, rest = _cut(raw[4:])
    policy_key, rest = _cut(rest)
    device_type, rest = _cut(rest)
    if len(policy_key) not in (0, 4):
        raise ValueError("policy key")
    tags = []
    while rest:
        tags.append(rest[0])
        _, rest = _cut(rest[1:])
    if len(tags) != len(set(tags)) or len(tags) > MOST_PARAMETERS:
        raise ValueError("parameters")
    kind = device_type.decode("ascii", "replace")
    return Asked(
        command, raw[0], _device_id(device_id), kind, base64.b64encode(raw).decode("ascii")
    )


def _cut(raw: bytes) -> tuple[bytes, bytes]:
    """Return (the field whose length the first byte says, what follows)."""
    length = raw[0]
    if len(raw) <= length:
        raise ValueError("a field ends early")
    return raw[1 : 1 + length], raw[1 + length :]


def read_user(authorization: str | None, mail_domain: str = "") -> str:
    """Return whom the mail server will take the phone for, always in one spelling.

    ``EXAMPLE\\ada``, ``Ada`` and ``ada@example.com`` are one user where *mail_domain* is
    ``example.com``. Raises UnauthenticatedError without credentials, UnreadableError for any that
    do not show a name (bearer tokens, Negotiate).
    """
    if not authorization:
        raise UnauthenticatedError("Sign in.")
    scheme, _, said = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise UnreadableError("Only Basic authentication shows who asks.")
    try:
        name, colon, _ = base64.b64decode(said.strip(), validate=True).partition(b":")
        if len(name) > LONGEST_NAME_BYTES:
            raise ValueError("too long")
        user = canonical_user(name.decode("utf-8"), mail_domain)
        if len(user.encode()) > LONGEST_NAME_BYTES:
            raise ValueError("too long")
    except ValueError:
        raise UnreadableError("The credentials cannot be read.") from None
    if not colon or not user or not user.isprintable():
        raise UnreadableError("The credentials name nobody.")
    return user


def canonical_user(name: str, mail_domain: str = "") -> str:
    """Return *name* in the one spelling that decisions are kept for.

    Nothing is remembered: anybody can send any number of names before a password is looked at.
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    plain = plain.rpartition("\\")[2]
    if plain and mail_domain and "@" not in plain:
        return f"{plain}@{mail_domain.casefold()}"
    return plain


def key_of(user: str, device_id: str) -> Key:
    """Return what the decision about this phone of this user is kept for."""
    return user, device_id.casefold()
