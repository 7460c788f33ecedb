"""What anybody may see: the download page and whether this server is well."""

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from communication.download_page import LANGUAGES, page
from communication.health import checks
from communication.parts import Parts
from contracts import codec, envelope
from contracts.download import DownloadValues
from runtime import health


def blueprint(parts: Parts, plain: bool) -> Blueprint:
    """Return the pages; over *plain* HTTP the first page leads to the HTTPS port."""
    bp = Blueprint("open", __name__)

    @bp.get("/")
    def first() -> ResponseReturnValue:
        return redirect(f"{parts.address()}/mobile" if plain else "/mobile", 302)

    @bp.get("/mobile")
    def mobile() -> ResponseReturnValue:
        if plain:  # the key inside the package is no business of who listens on the way
            return redirect(f"{parts.address()}/mobile", 302)
        said = request.args.get("lang", "")
        best = request.accept_languages.best_match(list(LANGUAGES), "en")
        language = said if said in LANGUAGES else best or "en"
        download = parts.downloads.current
        token = download.values if download else None
        values = codec.read(DownloadValues, envelope.unverified_payload(token)) if token else None
        shown = page(language, parts.address(), download, values)
        answer = Response(shown, content_type="text/html; charset=utf-8")
        answer.vary.add("Accept-Language")
        return answer

    add_healthz(bp, parts)
    return bp


def add_healthz(bp: Blueprint, parts: Parts) -> None:
    """Add `/healthz`."""

    @bp.get("/healthz")
    def healthz() -> ResponseReturnValue:
        status, body = health.healthz(checks(parts))
        return Response(body, status, content_type="application/json")
