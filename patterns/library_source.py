"""Libraries of others as YARA rules: one pass over a file finds them all, with their versions.

Such a rule is no finding: the scanner notes the version (`scanner.libraries`), rules ask for it.
"""

import json
from collections.abc import Iterable

import yara

from patterns.opened import EXTERNALS
from patterns.rule_language import Library


def as_yara(libraries: Iterable[Library]) -> str:
    """Return the text of a YARA file with one rule for each library."""
    return "\n".join(map(_rule, libraries))


def problem_of(library: Library) -> str:
    """Return why YARA does not take what tells of a library; empty: it does."""
    try:
        yara.compile(source=_rule(library), externals=EXTERNALS, includes=False)
    except yara.Error as error:
        return str(error)
    return ""


def _rule(library: Library) -> str:
    texts = [f"$beside_{n} = {json.dumps(text)}" for n, text in enumerate(library.beside)]
    asked = [f'kind == "{library.kind}"', "$version"]
    if library.entry:
        asked.insert(0, f"entry endswith {json.dumps(library.entry)}")
    if texts:
        asked.append("any of ($beside_*)")
    expression = library.version.replace("/", r"\/")
    strings = "\n".join(f"        {one}" for one in (f"$version = /{expression}/", *texts))
    return f"""rule library_{library.name.replace("-", "_")}
{{
    meta:
        library = "{library.name}"
    strings:
{strings}
    condition:
        {" and ".join(asked)}
}}
"""
