"""Structured logs: one JSON object a line on standard error, never with a secret in it."""

import logging
import re
import sys
from logging import LogRecord

from pythonjsonlogger.json import JsonFormatter

SECRET_NAMES = re.compile(
    r"(?i)(password|passwd|secret|token|authorization|cookie|private|enrolment_key|pairing_code)"
)
_IN_TEXT = re.compile(
    r"(?i)\b((?:password|passwd|secret|token|authorization|cookie|key|code|k)=)[^\s&\"']+"
)


class _WithoutSecrets(logging.Filter):
    """Blank what carries a secret's name, as an extra field or as ``name=value`` in the text."""

    def filter(self, record: LogRecord) -> bool:
        for name in list(vars(record)):
            if SECRET_NAMES.search(name):
                setattr(record, name, "[not logged]")
        record.msg, record.args = _IN_TEXT.sub(r"\1[not logged]", record.getMessage()), None
        return True


def start(process: str, level: str = "INFO") -> None:
    """Log from now on as *process*; call once, at the start of a process."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            static_fields={"process": process},
            timestamp=True,
        )
    )
    writer.addFilter(_WithoutSecrets())
    logging.basicConfig(handlers=[writer], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "apscheduler", "alembic", "urllib3", "tuf", "pypsrp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
