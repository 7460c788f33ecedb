"""Every text of the console has its Japanese, with the same placeholders, and none is stale."""

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

ROOT = Path(__file__).parent.parent.parent.parent
FOLDER = ROOT / "management" / "translations"
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def _japanese() -> Catalog:
    return read_po(BytesIO((FOLDER / "ja" / "LC_MESSAGES" / "messages.po").read_bytes()))


def _texts() -> set[str]:
    with (FOLDER / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file, "babel.cfg")  # type: ignore[no-untyped-call]
    keywords = {
        "_": None,
        "_l": None,
        "gettext": None,
        "lazy_gettext": None,
        "ngettext": (1, 2),
    }
    found = extract_from_dir(
        ROOT / "management", methods, options, keywords=keywords, comment_tags=()
    )
    return {text if isinstance(text, str) else text[0] for _file, _line, text, *_rest in found}


def test_every_text_has_its_japanese_and_none_is_stale() -> None:
    known = {
        message.id if isinstance(message.id, str) else message.id[0]
        for message in _japanese()
        if message.id
    }
    assert _texts() - known == set(), "translate these"
    assert known - _texts() == set(), "remove these"


def test_nothing_is_fuzzy_or_empty() -> None:
    for message in _japanese():
        texts = [message.string] if isinstance(message.string, str) else message.string or [""]
        assert message.id == "" or not message.fuzzy, message.id
        assert all(texts), message.id


def test_placeholders_agree() -> None:
    for message in _japanese():
        english = message.id if isinstance(message.id, str) else message.id[0]
        texts = [message.string] if isinstance(message.string, str) else message.string or [""]
        for text in texts if message.id else ():
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(english)), english
            assert "%" not in PLACEHOLDER.sub("", text), english
