"""Files of a simulated device: apps fetched from the store, and files that management asked for.

Each is resumable: a download goes on at its length, an upload with the parts that are missing.
Nothing that a relay hands over is believed before it is what management's order says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from agents.simulator import orders, phone, store
from agents.simulator.relay_client import RelayClient
from agents.simulator.state import KnownUpload, StateFile
from agents.simulator.visit import Visit, identity
from contracts.agent import AppUpload, InstalledApp, OfferedApp
from contracts.files import PART_BYTES, part_count, read_key, seal_part


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the device that makes *visit*."""

    visit: Visit

    @property
    def file(self) -> StateFile:
        """The device's memory."""
        return self.visit.file

    @property
    def relay(self) -> RelayClient:
        """The relay it is at."""
        return self.visit.relay

    def move(self) -> None:
        """Fetch what the store asks for, then send what management asked for."""
        for app in store.wanted(self.file.read()):
            self._fetch(app)
        for upload in list(self.file.read().uploads):
            self._send(upload)

    # --- downwards ---

    def _fetch(self, app: OfferedApp) -> None:
        part = place(self.file.folder, app.sha256).with_suffix(".part")
        part.parent.mkdir(mode=0o700, exist_ok=True)
        with part.open("ab") as file:
            while file.tell() < app.size_bytes:
                body = self.relay.fetch_file(identity(self.file.read()), app.sha256, file.tell())
                if not body:
                    return  # it does not lie there yet
                file.write(body[: app.size_bytes - file.tell()])
                file.flush()
        self._take(app, part)

    def _take(self, app: OfferedApp, part: Path) -> None:
        """Install a whole file if it is what management ordered."""
        with part.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        with self.file.changing("fetched") as state:
            now = orders.management_time(state, self.visit.clock())
            if digest != app.sha256:
                part.unlink()
                told = f"The file for {app.package} is {digest}, management ordered {app.sha256}."
                orders.note_problem(state, "forged", told, told, now)
                return
            part.replace(place(self.file.folder, app.sha256))
            phone.install(state.phone, _installed(app))
            store.note_installed(state, app)
            state.note(now, f"{app.package} {app.version} from the app store installed.")

    # --- upwards ---

    def _send(self, upload: KnownUpload) -> None:
        if why := self._why_not(upload):
            self._end(upload, AppUpload(upload_id=upload.id, state="refused", detail=why))
            return
        path = place(self.file.folder, upload.sha256)
        size = path.stat().st_size
        me = identity(self.file.read())
        held = self.relay.held_parts(me, upload.id)
        if held is None:
            return  # the relay was not told yet to expect it
        key = read_key(upload.key)
        for number, body in _parts(path):
            if number not in held:
                self.relay.post_part(me, upload.id, number, seal_part(key, upload.id, number, body))
        said = AppUpload(upload_id=upload.id, state="sent", size_bytes=size, key=upload.key)
        self._end(upload, said)

    def _why_not(self, upload: KnownUpload) -> str:
        state = self.file.read()
        path = place(self.file.folder, upload.sha256)
        if orders.management_time(state, self.visit.clock()) >= upload.expires_at:
            return "The request came too late."
        if state.phone.description.ownership == "personal" and not state.phone.shares_apps:
            return "The owner of this device does not share the files of apps."
        if all(app.sha256 != upload.sha256 for app in state.phone.apps) or not path.exists():
            return "This app is not on the device (any more)."
        if path.stat().st_size > upload.largest_bytes:
            return "The file is larger than management takes."
        return ""

    def _end(self, upload: KnownUpload, said: AppUpload) -> None:
        with self.file.changing("upload ended") as state:
            state.uploads = [one for one in state.uploads if one.id != upload.id]
            state.pending.append(said)
            now = orders.management_time(state, self.visit.clock())
            state.note(now, f"File of an app {said.state}. {said.detail}".strip())


def place(folder: Path, sha256: str) -> Path:
    """Return where the file of an app lies below the device's *folder*."""
    return folder / "apps" / f"{sha256}.apk"


def keep(folder: Path, sha256: str, source: Path) -> None:
    """Keep a copy of an installed app's file, as a phone does."""
    target = place(folder, sha256)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    draft = target.with_suffix(".new")
    draft.write_bytes(source.read_bytes())
    draft.replace(target)


def _installed(app: OfferedApp) -> InstalledApp:
    return InstalledApp(
        package=app.package,
        name=app.name,
        version=app.version,
        sha256=app.sha256,
        signer_sha256=app.signer_sha256,
    )


def _parts(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number in range(part_count(path.stat().st_size)):
            yield number, file.read(PART_BYTES)
