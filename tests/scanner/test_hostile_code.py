"""Damaged and hostile byte code ends a walk with an answer or with what was skipped."""

import random
import struct
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.app_code import AppCode
from scanner.behaviour_rules import code_references
from scanner.code_file import Method
from scanner.evidence import Evidence
from scanner.frames import Budget, BudgetError
from scanner.limits import DEFAULT
from scanner.memory import Fields, Origins, Runs
from scanner.values import EMPTY, Value
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import APPS, classes_of, read_pair

SAMPLES = {
    path.stem: write_dex(classes_of(read_pair(path.stem).sample))
    for path in sorted(APPS.glob("*.app"))[:12]
}


def clause(**fields: Any) -> dict[str, Any]:
    """Return a code clause that many apps give something to walk for."""
    calls = (
        "Ljava/lang/StringBuilder;->append",
        "Ljava/net/URL;->openConnection",
        "Ljava/io/OutputStream;->write",
        "Landroid/content/Context;->startService",
        "Landroid/content/Context;->getSystemService",
        "Ljava/lang/Thread;->start",
        "Landroid/telephony/SmsMessage;->getMessageBody",
    )
    step = {"call": calls, "label": "a", "takes": [], "arguments": {}, "either": []}
    return {
        "component": "", "extends": [], "implements": [], "methods": [], "reach": 6,
        "user_acts": True, "ordered": True, "absent": [], "digest": "0" * 16,
        "steps": [step, {**step, "label": "", "takes": ["a"]}],
        **fields,
    }  # fmt: skip


CLAUSES = (
    clause(),
    clause(extends=["Landroid/content/Context;", "Landroid/content/BroadcastReceiver;"]),
    clause(implements=["Ljava/lang/Runnable;"]),
)


def ask(data: bytes) -> list[str]:
    """Ask every clause about *data* and return what was skipped."""
    evidence = Evidence(DEFAULT)
    code = AppCode(evidence)
    code.add("classes.dex", data, sha256(data).digest())
    code.references(set().union(*map(code_references, CLAUSES)))
    for one in CLAUSES:
        code.ask(one, [])
    code.traits("Lorg/example/sample/First;", ["Lorg/example/sample/Main;"])
    return evidence.skipped


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_code_is_walked_to_the_end(name: str) -> None:
    assert ask(SAMPLES[name]) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 2**32), st.integers(1, 60))
def test_damaged_code_never_brings_the_scanner_down(name: str, seed: int, changes: int) -> None:
    chosen, body = random.Random(seed), bytearray(SAMPLES[name])
    for _ in range(changes):
        body[chosen.randrange(8, len(body))] = chosen.choice(
            (0, 1, 0x7F, 0xFF, chosen.randrange(256))
        )

    ask(bytes(body))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 0x70), st.integers(0, 2**32 - 1))
def test_a_header_that_lies_never_brings_the_scanner_down(name: str, at: int, number: int) -> None:
    body = bytearray(SAMPLES[name])
    struct.pack_into("<I", body, at & ~3, number)

    ask(bytes(body))


def code_items(data: bytes) -> list[int]:
    """Return where the code of the methods begins."""
    evidence = Evidence(DEFAULT)
    file = AppCode(evidence).add("classes.dex", data, sha256(data).digest())
    assert file is not None
    rows = range(file.dex.classes.rows)
    return sorted(m.code_at for row in rows for m in file.methods_of(row, "").values())


def test_methods_with_as_many_registers_as_can_be_are_cut_off_and_told() -> None:
    body = bytearray(SAMPLES["account_thief"])
    for at in code_items(bytes(body)):
        struct.pack_into("<H", body, at, 0xFFFF)
        (size,) = struct.unpack_from("<I", body, at + 12)
        for unit in range(size - 2):
            if unit % 3 == 0:  # if-eqz v0, +2: each copies all registers
                struct.pack_into("<Hh", body, at + 16 + 2 * unit, 0x0038, 2)

    skipped = ask(bytes(body))

    assert all("byte code" in reason for reason in skipped)


def test_code_that_is_longer_than_the_file_is_walked_as_far_as_it_goes() -> None:
    body = bytearray(SAMPLES["account_thief"])
    for at in code_items(bytes(body)):
        struct.pack_into("<I", body, at + 12, 0xFFFFFFF0)

    ask(bytes(body))


def test_classes_that_extend_each_other_in_a_circle_come_to_an_end() -> None:
    body = bytearray(SAMPLES["account_thief"])
    count, at = struct.unpack_from("<II", body, 0x60)
    kinds = [struct.unpack_from("<I", body, at + 32 * row)[0] for row in range(count)]
    for row in range(count):  # each extends the next one, the last the first
        struct.pack_into("<I", body, at + 32 * row + 8, kinds[(row + 1) % count])

    ask(bytes(body))


def test_comparing_what_calls_are_given_is_paid_for() -> None:
    budget, origins = Budget(10_000, lambda: False), Origins()
    for offset in range(3_000):
        origins.add(0, offset, [])
    runs = Runs(origins, Fields(origins), budget)
    method, everything = Method(0, "La;", "m", "(I)V", 0), frozenset(range(3_000))

    with pytest.raises(BudgetError):
        for number in range(500):
            runs.begin(runs.call(method, [Value(number, everything)]), number)
            runs.end(number, 0, EMPTY)
