"""Fixtures of a whole mail set-up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from management.context import Context
from tests.exchange_connector.bed import Bed, made
from tests.management.conftest import app, context, home, signer_limits

__all__ = ["app", "bed", "context", "home", "signer_limits"]


@pytest.fixture
def bed(app: Flask, context: Context, home: Path) -> Iterator[Bed]:
    """Management, Exchange, and a connector that is not paired yet."""
    with made(app, context, home) as bed:
        yield bed
