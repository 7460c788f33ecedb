"""Debian's apksigner as one process that answers many questions; starting Java costs most."""

import subprocess
from pathlib import Path
from typing import NamedTuple

_COMMAND = (
    *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx300m", "-Xshare:auto"),
    *("-cp", "/usr/share/java/apksigner.jar", str(Path(__file__).with_name("Apksig.java"))),
)


class Answer(NamedTuple):
    """What the tool says of one file."""

    is_good: bool
    schemes: frozenset[str]
    signers: frozenset[str]
    errors: str


class Apksig:
    """The running tool; `close` ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def verify(self, path: Path, minimum_sdk: int) -> Answer:
        """Return what ``apksigner verify --min-sdk-version`` would say."""
        return self._ask("verify", str(minimum_sdk), str(path))

    def run(self, *words: str) -> None:
        """Run one command of the tool, as ``sign`` or ``rotate``."""
        answer = self._ask(*words)
        if not answer.is_good:
            raise RuntimeError(f"apksigner {words[0]}: {answer.errors}")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, *words: str) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"apksigner ended at {words}")
        good, schemes, signers, errors = line.rstrip("\n").split("\t", 3)
        return Answer(good == "ok", _words(schemes), _words(signers), errors)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in text.split(",") if word)
