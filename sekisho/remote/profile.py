"""Which server is administered from here, and the token for it, in a file for its owner alone."""

import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from contracts import codec
from runtime.errors import ConfigurationError, MalformedMessageError

PLACE = "SEKISHO_REMOTE"
"""Names another file than the usual one: one for each server."""
SIGN_IN = "Sign in first: sekisho remote login https://SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What `login` keeps."""

    v: int = 1
    url: str
    """``https://HOST[:PORT]``"""
    token: str = field(repr=False)
    authority: str = field(default="", repr=False)
    """The certificate (PEM) that alone is trusted; empty: those that this machine trusts."""


def place() -> Path:
    """Return where the profile is kept."""
    if named := os.environ.get(PLACE):
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "sekisho" / "remote.json"


def keep(profile: Profile) -> Path:
    """Write the profile whole or not at all (0600), and return where."""
    file = place()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(codec.write(profile))
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)
    return file


def load() -> Profile:
    """Return what `keep` wrote; ConfigurationError when nobody signed in or others may read it."""
    file = place()
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        content = file.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(SIGN_IN) from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(
            f"Others may read the token in {file} (mode {mode:04o}). Mend it with: chmod 600 {file}"
            " (and if somebody may have read it: revoke it in the console, My account)"
        )
    try:
        return codec.read(Profile, content)
    except MalformedMessageError:
        raise ConfigurationError(f"{file} is broken. {SIGN_IN}") from None


def forget() -> Path | None:
    """Delete the profile and return where it was; None: there was none."""
    file = place()
    try:
        file.unlink()
    except FileNotFoundError:
        return None
    return file
