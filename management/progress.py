"""What a job says of itself while it runs."""

import json

LONGEST_WORDS = 1000


class Said(str):
    """An English sentence of a job that remembers its gaps, so that pages can translate it."""

    __slots__ = ("text", "values")

    text: str
    values: dict[str, str | int]

    def __new__(cls, text: str, **values: str | int) -> "Said":
        """Return *text* with its gaps ``%(name)s`` filled.

        The numbers ``done`` and ``total`` also make the progress bar.
        """
        made = super().__new__(cls, (text % values if values else text)[:LONGEST_WORDS])
        made.text, made.values = text, values
        return made

    def to_json(self) -> str:
        """Return it for a pipe between processes."""
        return json.dumps([self.text, self.values], ensure_ascii=False)

    @classmethod
    def from_json(cls, fields: str) -> "Said":
        """Return what `to_json` wrote."""
        text, values = json.loads(fields)
        return cls(text, **values)


def said(text: str, **values: str | int) -> Said:
    """Return a job's sentence; import it as ``_l`` for pybabel."""
    return Said(text, **values)
