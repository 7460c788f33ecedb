"""Opens a pattern set in a process of its own: what does not compile must not become active.

    python -m updater.trial FOLDER

Exit status 0: it opens. 1: it does not, and the reason is on standard error. A rule that eats
memory or time ends with this process only.
"""

import resource
import subprocess
import sys
from pathlib import Path

from patterns.opened import open_set
from runtime.errors import RefusedError, SekishoError

MEMORY_BYTES = 4 * 1024**3
SECONDS = 300


def try_out(folder: Path) -> None:
    """Raise RefusedError with the reason unless the set in *folder* opens within the limits."""
    command = [sys.executable, "-m", "updater.trial", str(folder)]
    code = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            command, cwd=code, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(
            f"The pattern set takes longer than {SECONDS} seconds to open, so it was refused."
        ) from None
    if done.returncode != 0:
        raise RefusedError(_reason(done.returncode, done.stderr))


def _reason(status: int, words: str) -> str:
    if status == 1 and words.strip():
        return f"The pattern set was refused on trial: {words.strip()[-1000:]}"
    return f"Opening the pattern set ended its process (status {status}), so it was refused."


def main() -> int:
    """Open the set named on the command line."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        open_set(sys.argv[1])
    except SekishoError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
