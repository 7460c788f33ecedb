"""The pattern set that a command is to use: the active one, a built file, or a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from patterns import pattern_set
from runtime.settings import home


@contextmanager
def patterns_in(place: Path | None) -> Iterator[Path]:
    """Give the folder of an unpacked set: the newest, or made from the set or sources *place*."""
    place = place or pattern_set.newest_folder(home() / "patterns") or pattern_set.SHIPPED
    if (place / pattern_set.MANIFEST_NAME).is_file():
        yield place
        return
    if not place.exists():
        raise click.UsageError(f"There is no pattern set and no folder with patterns at {place}.")
    with tempfile.TemporaryDirectory() as name:
        archive, unpacked = Path(name) / "set.zip", Path(name) / "set"
        if place.is_dir():
            pattern_set.build(place, archive, pattern_set.source_version(place))
        else:
            archive = place
        pattern_set.unpack(archive, unpacked)
        yield unpacked
