"""Fetches from relays the files that devices sent, part by part, and takes them as uploads."""

import os
import time
from pathlib import Path
from uuid import UUID

from contracts.files import (
    MOST_PARTS,
    PART_BYTES,
    ExpectedUpload,
    open_part,
    part_count,
    read_key,
)
from management.apps import service as apps
from management.apps import uploads
from management.apps.queries import find_known
from management.collecting import service
from management.collecting.models import AppRequest
from management.collecting.queries import announced_bytes, is_any_open, list_on_their_way
from management.collecting.rules import RequestState
from management.context import Context
from management.relays.link_client import LinkClient
from runtime.clock import utc_now
from runtime.errors import RefusedError, TooLargeError, UnauthenticatedError

SECONDS = 5.0
"""Of one visit; the rest follows at the next."""


def fetch_files(context: Context, link: LinkClient, relay_id: UUID) -> None:
    """Let the relay expect what was ordered, and take what devices sent whole.

    What arrived of a file lies in the data folder under the request's id, so that an interrupted
    one goes on with the part that is missing.
    """
    with context.database.reading() as session:
        if not is_any_open(session):
            return
    with context.database.transaction("expire app requests") as session:
        expired = service.expire(session, utc_now())
        requests = list_on_their_way(session, relay_id)
    if not requests and not expired:
        return
    held = {waiting.upload_id: waiting.parts for waiting in link.uploads().uploads}
    for row in requests:
        if row.expected_by != relay_id or row.id not in held:  # the relay may lose what it knew
            _expect(context, link, row, relay_id)
    for upload_id in held.keys() - {row.id for row in requests}:
        link.forget_upload(upload_id)
    end = time.monotonic() + SECONDS
    for row in requests:
        if row.state == RequestState.SENT and row.size_bytes:
            _fetch(context, link, row, row.size_bytes, held.get(row.id, ()), end)


def _expect(context: Context, link: LinkClient, row: AppRequest, relay_id: UUID) -> None:
    expected = ExpectedUpload(device_id=row.device_id, most_parts=MOST_PARTS, until=row.expires_at)
    link.expect_upload(row.id, expected)
    with context.database.transaction("note who expects a file") as session:
        known = service.request_of(session, row.id)
        if known is not None:
            known.expected_by = relay_id


def _fetch(
    context: Context,
    link: LinkClient,
    row: AppRequest,
    size: int,
    held: tuple[int, ...],
    end: float,
) -> None:
    path = _unfinished(context, row.id)
    here, key = _whole_parts(path, size), read_key(row.key)
    if not {*range(here, part_count(size))} <= {*held}:
        _start_again(context, link, row, path)
        return
    if problem := _no_room(context, row, size):
        _give_up(context, link, row, path, problem)
        return
    try:
        with path.open("ab") as file:
            for number in range(here, part_count(size)):
                if time.monotonic() > end:
                    return
                file.write(open_part(key, row.id, number, link.upload_part(row.id, number)))
                file.flush()
    except UnauthenticatedError as error:
        _give_up(context, link, row, path, str(error))
        return
    _take(context, link, row, path)


def _start_again(context: Context, link: LinkClient, row: AppRequest, path: Path) -> None:
    """Ask the device anew: it left all parts with the relay, which lost some of them."""
    path.unlink(missing_ok=True)
    with context.database.transaction("ask for a lost file again") as session:
        service.ask_again(session, context, row.id, utc_now())
    link.forget_upload(row.id)


def _no_room(context: Context, row: AppRequest, size: int) -> str:
    """Return why a file of this size is not fetched; what is fetched half counts as whole."""
    try:
        with context.database.reading() as session:
            others = announced_bytes(session, row.id)
            room = apps.room_for_upload(session, context.settings.uploads_bytes - others)
    except RefusedError as error:
        return str(error)
    return "" if size <= room else f"The file has {size} bytes, there is room for {room} only."


def _take(context: Context, link: LinkClient, row: AppRequest, path: Path) -> None:
    """Take a whole file as an upload if it is what the device reported."""
    problem = ""
    try:
        with context.database.reading() as session:
            room = apps.room_for_upload(session, context.settings.uploads_bytes)
        with path.open("rb") as file:
            received = uploads.receive(context.settings.home, file, room)
    except (RefusedError, TooLargeError) as error:
        _give_up(context, link, row, path, str(error))
        return
    if received.sha256 != row.sha256:
        problem = f"The device sent another file ({received.sha256})."
    with context.database.transaction("take a file of a device") as session:
        known = service.request_of(session, row.id)
        app = find_known(session, row.sha256)
        if known is not None and app is not None and not problem:
            name = f"{app.package or row.sha256[:16]}.apk"
            apps.store_upload(
                session,
                context.keys,
                received,
                name,
                row.requested_by,
                "",
                utc_now(),
                device_id=row.device_id,
            )
            service.end(known, RequestState.DONE, "", utc_now())
    if problem:
        if received.sha256 != row.sha256 and not _is_stored(context, received.sha256):
            uploads.forget(context.settings.home, received.sha256)
        _give_up(context, link, row, path, problem)
        return
    path.unlink(missing_ok=True)
    link.forget_upload(row.id)


def _is_stored(context: Context, sha256: str) -> bool:
    with context.database.reading() as session:
        known = find_known(session, sha256)
        return known is not None and known.stored


def _give_up(context: Context, link: LinkClient, row: AppRequest, path: Path, problem: str) -> None:
    path.unlink(missing_ok=True)
    with context.database.transaction("give a file up") as session:
        known = service.request_of(session, row.id)
        if known is not None:
            service.end(known, RequestState.FAILED, problem, utc_now())
    link.forget_upload(row.id)


def _whole_parts(path: Path, size: int) -> int:
    """Return how many parts are here; what a crash left of one more is cut off."""
    here = path.stat().st_size if path.exists() else 0
    if here >= size:
        return part_count(size)
    whole = here // PART_BYTES
    if here:
        os.truncate(path, whole * PART_BYTES)
    return whole


def _unfinished(context: Context, upload_id: UUID) -> Path:
    folder = context.settings.home / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f".from-device-{upload_id}"
