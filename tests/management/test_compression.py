"""Pages and files are packed for who takes that, and arrive whole for everybody."""

import gzip

import pytest

from management import assets, compression
from tests.management.clients import ConsoleClient

GZIP = {"Accept-Encoding": "gzip, br"}


def test_pages_and_styles_are_packed_only_for_who_takes_that(console: ConsoleClient) -> None:
    style = f"/static/{assets.version()}/vendor/tabler.min.css"
    for path in ("/account", style):
        plain, packed = console.get(path), console.get(path, headers=GZIP)
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["Vary"]
        assert len(packed.data) < len(plain.data) / 2
        assert int(packed.headers["Content-Length"]) == len(packed.data)
        unpacked = gzip.decompress(packed.data)
        assert unpacked == plain.data if path == style else b"</html>" in unpacked
        plain.close()


def test_what_is_packed_already_or_streamed_is_left_alone(console: ConsoleClient) -> None:
    font = f"/static/{assets.version()}/vendor/icons/fonts/bootstrap-icons.woff2"
    for path in (font, "/devices/devices.csv", "/api/v1/openapi.json"):
        answer = console.get(path, headers=GZIP)
        assert (path, answer.status_code) == (path, 200)
        assert "Content-Encoding" not in answer.headers
        answer.close()


@pytest.mark.parametrize("name", ["./console.js", "x/../console.js", "vendor/.././console.js"])
def test_a_file_has_one_name_and_is_packed_and_kept_once(console: ConsoleClient, name: str) -> None:
    compression._file.cache_clear()
    folder = f"/static/{assets.version()}"
    assert console.get(f"{folder}/{name}", headers=GZIP).status_code == 404
    assert console.get(f"{folder}/console.js", headers=GZIP).status_code == 200
    assert compression._file.cache_info().currsize == 1
