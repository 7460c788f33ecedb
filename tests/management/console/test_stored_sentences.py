"""What processes store or answer in English is told in the visitor's language, all of it.

The sentences are found in the code (`tests.management.sentences`), so one that is added without a
catalogue (`management/reasons_of_*.py`) is red here, as is a template that prints one as it is.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from management.reasons import is_known, reason
from tests.management.sentences import found_in

ROOT = Path(__file__).parents[3]
WALKED = {
    "management": "pages show what they refuse, and what jobs, judgements and decisions stored",
    "updater": "ends in an update run or a job",
    "scanner/isolation.py": "ends in a job or a verdict",
    "scanner/warm_process.py": "the same",
    "scanner/deep_analysis.py": "the same",
    "exchange_connector/backends": "a connector's problem",
    "exchange_connector/wiping.py": "the end of a wipe through the mail server",
    "exchange_connector/releases.py": "the end of a connector's update",
    "exchange_connector/release_source.py": "the same",
    "communication/device_identity.py": "what a relay answers to a visit",
    "communication/files.py": "the same",
    "communication/limits.py": "the same",
    "communication/link_api.py": "the same",
    "communication/mailbox.py": "the same",
    "communication/owner.py": "the same",
    "communication/room.py": "the same",
}
NOT_WALKED = {
    r"_?cli\.py$": "said in a terminal, which speaks English",
    r"^updater/(publish|publishing_keys|mirror|repository|wheel|agent_package)\.py$": "the same",
    r"^management/(backups|key_files|keys|opening_keys)\.py$": "a process that does not start",
    r"^management/(health|jobs|web_front|web_server|assets)\.py$": "the same",
    r"^management/migrations/": "the same",
    r"^management/signer_(server|store|messages)\.py$": "said between our processes, then logged",
    r"^management/scope\.py$": "a statement of ours that escapes the limit to groups: a mistake",
    r"^management/api/": "said to programs, which read English",
    r"api\.py$": "the same",
}
SAMPLES = {
    "%(inner)s by %(by)s until %(until)s: %(inner2)s": "allowed by keeper until Monday: new phone",
    "%(access)s until %(until)s by %(name)s: %(reason)s": "allow until Monday by keeper: new phone",
    " Its last error: %(inner)s": "",
}
"""Sentences that more than their gaps tell apart; nothing: a part of another one."""
RAW = re.compile(
    r"\{\{\s*[\w.]+\.(?:problem|detail|error|applied_error|ended_because|match_reason|held_because"
    r"|wanted_because|refused_because)\s*\}\}"
)


def _modules() -> Iterator[str]:
    for name in WALKED:
        path = ROOT / name
        for one in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            module = one.relative_to(ROOT).as_posix()
            if not any(re.search(pattern, module) for pattern in NOT_WALKED):
                yield module


def _sample(sentence: str) -> str:
    return SAMPLES.get(sentence, re.sub(r"%\(\w+\)s", "X1", sentence))


def test_every_sentence_that_is_stored_or_answered_has_its_catalogue() -> None:
    said = [(module, text) for module in _modules() for text in found_in(ROOT / module)]
    assert len(said) > 500
    unknown = [one for one in said if (sample := _sample(one[1])) and not is_known(sample)]
    assert unknown == [], "add these to a management/reasons_of_*.py and translate them"


def test_no_template_prints_such_a_sentence_as_it_is() -> None:
    raw = [
        f"{path.name}: {found}"
        for path in sorted((ROOT / "management/templates").rglob("*.html"))
        for found in RAW.findall(path.read_text(encoding="utf-8"))
    ]
    assert raw == []


@pytest.mark.parametrize(
    "said",
    [
        "not_rooted: root access found (agent)",
        "The communication server does not answer at : it took too long.",
        "There is no such job. There is no such policy. There is no such trial.",
        "not_rooted: attestation failed: the boot loader is unlocked (attestation)",
    ],
    ids=["rule", "inner", "joined", "inner of a rule"],
)
def test_a_stored_sentence_is_told_in_japanese_throughout(app: Flask, said: str) -> None:
    with app.test_request_context(headers={"Accept-Language": "ja"}):
        told = reason(said.replace(" at :", " at 192.0.2.1:"))
    assert re.findall(r"[A-Za-z]{2,}", told.replace("root", "")) == []
    assert told


def test_somebodys_own_words_stay_as_they_are(app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": "ja"}):
        assert reason("Left in a taxi: Tokyo.") == "Left in a taxi: Tokyo."


def test_a_long_text_of_a_device_is_given_up_quickly() -> None:
    hostile = "The device sent. " * 250
    assert not is_known(hostile)
