"""Judge an app again from what was kept of it, without its file. Pure.

`judge_again` is the retro-hunt's way: it takes the `features` of a `contracts.scan.ScanResult` and
the rules of another pattern set (`patterns.opened.open_data`), and says for which rules only the
file could tell. A scan uses the same function for everything that needs no file.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from contracts.scan import Verdict
from patterns.opened import RuleData
from scanner import judgement_rules
from scanner.behaviour_rules import Ask, answer_to, finding_of
from scanner.evidence import Finding
from scanner.features import FEATURES_VERSION, Facts, unpacked_digests
from scanner.known_rules import listed, published

OLDER = "features of an older scanner"


class Again(NamedTuple):
    """What the rules say of an app."""

    verdict: Verdict
    categories: tuple[str, ...]
    findings: tuple[Finding, ...]
    """The gravest first."""
    needs_file: tuple[str, ...]
    """Rules that only the file can answer; empty: this is what a scan would say."""


def judge_again(features: Mapping[str, Any], rules: RuleData) -> Again:
    """Return what *rules* say of the app with these *features*."""
    if features.get("v") != FEATURES_VERSION:
        return Again(Verdict.UNSCANNABLE, (), (), (OLDER,))
    findings, needs = kept_findings(features, rules)
    if not features["is_app"]:
        found: list[Finding] = [*listed(features, rules.lists)]
    else:
        found, open_rules = app_findings(features, rules)
        needs += open_rules
    findings = judgement_rules.sorted_findings([*findings, *found])
    return Again(
        judgement_rules.judge(findings, features["skipped"]),
        judgement_rules.categories(findings),
        tuple(findings),
        tuple(dict.fromkeys(needs)),
    )


def app_findings(
    features: Mapping[str, Any], rules: RuleData, ask: Ask | None = None
) -> tuple[list[Finding], list[str]]:
    """Return the findings of all rules but YARA's, and the rules that stay open."""
    facts, found, needs = Facts(features), [], []
    for rule in rules.behaviours:
        answer = answer_to(rule, facts, ask)
        if answer.holds:
            found.append(finding_of(rule, answer.where, "; ".join(answer.evidence)))
        elif answer.needs:
            needs.append(rule["id"])
    found += listed(features, rules.lists)
    if features["hashes_cut"]:
        needs += [rule["id"] for rule in rules.lists if rule["kind"] == "sha256"]
    return [*found, *published(features, rules.signers)], needs


def kept_findings(features: Mapping[str, Any], rules: RuleData) -> tuple[list[Finding], list[str]]:
    """Return the kept findings that still hold, and the YARA rules that were not matched yet."""
    current = {digest: rule for rule, digest in rules.yara.items()}
    found = [
        Finding(**fields) for digest, fields in features["kept"] if not digest or digest in current
    ]
    done = unpacked_digests(features["yara"])
    return found, [rule for digest, rule in current.items() if digest not in done]
