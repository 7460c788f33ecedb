"""ASVS 5 V14, data protection: what stays behind in caches, addresses and other people's logs.

| attack | also shown by |
|---|---|
| pages and files in a cache | here |
| looking at personal data unseen | file: `console/test_devices_page`; `test_audit` |
| secrets in addresses that leave the site | here |
| old data | `test_audit_checkpoints` (purge), `test_facts` |
"""

from tests.security.conftest import Target


def test_nothing_about_anybody_is_kept_in_a_cache(target: Target) -> None:
    device = target.fleet.devices[0]
    for path in (
        "/",
        "/devices",
        f"/devices/{device}",
        "/devices/devices.csv",
        "/account",
        "/sign-in",
        "/no",
    ):
        answer = target.owner.get(path)
        assert answer.headers["Cache-Control"] == "no-store", path
    for path in ("/api/v1/devices", f"/api/v1/devices/{device}"):
        assert target.program.get(path).headers["Cache-Control"] == "no-store", path


def test_addresses_are_not_told_to_other_sites(target: Target) -> None:
    assert target.owner.get("/devices?q=sato").headers["Referrer-Policy"] == "same-origin"


def test_no_form_that_carries_a_secret_is_sent_as_an_address(target: Target) -> None:
    for path in ("/sign-in", "/account"):
        for form in target.owner.get(path).text.split("<form")[1:]:
            if 'type="password"' in form.split("</form>")[0]:
                assert 'method="post"' in form.split(">")[0]
