"""Pages and files are packed for who takes that, and arrive whole for everybody."""

import gzip

from management import assets
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
