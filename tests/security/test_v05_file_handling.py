"""ASVS 5 V5, file handling: what is uploaded is kept, never run, never served.

| attack | also shown by |
|---|---|
| upload of a web shell | here |
| path traversal in downloads and static files | here |
| names of files | here; where a file goes: `test_apps` |
| bombs, broken archives | `tests/scanner` |
| too large, breaking off | `test_apps`, `test_web_server` |
"""

from hashlib import sha256
from io import BytesIO

import pytest

from management import assets
from management.apps import uploads
from tests.security.conftest import Target

SHELL = b"<?php system($_GET['c']); ?><script>alert(1)</script>"


def test_a_web_shell_is_only_a_file_that_nobody_can_call(target: Target) -> None:
    form = {"file": (BytesIO(SHELL), "../../static/shell.php")}
    answer = target.owner.post("/apps/upload", data=form, content_type="multipart/form-data")
    assert answer.status_code in {200, 302, 303, 400, 409, 422}
    name = sha256(SHELL).hexdigest()
    kept = uploads.file_of(target.context.settings.home, name)
    assert not list(assets.STATIC.rglob("shell*"))
    if kept.exists():
        assert kept.is_relative_to(target.context.settings.home / "uploads")
        assert kept.stat().st_mode & 0o177 == 0, "not executable, for this user only"
    for path in ("/shell.php", "/uploads/shell.php", f"/uploads/{name}.apk", f"/static/{name}.apk"):
        assert target.owner.get(path).status_code == 404
    page = target.owner.get(f"/apps/{name}")
    assert b"system(" not in page.data


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/%2e%2e/keys/secret.key",
        "vendor/../../app.py",
        "/etc/passwd",
        "....//app.py",
        "..\\app.py",
        "vendor",
        "",
    ],
)
def test_no_path_leaves_the_folder_of_static_files(target: Target, path: str) -> None:
    answer = target.stranger().get(f"/static/{assets.version()}/{path}")
    assert answer.status_code in {302, 308, 404}
    assert b"import" not in answer.data
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "path", ["/.git/config", "/.env", "/sekisho.db", "/sekisho.toml", "/keys/secret.key"]
)
def test_no_file_of_the_installation_has_an_address(target: Target, path: str) -> None:
    assert target.stranger().get(path).status_code == 404
