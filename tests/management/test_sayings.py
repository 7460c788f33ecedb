"""What the scanner says is told in the visitor's language, all of it.

The sentences are found in the scanner's code: each text of more than one word, unless it is listed
here as something that nobody is shown.
"""

import io
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from flask import Flask

import scanner
from management.apps.queries import find_verdict
from management.context import Context
from management.reasons import is_known
from management.sayings import saying, sayings
from tests.management.clients import ConsoleClient
from tests.management.sentences import literals_in
from tests.management.test_apps import MARKER, ready, scan, second_set, store
from tests.scanner.samples.sample import build, read_pair
from tests.scanner.test_container import EICAR

__all__ = ["ready"]

SCANNER = Path(scanner.__file__).parent
NOT_SHOWN = {
    "cli.py": "said in a terminal, which speaks English",
    "pattern_cli.py": "the same",
    "pattern_trial.py": "the same",
    "report.py": "the same",
    "progress.py": "the same",
    "open_patterns.py": "the same",
    "system_calls.py": "names of system calls",
    "confinement.py": "words for programs, in `features.confinement`",
    "landlock.py": "the same",
}
NOT_SAID = {
    r"^[^ ]+$": "a name, an expression, a form of bytes",
    r"^import sys, json;": "a program",
    r"^Name: \(": "an expression",
    r"^\w+ \| None$": "a type",
    r"^CN=Android Debug$": "compared with names",
    r"^its code$": "kept for the search through known apps, which names rules only",
    r"!/byte code$": "a place, whose last part is told by itself",
}
NAMES = re.compile(
    r"\b(Android(Manifest\.xml)?|android:(name|debuggable)|true|API|DEX|GB"
    r"|Base64|ID|Janus|MANIFEST\.MF|PKCS|SF|SHA|SMS|UTF|ZIP(64)?|application|fs-verity|uses-sdk)\b",
    re.ASCII,
)
"""What stays as it is in Japanese."""
FILLED = {"offset": "0x7", "method": "L;->a", "names": "L;->a", "call": "L;->a"}


@pytest.fixture
def japanese(app: Flask) -> Iterator[None]:
    with app.test_request_context(headers={"Accept-Language": "ja"}):
        yield


def _said() -> Iterator[tuple[str, str]]:
    for path in sorted(SCANNER.glob("*.py")):
        for text in literals_in(path) if path.name not in NOT_SHOWN else ():
            if not any(re.search(pattern, text) for pattern in NOT_SAID):
                yield path.name, text


def _sample(text: str) -> str:
    """Return the text as it is stored, without the place before it, which is told by itself."""
    text = re.sub(r"^%\(\w+\)s(: |; )", "", text)
    return re.sub(r"%\((\w+)\)s", lambda gap: FILLED.get(gap[1], "7"), text)


@pytest.mark.usefixtures("japanese")
def test_everything_that_the_scanner_says_has_its_japanese() -> None:
    said = [*_said()]
    assert len(said) > 250
    untold = [one for one in said if not _is_told(_sample(one[1]))]
    assert untold == [], "add these to a management/sayings_of_*.py and translate them"


def _is_told(sample: str) -> bool:
    """Whether nothing but names is left of the English."""
    told = saying(sample)
    if told == sample:  # what a job says that finds no file
        return is_known(sample)
    return not re.search(r"[A-Za-z]{2,}", NAMES.sub("", told))


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("signature v2", "署名 v2"),
        ("assets/a.apk!/byte code", "assets/a.apk!/バイトコード"),
        ("classes.dex at 0x1f0", "classes.dex の位置 0x1f0"),
        ("the signature is wrong.", "署名が正しくありません。"),
        ("a: b: its compressed data is damaged (-3).", "a: b: 圧縮データが壊れています (-3)。"),
        (
            "classes.dex at 0x2: La;->b uses Lc;->d or Le;->f; receiver org.example.R",
            "classes.dex の位置 0x2: La;->b が Lc;->d、Le;->f を使用; レシーバー org.example.R",
        ),
        (
            "x.y is published by Z, but signed with no valid key.",
            "x.y の発行元は Z ですが、署名した鍵は 有効な鍵なし です。",
        ),
        (
            "byte code: its tables cannot be read: a string lies outside the file.",
            "バイトコード: 表を読み取れません: 文字列がファイルの外にあります。",
        ),
        ("Tea at 5; it uses nothing of ours", "Tea at 5; it uses nothing of ours"),
    ],
    ids=["word", "place inside", "offset", "stop", "place with a colon", "calls", "gaps", "inner",
         "strange"],
)  # fmt: skip
def test_a_saying_is_told_with_its_places_and_names(said: str, told: str) -> None:
    assert saying(said) == told


@pytest.mark.usefixtures("japanese")
def test_a_text_made_of_our_sentences_is_given_up_quickly() -> None:
    began = time.process_time()
    saying("it cannot be read: x. " * 80)
    saying("The file was not scanned: " * 70)
    words = (
        (" is that of x", 43),
        (" by y", 86),
        ("; its package is z", 28),
        (", signed with w", 28),
    )
    saying("Its label x" + "".join(text * times for text, times in words))
    assert time.process_time() - began < 0.5


def _bad_app() -> bytes:
    """Return an app with findings of all kinds of rules, a part that cannot be read, and a set's
    marker."""
    thief = read_pair("sms_forwarder").sample
    files = {"assets/more": EICAR, "assets/text": MARKER.encode()}
    whole = io.BytesIO(build(replace(thief, files={**thief.files, **files})))
    with zipfile.ZipFile(whole, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("classes.dex", b"dex\n035\x00 cut off")
    return whole.getvalue()


def test_an_apps_page_is_japanese_and_what_is_stored_stays_english(
    ready: Context, console: ConsoleClient, tmp_path: Path
) -> None:
    second_set(ready, tmp_path)
    sha256 = store(ready, _bad_app())
    scan(ready, sha256)

    page = unescape(console.get(f"/apps/{sha256}", headers={"Accept-Language": "ja"}).text)
    for told in (
        "受信した SMS を外部へ送る",
        "SMS が届くたびに、その本文がサーバーに送られます。",
        "コードを自動入力するアプリは、読み取って表示します。",
        "EICAR ウイルス対策テストファイル",
        "同じ名前のエントリーが 2 つある",
        "ディレクトリに同じ名前が 2 回あります。",
        "classes.dex: 表を読み取れません: DEX ヘッダーがありません。",
        "アプリが署名されていない",
        "スパイウェア",
        "を使用",
        "Found by the second set",  # a rule whose set says it in English only
    ):
        assert told in page
    for english in ("Two entries", "Sends received", "cannot be read", "EICAR anti", " uses L"):
        assert english not in page
    page = unescape(console.get(f"/apps/{sha256}", headers={"Accept-Language": "en"}).text)
    assert "Sends received text messages away" in page
    assert "Two entries of one name" in page
    asked = {"Accept-Language": "ja"}
    assert "Two entries" in console.get(f"/apps/{sha256}.json", headers=asked).text


def test_every_finding_and_all_that_was_skipped_is_told(ready: Context, app: Flask) -> None:
    sha256 = store(ready, _bad_app())
    scan(ready, sha256)
    with ready.database.reading() as session:
        found = find_verdict(session, sha256)
        assert found is not None
        result = found.result
    [folder] = (ready.settings.home / "patterns").iterdir()
    words = [one[name] for one in result["findings"] for name in ("title", "meaning", "evidence")]
    assert result["skipped"]
    assert len(result["findings"]) >= 4
    with app.test_request_context(headers={"Accept-Language": "ja"}):
        said = sayings(folder)
        untold = [one for one in (*words, *result["skipped"]) if one and said(one) == one]
    assert [one for one in untold if not one.startswith("$")] == []  # what a YARA rule matched
