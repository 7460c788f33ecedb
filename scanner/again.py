"""Judge an app again from what was kept of it, without its file. Pure.

`judge_again` is the retro-hunt's way: it takes the `features` of a `contracts.scan.ScanResult` and
the rules of another pattern set (`patterns.opened.open_data`), and says for which rules only the
file could tell. A scan uses the same function for everything that needs no file.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from contracts.scan import Verdict
from patterns.opened import RuleData
from scanner.behaviour_rules import Ask, answer_to, asks_for_components, finding_of
from scanner.evidence import Finding
from scanner.features import FEATURES_VERSION, Facts, unpacked_digests
from scanner.judgement_rules import Conclusion, conclude, sorted_findings
from scanner.known_rules import listed, published
from scanner.screen import screen_of

OLDER = "features of an older scanner"
_UNPLACED = ("AndroidManifest.xml", "signature", "byte code")
"""How places begin that do not say yet which app they are in."""


class Again(NamedTuple):
    """What the rules say of an app."""

    said: Conclusion
    findings: tuple[Finding, ...]
    """The gravest first."""
    needs_file: tuple[str, ...]
    """Rules that only the file can answer; empty: this is what a scan would say."""

    @property
    def verdict(self) -> Verdict:
        return self.said.verdict


def judge_again(features: Mapping[str, Any], rules: RuleData) -> Again:
    """Return what *rules* say of the app with these *features*."""
    if features.get("v") != FEATURES_VERSION:
        return Again(conclude((), (OLDER,)), (), (OLDER,))
    findings, needs = kept_findings(features, rules)
    if not features["is_app"]:
        findings += listed(features, rules.lists)
    if features["hashes_cut"]:
        needs += [rule["id"] for rule in rules.lists if rule["kind"] == "sha256"]
    for app in apps_in(features):
        found, open_rules = app_findings(app, rules)
        needs += open_rules
        if app.get("components_cut"):  # features of earlier scans do not tell
            needs += [rule["id"] for rule in rules.behaviours if asks_for_components(rule)]
        if app.get("labels_cut") and rules.signers["official"]:
            needs.append("lookalike_label")
        findings += _unknown_yet([placed_in(one, app["place"]) for one in found], findings)
    findings = sorted_findings(findings)
    said = conclude(findings, features["skipped"])
    return Again(said, tuple(findings), tuple(dict.fromkeys(needs)))


def apps_in(features: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the features of the app itself, if it is one, and of the apps inside."""
    shared = {"asked": features["asked"], "libraries": {}, "hashes": {}}
    inner: list[Mapping[str, Any]] = [{**app, **shared} for app in features["apps"]]
    return [features, *inner] if features["is_app"] else inner


def placed_in(finding: Finding, place: str) -> Finding:
    """Return *finding* with the path of its app before places inside the app."""
    if not place or not finding.where.startswith(_UNPLACED):
        return finding
    return finding._replace(where=f"{place}!/{finding.where}")


def _unknown_yet(found: list[Finding], known: list[Finding]) -> list[Finding]:
    """Return what no app around this one has at the same place."""
    places = {(one.rule, one.where) for one in known}
    return [one for one in found if (one.rule, one.where) not in places]


def app_findings(
    features: Mapping[str, Any], rules: RuleData, ask: Ask | None = None
) -> tuple[list[Finding], list[str]]:
    """Return the findings of all rules but YARA's, and the rules that stay open."""
    facts, found, needs = Facts(features), [], []
    for rule in screen_of(rules.behaviours).possible(facts):
        answer = answer_to(rule, facts, ask)
        if answer.holds:
            found.append(finding_of(rule, answer.where, "; ".join(answer.evidence)))
        elif answer.needs:
            needs.append(rule["id"])
    found += listed(features, rules.lists)
    return [*found, *published(features, rules.signers)], needs


def kept_findings(features: Mapping[str, Any], rules: RuleData) -> tuple[list[Finding], list[str]]:
    """Return the kept findings that still hold, and the YARA rules that were not matched yet."""
    current = {digest: rule for rule, digest in rules.yara.items()}
    found = [
        Finding(**fields) for digest, fields in features["kept"] if not digest or digest in current
    ]
    done = unpacked_digests(features["yara"])
    return found, [rule for digest, rule in current.items() if digest not in done]
