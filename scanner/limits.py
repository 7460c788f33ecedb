"""How much one scan may cost. What a limit cuts off is reported as skipped, so never clean."""

from typing import NamedTuple

MEBIBYTE = 1024 * 1024


class Limits(NamedTuple):
    """Limits of one scan; the defaults suit the largest apps of the stores."""

    file_bytes: int = 1024 * MEBIBYTE
    entries: int = 100_000
    """Of all archives in the file together."""
    entry_bytes: int = 256 * MEBIBYTE
    """Of one entry, unpacked."""
    total_bytes: int = 2048 * MEBIBYTE
    """Of all entries together, unpacked."""
    ratio: int = 400
    """Unpacked to packed size, above `ratio_free_bytes`; deflate reaches 1,032 with zeros only."""
    ratio_free_bytes: int = 32 * MEBIBYTE
    depth: int = 8
    """Archives in archives."""
    seconds: float = 120.0
    """Wall clock, for the whole child."""
    cpu_seconds: int = 90
    memory_bytes: int = 2048 * MEBIBYTE
    """Address space of the child."""
    yara_seconds: int = 30
    """For one part of the file."""
    answer_bytes: int = 4 * MEBIBYTE
    """Of what the child says."""


DEFAULT = Limits()
DEEP = Limits(seconds=1200.0, cpu_seconds=900, memory_bytes=4096 * MEBIBYTE)
"""Of a deep analysis, which needs up to 1.5 s and 60 MB for each megabyte of an app."""
