"""The fuzz tests of the suite again and again, each time with other examples."""

from collections.abc import Callable

import pytest

from patterns.opened import OpenSet
from tests.contracts import test_codec, test_envelope
from tests.contracts.messages import TOP_LEVEL
from tests.patterns import test_pattern_set
from tests.scanner import test_fuzz
from tests.scanner.conftest import opened, shipped
from tests.soak.hours import MINUTES, rounds
from tests.updater import test_source, test_trusted_root

__all__ = ["opened", "shipped"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
SCANNER: list[Callable[..., None]] = [
    test_fuzz.test_a_mutated_archive_gives_a_result,
    test_fuzz.test_any_bytes_give_a_result,
]
OTHERS: list[Callable[[], None]] = [
    test_fuzz.test_a_mutated_manifest_is_read_or_refused,
    test_fuzz.test_mutated_resources_give_a_text,
    test_fuzz.test_any_certificate_is_read_or_refused,
    test_envelope.test_what_is_sealed_opens_for_its_recipient,
    test_envelope.test_every_change_of_a_sealed_message_is_noticed,
    test_pattern_set.test_any_file_is_refused_with_our_errors,
    test_trusted_root.test_no_bytes_upset_the_reader,
    test_source.test_no_text_upsets_the_reader,
]
CODEC: list[Callable[..., None]] = [
    test_codec.test_what_is_written_is_read_as_the_same,
    test_codec.test_a_newer_neighbour_may_say_more,
    test_codec.test_rubbish_is_refused_and_nothing_else_happens,
]
SHARE = MINUTES / 4 / (len(SCANNER) + len(OTHERS) + len(CODEC))


@pytest.mark.parametrize("fuzz", SCANNER, ids=lambda fuzz: fuzz.__name__)
def test_the_scanner_for_long(fuzz: Callable[..., None], opened: OpenSet) -> None:
    for _ in rounds(SHARE):
        fuzz(opened=opened)


@pytest.mark.parametrize("fuzz", OTHERS, ids=lambda fuzz: fuzz.__name__)
def test_other_readers_for_long(fuzz: Callable[[], None]) -> None:
    for _ in rounds(SHARE):
        fuzz()


@pytest.mark.parametrize("fuzz", CODEC, ids=lambda fuzz: fuzz.__name__)
def test_messages_for_long(fuzz: Callable[..., None]) -> None:
    for _ in rounds(SHARE):
        for kind in TOP_LEVEL:
            fuzz(kind=kind)
