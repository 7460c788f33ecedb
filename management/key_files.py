"""A folder of secrets: one key file, and everything else sealed under it."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from runtime.errors import ConfigurationError, MalformedMessageError

KEY_FILE = "secret.key"


class SealedFolder:
    """Reads and writes ``*.sealed`` files in *folder* under its ``secret.key``."""

    def __init__(self, folder: Path) -> None:
        """Read the key; ConfigurationError when it is missing, broken or readable by others."""
        self.folder = folder
        self._fernet = _fernet(folder / KEY_FILE)

    def seal(self, text: str) -> str:
        """Return *text* encrypted and authenticated; ASCII."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Return what `seal` was given; MalformedMessageError when it was altered."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise MalformedMessageError(
                "A sealed text was altered, or was sealed under another secret.key."
            ) from None

    def read(self, name: str) -> str:
        """Return the content of ``<name>.sealed``; ConfigurationError when it is lost or broken."""
        path = self.folder / f"{name}.sealed"
        try:
            return self.unseal(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            raise ConfigurationError(f"{path} is missing; restore it from a backup.") from None
        except (MalformedMessageError, UnicodeDecodeError):
            raise ConfigurationError(
                f"{path} does not open with {KEY_FILE} beside it; restore both from one backup."
            ) from None

    def make_missing(self, name: str, make: Callable[[], str]) -> None:
        """Write ``<name>.sealed`` with what *make* returns, unless it is there."""
        path = self.folder / f"{name}.sealed"
        if not path.exists():
            write_private(path, self.seal(make()))


def prepare_folder(folder: Path) -> SealedFolder:
    """Make *folder* (0700) and its key when they are missing, and return it; hold `locked`.

    Never makes a key beside sealed files: they would be lost without anybody noticing.
    """
    folder.chmod(0o700)
    key = folder / KEY_FILE
    if not key.exists():
        if sealed := sorted(path.name for path in folder.glob("*.sealed")):
            raise ConfigurationError(
                f"{key} is missing, but {', '.join(sealed)} were sealed under it; "
                "restore it from a backup."
            )
        write_private(key, Fernet.generate_key().decode("ascii"))
    return SealedFolder(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make *folder* when missing, and keep other processes from preparing it at the same time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write *path* whole or not at all, safe on disk when this returns."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fernet(path: Path) -> Fernet:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} is missing; `sekisho up` makes it at the first start. Is this another server's"
            " data folder? SEKISHO_HOME names it (default: var in the current folder)."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if mode & 0o177:
        raise ConfigurationError(
            f"Others may read {path} (mode {mode:04o}). Mend it with: chmod 600 {path}"
        )
    try:
        return Fernet(text)
    except ValueError:
        raise ConfigurationError(f"{path} does not hold a key; restore it from a backup.") from None
