"""Browsers for tests: Flask's test client over HTTPS, which sends the CSRF token as pages do."""

import re
from typing import Any

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from management.access import Role
from management.administrators import service
from management.administrators.models import AdminSession
from management.administrators.queries import find_administrator
from management.administrators.rules import FRESH
from management.administrators.sessions import COOKIE
from management.context import Context
from runtime.clock import utc_now

PASSWORD = "the moon rises over the pass"
BASE = "https://localhost"
_TOKEN = re.compile(r'"X-CSRFToken": "([^"]+)"')


class ConsoleClient(FlaskClient):
    """Sends the CSRF token with each change, unless ``forged=True``."""

    token = ""

    def open(self, *args: Any, forged: bool = False, **kwargs: Any) -> TestResponse:
        kwargs.setdefault("base_url", BASE)
        if not forged and kwargs.get("method", "GET") not in {"GET", "HEAD"}:
            headers = dict(kwargs.pop("headers", None) or {})
            kwargs["headers"] = {"X-CSRFToken": self._csrf_token(), **headers}
        answer = super().open(*args, **kwargs)
        if any(text.startswith(f"{COOKIE}=") for text in answer.headers.getlist("Set-Cookie")):
            self.token = ""  # another session: it has another token
        return answer

    def _csrf_token(self) -> str:
        if not self.token:
            found = None
            for page in ("/account", "/sign-in"):
                found = found or _TOKEN.search(super().open(page, base_url=BASE).text)
            self.token = found[1] if found else ""
        return self.token


def signed_in_client(app: Flask, context: Context, name: str, role: Role) -> ConsoleClient:
    """Return a browser in which a fresh administrator of *role* is signed in."""
    now = utc_now()
    with context.database.transaction("sign a test's administrator in") as session:
        administrator = service.add_administrator(session, name, role, now)
        service.change_password(administrator, PASSWORD)
        raw_id = service.begin_session(session, administrator, "127.0.0.1", now)
    client = ConsoleClient(app, use_cookies=True)
    client.set_cookie(COOKIE, raw_id, domain="localhost", secure=True)
    return client


def api_client(app: Flask, context: Context, name: str, role: Role) -> ConsoleClient:
    """Return a program's client that sends an API token of a fresh administrator of *role*."""
    now = utc_now()
    with context.database.transaction("make a test's API token") as session:
        administrator = service.add_administrator(session, name, role, now)
        token = service.make_token(session, administrator, "test", now)
    client = ConsoleClient(app, use_cookies=False)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def own_code(context: Context, name: str) -> str:
    """Return a code that the authenticator app of an administrator shows now, of a fresh app:
    each code counts once.
    """
    with context.database.reading() as session:
        person = find_administrator(session, name)
        assert person is not None
    context.signer.forget_totp(person.id)
    uri = context.signer.begin_totp(person.id, name)
    return pyotp.TOTP(uri.partition("secret=")[2].partition("&")[0]).now()


def grow_old(context: Context) -> None:
    """Let everybody's last proof of who they are be too long ago."""
    with context.database.transaction("wait") as session:
        for row in session.scalars(select(AdminSession)):
            row.data = {**row.data, "proved_at": row.data["proved_at"] - FRESH.total_seconds()}
