"""Which addresses a source may have, and how it reads through a proxy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedMessageError
from tests.updater import feed as feeds
from updater.limits import Limits
from updater.source import SourceFetcher, read_address


@pytest.mark.parametrize(
    ("entered", "read"),
    [
        ("https://updates.example/sekisho/", "https://updates.example/sekisho"),
        (" http://10.0.0.5:8000 ", "http://10.0.0.5:8000"),
        ("file:///srv/updates/", "file:///srv/updates"),
        ("/srv/my updates", "file:///srv/my%20updates"),
    ],
)
def test_web_addresses_and_folders_are_accepted(entered: str, read: str) -> None:
    assert read_address(entered) == read


@pytest.mark.parametrize(
    "entered",
    [
        "",
        "updates",
        "ftp://updates.example/",
        r"\\server\share",
        "//server/share",
        "file://server/share",
        "https://",
        "https://keeper:word@updates.example/",
        "https://updates.example/?set=1",
        "https://updates.example:port/",
        "https://[broken/",
    ],
)
def test_what_else_is_entered_is_refused_saying_what_is_accepted(entered: str) -> None:
    with pytest.raises(MalformedMessageError, match="is accepted"):
        read_address(entered)


@given(st.text(max_size=100))
def test_no_text_upsets_the_reader(entered: str) -> None:
    try:
        address = read_address(entered)
    except MalformedMessageError:
        return
    assert address.split(":")[0].lower() in ("https", "http", "file")


def test_a_proxy_in_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with feeds.running(tmp_path) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.misbehave("/some.file", feeds.instead(b"through the proxy"))

        fetcher = SourceFetcher(Limits())
        pieces = fetcher.fetch("http://updates.invalid/some.file")

        assert b"".join(pieces) == b"through the proxy"
        fetcher.close()
