"""Calls the REST API: a token over checked TLS, every error in words, no POST done twice."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Self
from uuid import uuid4

import httpx

from runtime.errors import (
    ForbiddenError,
    MalformedMessageError,
    NotFoundError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from sekisho.remote import trust
from sekisho.remote.profile import Profile
from sekisho.remote.shown import safe

BASE = "/api/v1"
CONNECT_SECONDS = 20
ANSWER_SECONDS = 60
FILE_SECONDS = 600
"""The list of a million devices takes the server a while before its first byte."""
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
LARGEST_PROBLEM_BYTES = 64 * 1024
WAITS = (0.5, 3.0)
"""After each try but the last, in seconds."""
SAFE_TO_REPEAT = frozenset({"GET", "POST"})
"""A POST because of its `Idempotency-Key`."""
ERROR_OF: dict[int, type[SekishoError]] = {
    400: MalformedMessageError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MalformedMessageError,
    413: TooLargeError,
    415: MalformedMessageError,
}
MENDS = {
    401: "Make a token in the console under My account, then: sekisho remote login {url}",
    412: "Read it again with --include, and send the ETag that it shows now as --if-match.",
}

Body = bytes | Iterable[bytes]
Query = Mapping[str, str]


class Remote:
    """A server that is administered from afar; a context manager."""

    def __init__(self, profile: Profile) -> None:
        self.url = profile.url
        self._http = httpx.Client(
            base_url=profile.url,
            verify=trust.context_of(profile.authority),
            trust_env=False,
            headers={
                "Authorization": f"Bearer {profile.token}",
                "User-Agent": f"sekisho-remote/{version('sekisho')}",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> Any:
        """Return what GET answers."""
        return self.ask("GET", path, query)

    def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the answer of an operation that takes and gives JSON."""
        sent = None if body is None else json.dumps(body).encode()
        kind = {} if sent is None else {"Content-Type": "application/json"}
        with self.opened(method, path, query, sent, {**kind, **(headers or {})}) as answer:
            return read_json(answer)

    def items(self, path: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """Yield everything of a list, page by page."""
        after: str | None = ""
        while after is not None:
            place = {"after": after} if after else {}
            page = self.get(path, {"limit": "200", **(query or {}), **place})
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise MalformedMessageError(f"{path} is no list with pages.")
            yield from page["items"]
            after = page.get("next")

    @contextmanager
    def opened(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = ANSWER_SECONDS,
    ) -> Iterator[httpx.Response]:
        """Yield an answer that is no error, its body unread; wait *patience* seconds for each part.

        Raises UnavailableError when nobody answers, and the server's words for whatever it refuses.
        """
        given = dict(headers or {})
        if method == "POST":
            given.setdefault("Idempotency-Key", uuid4().hex)
        request = self._http.build_request(
            method,
            place_of(path),
            params=query or None,
            content=body,
            headers=given,
            timeout=httpx.Timeout(patience, connect=CONNECT_SECONDS),
        )
        answer = self._sent(request, is_whole=body is None or isinstance(body, bytes))
        try:
            if answer.status_code >= 300:
                raise self._problem(answer)
            with _in_words(self.url):
                yield answer
        finally:
            answer.close()

    def _sent(self, request: httpx.Request, is_whole: bool) -> httpx.Response:
        """Send; again when the connection broke, where that does nothing twice."""
        may_repeat = is_whole and request.method in SAFE_TO_REPEAT
        for wait in WAITS if may_repeat else ():
            try:
                return self._http.send(request, stream=True)
            except httpx.TimeoutException as error:
                raise _unreachable(self.url, error) from None
            except httpx.TransportError as error:
                if trust.refusal(error):
                    raise _unreachable(self.url, error) from None
            time.sleep(wait)
        with _in_words(self.url):
            return self._http.send(request, stream=True)

    def _problem(self, answer: httpx.Response) -> SekishoError:
        """Return what the server refuses, in its words and with what mends it."""
        status, said = answer.status_code, _problem_of(answer)
        title = str(said.get("title") or f"Status {status}")
        detail = str(said.get("detail") or "")
        mends = [MENDS[status].format(url=self.url)] if status in MENDS else []
        if status >= 500:
            number = str(said.get("instance") or "").removeprefix("urn:sekisho:request:")
            mends += [f"In the server's log this is request {number}."] if number else []
        usual = UnavailableError if status >= 500 or status == 429 or status < 400 else RefusedError
        kind = ERROR_OF.get(status, usual)
        return kind(safe(" ".join([f"{title}: {detail}" if detail else f"{title}.", *mends])))


def place_of(path: str) -> str:
    """Return a path under the API; never another server's address, which would get the token."""
    named = f"/{path.removeprefix('/')}"
    whole = named if named.startswith(f"{BASE}/") else f"{BASE}{named}"
    if "//" in whole.partition("?")[0] or ".." in whole or "\\" in whole or "#" in whole:
        raise MalformedMessageError(f"{safe(path)} is no path of the API, like /devices.")
    return whole


def read_json(answer: httpx.Response) -> Any:
    """Return a JSON answer, if it is one of a size that fits into memory."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        kind = safe(answer.headers.get("Content-Type", "nothing"))
        raise MalformedMessageError(f"This answers a file ({kind}). Say where: --output FILE")
    body = _bounded(answer, LARGEST_ANSWER_BYTES)
    try:
        return json.loads(body)
    except ValueError:
        raise UnavailableError("What came is no JSON. Is this a Sekisho console?") from None


def _bounded(answer: httpx.Response, limit: int) -> bytes:
    found = bytearray()
    for piece in answer.iter_bytes():
        found += piece
        if len(found) > limit:
            raise TooLargeError(f"The answer is larger than {limit} bytes.")
    return bytes(found)


def _problem_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = json.loads(_bounded(answer, LARGEST_PROBLEM_BYTES))
    except (ValueError, TooLargeError, httpx.HTTPError):
        return {}
    return said if isinstance(said, dict) else {}


@contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Say what broke while an answer was read."""
    try:
        yield
    except httpx.TransportError as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: httpx.TransportError) -> UnavailableError:
    why = trust.refusal(error)
    if why:
        return UnavailableError(
            f"The certificate of {url} is not trusted ({why}); nothing was sent. If the server got"
            f" another authority, sign in again: sekisho remote login {url}"
        )
    return UnavailableError(f"{url} cannot be reached, or the answer broke off: {error}")
