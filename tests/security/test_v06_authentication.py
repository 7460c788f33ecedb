"""ASVS 5 V6, authentication: who one claims to be.

| attack | also shown by |
|---|---|
| default credentials | here |
| common and short passwords | `console/test_sign_in`; all rules: here |
| guessing: growing delay, never for ever, per name and address | `console/test_sign_in` |
| keeping somebody else waiting | `console/test_sign_in` (known browsers, ceiling) |
| finding out names | here, `console/test_sign_in` |
| codes used twice | `console/test_sign_in`, `test_signer` |
| passkeys: copied, replayed, for another site | `console/test_passkeys`, `browser/test_passkeys` |
| recovery: one-time links | `console/test_sign_in`, `console/test_admin_command` |
"""

import pytest

from management.administrators import rules
from tests.security.conftest import Target

DEFAULTS = (
    ("admin", "admin"),
    ("administrator", "password"),
    ("root", "root"),
    ("sekisho", "sekisho"),
    ("keeper", "changeme"),
    ("", ""),
)


@pytest.mark.parametrize(("name", "password"), DEFAULTS)
def test_no_default_account_opens_the_door(target: Target, name: str, password: str) -> None:
    stranger = target.stranger()
    stranger.environ_base["REMOTE_ADDR"] = f"198.51.100.{1 + DEFAULTS.index((name, password))}"
    form = {"name": name, "password": password, "code": "000000"}
    assert stranger.post("/sign-in", data=form).status_code == 401
    assert stranger.get("/account").status_code == 302


def test_a_name_that_nobody_has_gets_the_same_answer(target: Target) -> None:
    said = []
    for name in ("keeper", "nobody"):
        stranger = target.stranger()
        stranger.environ_base["REMOTE_ADDR"] = "198.51.100.77"
        form = {"name": name, "password": "not this one, surely", "code": "000000"}
        answer = stranger.post("/sign-in", data=form)
        page = answer.text.replace(name, "").split('role="alert"')[1].split("</div>")[0]
        said.append((answer.status_code, page))
    assert said[0] == said[1]


def test_the_setup_page_opens_with_a_link_only(target: Target) -> None:
    for token in ("", "a", "0" * 43, "../"):
        assert target.stranger().get("/setup", query_string={"token": token}).status_code == 410


@pytest.mark.parametrize(
    "guess", ["password12345", "Passw0rd!!!!", "qwertyuiop12", "123456789012", "keeperkeeper1"]
)
def test_what_attackers_try_first_is_no_password(guess: str) -> None:
    assert rules.password_problem(guess, "keeper") is not None
