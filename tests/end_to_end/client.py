"""An administrator's program: plain HTTP, which repeats what was not answered."""

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, TypeVar

import httpx
import pyotp

from tests.end_to_end.product import until

T = TypeVar("T")
NAME, PASSWORD = "ada", "correct horse battery staple"
PATIENCE_SECONDS = 90.0


class Form(HTMLParser):
    """The fields of the form with *action*, as a browser would send them."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.select = action, False, ""
        self.fields: dict[str, str] = {}
        self.feed(page)
        assert self.fields, f"no form for {action} in {page}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = said.get("action") == self.action
        elif self.inside and tag == "input":
            if said.get("type") not in ("checkbox", "radio") or "checked" in said:
                self.fields[said.get("name", "")] = said.get("value", "on")
        elif self.inside and tag == "select":
            self.select = said.get("name", "")
        elif self.inside and tag == "option" and "selected" in said:
            self.fields[self.select] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "form"


class Client:
    """One administrator, with a browser's cookies and, once made, an API token."""

    def __init__(self, console: str) -> None:
        self.http = httpx.Client(base_url=console, verify=False, timeout=20, trust_env=False)
        self.token = ""
        self.unanswered = 0
        """Requests of which nobody knows what became of them."""

    def close(self) -> None:
        self.http.close()

    def attempt(self, method: str, path: str, **said: Any) -> httpx.Response | None:
        """Ask once; None when nothing, or only that it failed, was answered."""
        if path.startswith("/api/"):
            said["headers"] = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = self.http.request(method, path, **said)
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code >= 500:
            self.unanswered += 1
            time.sleep(0.2)
            return None
        return answer

    def ask(self, method: str, path: str, **said: Any) -> httpx.Response:
        """Ask until there is an answer: only for what bears repetition."""
        return until(
            f"{method} {path} is answered",
            lambda: self.attempt(method, path, **said),
            PATIENCE_SECONDS,
        )

    def get(self, path: str, **query: str) -> Any:
        """Return what the API says."""
        answer = self.ask("GET", f"/api/v1{path}", params=query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def make(self, path: str, body: dict[str, Any], look: Callable[[], Any]) -> Any:
        """Post to the API; when no answer came, *look* first whether it was done all the same."""

        def made() -> Any:
            answer = self.attempt("POST", f"/api/v1{path}", json=body)
            if answer is None:
                return look()
            assert answer.status_code in (201, 202), (path, answer.status_code, answer.text)
            return answer.json()

        return until(f"{path} is taken", made, PATIENCE_SECONDS)

    def fill(self, page: str, action: str, files: Any = None, **fields: str) -> httpx.Response:
        """Open *page*, fill its form in and send it, again when no answer came."""

        def sent() -> httpx.Response | None:
            shown = self.attempt("GET", page)
            if shown is None:
                return None
            assert shown.status_code == 200, (page, shown.status_code, shown.text)
            known = Form(shown.text, action).fields | fields
            if files is not None:
                known.pop("file", None)
            return self.attempt("POST", action, data=known, files=files)

        return until(f"{action} is taken", sent, PATIENCE_SECONDS)

    def set_up(self, link: str) -> None:
        """Become the first administrator."""
        page = self.http.get(link).text
        shown = re.search(r'class="sk-key">([^<]+)<', page)
        assert shown, page
        code = pyotp.TOTP(re.sub(r"\s", "", shown[1])).now()
        fields = Form(page, "/setup").fields | {"name": NAME, "password": PASSWORD, "code": code}
        answer = self.http.post("/setup", data=fields)
        assert answer.status_code == 302, answer.text
