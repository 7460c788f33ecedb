"""Routes of files: devices fetch apps and leave parts of files; management fills and empties.

A signature covers path and query, so offsets and numbers stand in the query.
"""

import time
from uuid import UUID

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from communication.device_identity import asked
from communication.parts import Parts
from communication.responses import empty, message_response
from contracts import codec
from contracts.files import (
    LARGEST_FILE_BYTES,
    MOST_PARTS,
    PART_BYTES,
    ExpectedUpload,
    HeldFiles,
    HeldParts,
    WaitingUploads,
)
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

agents = Blueprint("agent_files", __name__, url_prefix="/agent/v1")
link = Blueprint("link_files", __name__, url_prefix="/link/v1")
UPLOADS = "/agent/v1/uploads"


@agents.get("/files/<sha256>")
def fetch(sha256: str) -> ResponseReturnValue:
    """Return at most 2 MiB of a file from ``?offset=`` on; ``Sekisho-File-Size`` says how large.

    404 when it does not lie here (yet): ask again at a later check-in.
    """
    parts = _parts()
    parts.identity.device(asked(request))
    body, size = parts.files.read(sha256, _number("offset", LARGEST_FILE_BYTES), PART_BYTES)
    return _bytes(body, size)


@agents.get("/uploads")
def uploaded() -> ResponseReturnValue:
    """Return `HeldParts` of ``?upload=``; 404 when management does not expect it here (yet)."""
    parts = _parts()
    device, _, _ = parts.identity.device(asked(request))
    return message_response(HeldParts(parts=parts.uploads.parts(_upload(), device, utc_now())))


@agents.post("/uploads")
def upload() -> ResponseReturnValue:
    """Keep part ``?part=`` of ``?upload=``; 202 once it is on disk, also for a repeat."""
    parts = _parts()
    device, _, _ = parts.identity.device(asked(request))
    number, now = _number("part", MOST_PARTS), utc_now()
    parts.mailbox.room.check()
    parts.uploads.put_part(_upload(), device, number, request.get_data(), now)
    return empty(202)


@link.get("/files")
def held() -> ResponseReturnValue:
    """Return `HeldFiles`: how management notices what is missing."""
    return message_response(HeldFiles(files=_management().files.held()))


@link.put("/files/<sha256>")
def fill(sha256: str) -> ResponseReturnValue:
    """Keep the piece at ``?offset=`` of a file of ``?size=`` bytes; 409 says where it goes on."""
    parts = _management()
    offset, size = _number("offset", LARGEST_FILE_BYTES), _number("size", LARGEST_FILE_BYTES)
    parts.mailbox.room.check()
    return message_response(parts.files.append(sha256, offset, size, request.get_data()))


@link.delete("/files/<sha256>")
def forget(sha256: str) -> ResponseReturnValue:
    """Delete a file. 204."""
    _management().files.forget(sha256)
    return empty(204)


@link.get("/uploads")
def waiting() -> ResponseReturnValue:
    """Return `WaitingUploads`."""
    return message_response(WaitingUploads(uploads=_management().uploads.waiting()))


@link.put("/uploads/<uuid:upload_id>")
def expect(upload_id: UUID) -> ResponseReturnValue:
    """Let a device leave what `ExpectedUpload` says. 204."""
    parts = _management()
    parts.uploads.expect(upload_id, codec.read(ExpectedUpload, request.get_data()))
    return empty(204)


@link.get("/uploads/<uuid:upload_id>/<int:number>")
def part(upload_id: UUID, number: int) -> ResponseReturnValue:
    """Return a part as the device left it."""
    body = _management().uploads.read(upload_id, number)
    return _bytes(body, len(body))


@link.delete("/uploads/<uuid:upload_id>")
def forget_upload(upload_id: UUID) -> ResponseReturnValue:
    """Delete an upload and expect it no longer. 204."""
    _management().uploads.forget(upload_id)
    return empty(204)


def _bytes(body: bytes, size: int) -> Response:
    answer = Response(body, content_type="application/octet-stream")
    answer.headers["Sekisho-File-Size"] = str(size)
    return answer


def _upload() -> UUID:
    try:
        return UUID(request.args.get("upload", ""))
    except ValueError:
        raise MalformedMessageError("upload must be the id of an upload.") from None


def _number(name: str, most: int) -> int:
    text = request.args.get(name, "0")
    if not text.isdecimal() or len(text) > 12 or int(text) > most:
        raise MalformedMessageError(f"{name} must be a whole number from 0 to {most}.")
    return int(text)


def _parts() -> Parts:
    found: Parts = current_app.extensions["sekisho"]
    return found


def _management() -> Parts:
    parts = _parts()
    parts.identity.management(asked(request))
    parts.management_came(time.time())
    return parts
