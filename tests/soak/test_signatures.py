"""Whatever bytes change in a signed app: what we accept, Android's own tool accepts, too.

We read on where it refuses a contradictory archive, so only archives without oddities are compared.
"""

import random
import time
from pathlib import Path

import pytest

from scanner.evidence import Evidence
from scanner.limits import DEFAULT
from tests.scanner.apksig import Apksig
from tests.scanner.signed_corpus import ONE, TWO, Corpus
from tests.scanner.test_fuzz import torn
from tests.scanner.test_signatures import MINIMUM, ours
from tests.soak.hours import MINUTES, rounds

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]


def test_nothing_is_accepted_that_apksigner_refuses(tmp_path: Path) -> None:
    seed, tool = time.time_ns() % 1_000_000, Apksig()
    print(f"seed {seed}", flush=True)
    chance, corpus = random.Random(seed), Corpus(tmp_path, tool)
    extra = ("--lineage", corpus.lineage_of(ONE, TWO))
    good = [
        corpus.by_tool("all", "v1 v2 v3"),
        corpus.by_tool("old", "v1"),
        corpus.by_tool("rotated", "v1 v2 v3", ONE, TWO, extra=extra),
    ]
    path = tmp_path / "torn.apk"
    for _ in rounds(MINUTES / 20):
        data = torn(chance.choice(good), chance)
        path.write_bytes(data)
        for minimum_sdk in MINIMUM:
            evidence = Evidence(DEFAULT)
            facts = ours(data, minimum_sdk, evidence=evidence)
            if facts.holds() and not evidence.findings and not evidence.skipped:
                answer = tool.verify(path, minimum_sdk)
                assert answer.is_good, (seed, minimum_sdk, answer, facts)
                assert answer.signers == set(facts.current)
    tool.close()
