"""How much a source may send and how long it may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Checked while bytes arrive, so a source that never ends costs no more than this."""

    total_seconds: float = 1800.0
    """For everything one update reads."""
    gap_seconds: float = 15.0
    """For a connection, and between two pieces of one file."""
    grace_seconds: float = 10.0
    """After which one file must have arrived at `minimum_bytes_a_second` on average."""
    minimum_bytes_a_second: int = 1024
    pattern_bytes: int = 256 * 1024 * 1024
    """Largest pattern set that is downloaded, whatever its publisher signed."""
    metadata_bytes: int = 2 * 1024 * 1024
    root_bytes: int = 256 * 1024
    root_rotations: int = 64
