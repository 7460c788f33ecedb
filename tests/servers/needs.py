"""What to do when a test's server or tool is not installed: skip, and fail where CI must not."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str, package: str, *folders: str) -> str:
    """Return the path of *name*; without it skip the test, naming Debian's *package*.

    With ``CI=true`` a missing program is a failure: there everything must run.
    """
    found = shutil.which(name) or next(
        (str(Path(folder) / name) for folder in folders if (Path(folder) / name).exists()), None
    )
    if not found:
        unavailable(f"{name} is not installed (Debian package {package})")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip the test with *reason*; with ``CI=true`` fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
