"""What anybody may see: the download page and whether this server is well."""

from flask import Blueprint, Response, redirect
from flask.typing import ResponseReturnValue

from communication.health import checks
from communication.parts import Parts
from runtime import health

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sekisho: agent download</title>
<style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}</style>
<h1>Agent download</h1>
<p>This is the communication server of a Sekisho mobile threat protection server.</p>
<p>It has no agent packages to offer yet. Ask your administrator how to enrol this device;
an invitation (a QR code or a link) names this server: <code>{address}</code>.</p>
<h2 lang="ja">エージェントのダウンロード</h2>
<p lang="ja">このサーバーには、まだ配布できるエージェントがありません。
端末の登録方法は管理者にお問い合わせください。</p>
</html>
"""


def blueprint(parts: Parts, plain: bool) -> Blueprint:
    """Return the pages; over *plain* HTTP the first page leads to the HTTPS port."""
    bp = Blueprint("open", __name__)

    @bp.get("/")
    def first() -> ResponseReturnValue:
        return redirect(f"{parts.address()}/mobile" if plain else "/mobile", 302)

    @bp.get("/mobile")
    def mobile() -> ResponseReturnValue:
        return Response(
            PAGE.format(address=parts.address()), content_type="text/html; charset=utf-8"
        )

    add_healthz(bp, parts)
    return bp


def add_healthz(bp: Blueprint, parts: Parts) -> None:
    """Add `/healthz`."""

    @bp.get("/healthz")
    def healthz() -> ResponseReturnValue:
        status, body = health.healthz(checks(parts))
        return Response(body, status, content_type="application/json")
