"""Says which browser on which system a session's ``User-Agent`` claims to be. Pure."""

import re

_BROWSERS = (
    ("Edge", r"\bEdgA?(?:iOS)?/(\d+)"),
    ("Opera", r"\bOPR/(\d+)"),
    ("Samsung Internet", r"\bSamsungBrowser/(\d+)"),
    ("Firefox", r"\b(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"\b(?:Chrome|CriOS|HeadlessChrome)/(\d+)"),
    ("Safari", r"\bVersion/(\d+).*\bSafari/"),
)
"""Looked for in this order: the later ones stand in the claims of the earlier ones too."""
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("macOS", "Mac OS X"),
    ("ChromeOS", "CrOS"),
    ("Linux", "Linux"),
)
SHOWN = 60


def shown(claim: str) -> str:
    """Return browser, version and system; else the beginning of what it claims; empty: nothing."""
    found = ((name, re.search(pattern, claim)) for name, pattern in _BROWSERS)
    browser = next((f"{name} {match[1]}" for name, match in found if match), "")
    if not browser:
        return claim[:SHOWN]
    system = next((name for name, word in _SYSTEMS if word in claim), "")
    return f"{browser} · {system}" if system else browser
