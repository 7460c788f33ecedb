"""Checks the texts that can go stale: translations, third-party notices, settings, README.

Each check prints what is wrong and what mends it; exit status 1 when one does.
"""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent
MISSING_EMPTY = re.compile(r'^msgstr(\[\d\])? ""\n(?!")', re.MULTILINE)

GLOSSARY = {
    "端末": "デバイス",
    "利用者": "ユーザー",
    "ユーザ(?![ービ])": "ユーザー",
    "コネクター": "コネクタ",
    "リレー|中継サーバー|コミュニケーションサーバ": "中継サーバ",
    "未認証": "unauthorized (the group)",
}
"""Japanese spelling (a pattern) -> the one that stands everywhere else for the same thing."""


def main() -> int:
    """Run every check."""
    problems = [*_generated(), *_translations(), *_readme()]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _generated() -> list[str]:
    wrong = []
    for tool in (
        "third_party.py",
        "settings_document.py",
        "pattern_document.py",
        "policy_document.py",
        "compliance_document.py",
    ):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / tool), "--check"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            check=False,
        )
        if done.returncode:
            wrong.append((done.stdout + done.stderr).strip())
    return wrong


def _translations() -> list[str]:
    wrong = []
    for path in sorted((ROOT / "management/translations").glob("*/LC_MESSAGES/*.po")):
        body = path.read_text(encoding="utf-8").partition("\n\n")[2]
        if "#, fuzzy" in body:
            wrong.append(f"{path.relative_to(ROOT)}: a translation is marked fuzzy")
        if MISSING_EMPTY.search(body):
            wrong.append(f"{path.relative_to(ROOT)}: a text has no translation")
        wrong += _misspelt(path, body)
    path = ROOT / "patterns/base/words/ja.toml"
    return wrong + _misspelt(path, path.read_text(encoding="utf-8"))


def _misspelt(path: Path, body: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {found}: say {wanted}"
        for spelling, wanted in GLOSSARY.items()
        for found in re.findall(f'"(.*(?:{spelling}).*)"', body)
    ]


def _readme() -> list[str]:
    """README names commands; each must exist."""
    commands = import_module("sekisho.__main__").COMMANDS
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
    )
    named = set(re.findall(r"`sekisho ([a-z][a-z-]+)", text))
    return [
        f"the documents name `sekisho {name}`, which is no command"
        for name in named - set(commands)
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
