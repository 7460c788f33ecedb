"""The console's files of style and script: our own, and the few we take from packages.

``python -m management.assets build/assets`` copies the latter to `static/vendor`; `requirements/
assets.lock` says which packages. Nothing of theirs is in the repository.
"""

import hashlib
import shutil
import sys
from functools import cache
from pathlib import Path

from runtime.errors import ConfigurationError

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"

_BOOTSTRAP = "flask_bootstrap/static/bootstrap5/css/font"
FILES = {
    "htmx.min.js": "django_htmx/static/django_htmx/htmx-2.min.js",
    "tabler.min.css": "sqladmin/statics/css/tabler.min.css",
    "tabler.min.js": "sqladmin/statics/js/tabler.min.js",
    "icons/bootstrap-icons.min.css": f"{_BOOTSTRAP}/bootstrap-icons.min.css",
    "icons/fonts/bootstrap-icons.woff2": f"{_BOOTSTRAP}/fonts/bootstrap-icons.woff2",
}


def collect(source: Path, target: Path) -> list[Path]:
    """Copy the files we use, and the licences of their packages, from *source* to *target*.

    *source* is where ``pip install --target`` put the packages. ConfigurationError when a file
    is not there: the lock names another version than this list was written for.
    """
    wanted = {target / name: source / place for name, place in FILES.items()}
    for licence in sorted(source.glob("*.dist-info/licenses/**/*")):
        if licence.is_file():
            package = licence.relative_to(source).parts[0].removesuffix(".dist-info")
            wanted[target / "licences" / f"{package}-{licence.name}"] = licence
    if missing := [place for place in wanted.values() if not place.is_file()]:
        raise ConfigurationError(f"{missing[0]} is missing: run `make setup` again.")
    for copy, original in wanted.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, copy)
    return sorted(wanted)


@cache
def version() -> str:
    """Return a hash over all static files; a part of each address, so that caches may keep them.

    ConfigurationError when the packages' files were not collected.
    """
    if not all((VENDOR / name).is_file() for name in FILES):
        raise ConfigurationError("The console's style files are missing: run `make setup`.")
    content = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        content.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:16]


if __name__ == "__main__":
    for written in collect(Path(sys.argv[1]), VENDOR):
        print(written.relative_to(STATIC))
