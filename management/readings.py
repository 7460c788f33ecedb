"""How a Japanese name is read (kana), and where it stands in a list. Pure.

The order is that of JIS X 4061 as far as lists of people need it: voicing, small kana, hiragana or
katakana count only between readings that are otherwise the same, and a long vowel is its vowel.
"""

import unicodedata

from runtime.errors import RefusedError

LONGEST = 100
SMALL = str.maketrans("ぁぃぅぇぉっゃゅょゎゕゖ", "あいうえおつやゆよわかけ")
ROWS = ("あかさたなはまやらわ", "いきしちにひみりゐ", "うくすつぬふむゆる", "えけせてねへめれゑ",
        "おこそとのほもよろを")  # fmt: skip
VOWEL = {kana: row[0] for row in ROWS for kana in row}
LONG = "ー"


def clean(text: str) -> str:
    """Return a reading as it is kept; RefusedError when it is not one."""
    reading = " ".join(unicodedata.normalize("NFKC", text).split())
    if len(reading) > LONGEST or any(_is_ideograph(char) for char in reading):
        raise RefusedError("Write the reading in kana, at most 100 characters.")
    if not reading.isprintable():
        raise RefusedError("Write the reading in kana, at most 100 characters.")
    return reading


def sort_key(*names: str) -> str:
    """Return what a list is sorted by: the first of *names* (reading, name, address) that is there.

    Names without a reading come behind the kana, Latin ones before.
    """
    name = next((one for one in names if one), "")
    plain = "".join(map(_hiragana, unicodedata.normalize("NFKC", name).casefold()))
    return f"{_base(plain)[:120]}\t{plain[:120]}"


def _base(plain: str) -> str:
    """Return hiragana without voicing, small kana, long vowels, spaces."""
    found: list[str] = []
    for char in unicodedata.normalize("NFD", plain).translate(SMALL):
        if unicodedata.combining(char) or char.isspace() or char == "・":
            continue
        found.append(VOWEL.get(found[-1], char) if char == LONG and found else char)
    return "".join(found)


def _hiragana(char: str) -> str:
    return chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char


def _is_ideograph(char: str) -> bool:
    return unicodedata.name(char, "").startswith("CJK ")
