"""A file that holds no app but the packages of one: ``.apks``, ``.xapk``, ``.apkm``.

Android installs them together: one manifest, one code, one signer. So they are judged together.
"""

from collections.abc import Iterable, Sequence

from scanner.evidence import Evidence, Finding
from scanner.manifest import Manifest
from scanner.one_app import OneApp

NAMES_SHOWN = 5


def unite(whole: OneApp, members: Sequence[OneApp], evidence: Evidence) -> bool:
    """Make *whole*, which has no manifest, the app that *members* are together.

    False when they are none; that is noted as skipped, and each of them is judged alone.
    """
    if not members:
        evidence.skip("The file is no Android package: it has no AndroidManifest.xml.")
        return False
    readable = [one for one in members if one.manifest is not None]
    packages = dict.fromkeys(one.manifest.package for one in readable if one.manifest)
    if len(packages) > 1:
        names = ", ".join([*packages][:NAMES_SHOWN])
        evidence.skip(f"The file holds {len(packages)} apps ({names}): scan each of them alone.")
        return False
    base = next((one for one in readable if one.manifest and not one.manifest.split), None)
    if base is None or base.manifest is None:
        evidence.skip("The file holds parts of an app without its base, so nobody can install it.")
        return False
    for one in readable:
        if evidence.is_late():
            evidence.skip(f"{one.place}: the rest, because the time was over")
            break
        one.read_beside(readable)
    merged = _merged(base.manifest, [one.manifest for one in readable if one.manifest])
    whole.stand_for(base, merged)
    for one in readable:
        whole.told += one.told if one is base else (*one.told, *one.signature_findings())
        for trait in one.keep.values["traits"]:
            whole.keep.trait(trait)
        _same_signer(base, one, evidence)
    return True


def _merged(base: Manifest, all_of_them: Iterable[Manifest]) -> Manifest:
    """Return the manifest that Android makes of them."""
    found = [base, *(one for one in all_of_them if one is not base)]
    return base._replace(
        components=tuple(dict.fromkeys(part for one in found for part in one.components)),
        permissions=tuple(dict.fromkeys(name for one in found for name in one.permissions)),
        labels=tuple(dict.fromkeys(label for one in found for label in one.labels)),
        meta_data=tuple(dict.fromkeys(name for one in found for name in one.meta_data)),
        debuggable=any(one.debuggable for one in found),
        test_only=any(one.test_only for one in found),
        oddities=(),
        unusual=(),
    )


def _same_signer(base: OneApp, one: OneApp, evidence: Evidence) -> None:
    mine, theirs = one.signatures.current, base.signatures.current
    if set(mine) == set(theirs):
        return
    evidence.find(
        Finding(
            "signature_splits_differ",
            "medium",
            f"{one.place}!/signature",
            f"It is signed with {', '.join(mine) or 'no valid key'}, {base.place} with"
            f" {', '.join(theirs) or 'no valid key'}. Android refuses such a set.",
            "A package of the set has another signer",
            "evasive-container",
            technique="T1655",
        )
    )
