"""What a spreadsheet would take for a formula; texts of devices and people come from outside."""

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""As OWASP lists them ("CSV Injection"), the full-width ones too."""


def harmless(text: str) -> str:
    """Return *text* so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(STARTS) else text


def as_it_was(text: str) -> str:
    """Return *text* without what `harmless` put before it: a list that was exported comes back."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(STARTS) else text
