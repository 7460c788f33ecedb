"""The same scenario over every way to Exchange; its table stands in docs/exchange.md."""

from pathlib import Path

import pytest

from tests.exchange_connector.bed import Bed
from tests.exchange_connector.every_backend import BACKENDS, STEPS, table

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "exchange.md"


@pytest.mark.parametrize("name", BACKENDS)
def test_the_scenario(bed: Bed, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BACKENDS[name](bed.exchange, tmp_path, monkeypatch) as server:
        bed.server = server
        for step in STEPS:
            step(bed)
        bed.close()


def test_the_documents_table_is_what_is_run() -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8")
