"""The API can do everything that the console can do; the table is `tests.management.parity`."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass

from flask import Flask

from management.access import IN_GROUPS, PERMISSION
from management.api.operations import OPERATION, Operation
from tests.management.parity import (
    CHECKED_INSIDE,
    FILES,
    FILES_WITHOUT,
    NOT_THE_CONSOLE,
    OPERATIONS,
    READS,
    READS_OTHERWISE,
    READS_WITHOUT,
    WITHOUT,
)

SENDS_A_FILE = re.compile(r"Content-Disposition|log_zips\.download|_csv\(")


def _changing(app: Flask) -> set[str]:
    """Return the endpoints of the console that change something."""
    return {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        and not hasattr(app.view_functions[rule.endpoint], OPERATION)
        and rule.endpoint.partition(".")[0] not in NOT_THE_CONSOLE
    }


def _operations(app: Flask) -> Iterator[tuple[Operation, bool]]:
    for view in app.view_functions.values():
        if (found := getattr(view, OPERATION, None)) is not None:
            yield found, getattr(view, IN_GROUPS)


def test_every_change_in_the_console_has_an_operation_or_a_reason(app: Flask) -> None:
    assert _changing(app) - {*OPERATIONS, *WITHOUT} == set(), "add them to tests/management/parity"


def test_the_table_names_only_what_is_there(app: Flask) -> None:
    assert {*OPERATIONS, *WITHOUT} - _changing(app) == set()
    assert set(OPERATIONS) & set(WITHOUT) == set()
    assert set(OPERATIONS.values()) - {one.name for one, _ in _operations(app)} == set()
    assert all(len(why.split()) > 3 for why in WITHOUT.values())


def test_an_operation_asks_for_what_the_page_asks_for(app: Flask) -> None:
    """And it is open to administrators of groups only where the page is."""
    known = {one.name: (one, in_groups) for one, in_groups in _operations(app)}
    for endpoint, name in OPERATIONS.items():
        view, (found, in_groups) = app.view_functions[endpoint], known[name]
        assert found.method != "GET", name
        if endpoint not in CHECKED_INSIDE:
            assert found.permission == getattr(view, PERMISSION), (endpoint, name)
        assert in_groups == getattr(view, IN_GROUPS), (endpoint, name)


def test_every_file_of_the_console_has_an_operation_or_a_reason(app: Flask) -> None:
    sending = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if not hasattr(view := app.view_functions[rule.endpoint], OPERATION)
        and rule.endpoint.partition(".")[0] not in NOT_THE_CONSOLE
        and SENDS_A_FILE.search(inspect.getsource(inspect.unwrap(view)))
    }
    assert sending == {*FILES, *FILES_WITHOUT}, "add them to tests/management/parity"
    known = {one.name: (one, in_groups) for one, in_groups in _operations(app)}
    for endpoint, name in FILES.items():
        view, (found, in_groups) = app.view_functions[endpoint], known[name]
        assert found.permission == getattr(view, PERMISSION), (endpoint, name)
        assert in_groups == getattr(view, IN_GROUPS), (endpoint, name)


def test_every_page_has_an_operation_that_answers_the_same_or_a_reason(app: Flask) -> None:
    pages = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or set())
        and not hasattr(app.view_functions[rule.endpoint], OPERATION)
        and rule.endpoint.partition(".")[0] not in NOT_THE_CONSOLE
    } - {*FILES, *FILES_WITHOUT}
    assert pages == {*READS, *READS_WITHOUT}, "add them to tests/management/parity"
    assert set(READS) & set(READS_WITHOUT) == set()
    assert all(len(why.split()) > 3 for why in READS_WITHOUT.values())
    known = {one.name: (one, in_groups) for one, in_groups in _operations(app)}
    differ = set()
    for endpoint, names in READS.items():
        view = app.view_functions[endpoint]
        for name in names.split():
            found, in_groups = known[name]
            assert found.method == "GET" or name.startswith("preview_"), name
            if (found.permission, in_groups) != (
                getattr(view, PERMISSION),
                getattr(view, IN_GROUPS),
            ):
                differ.add(f"{endpoint} {name}")
    assert differ == set(READS_OTHERWISE)


def test_no_two_operations_and_no_two_bodies_share_a_name(app: Flask) -> None:
    """The document names schemas by class: a second class of a name would hide the first."""
    found = [one for one, _ in _operations(app)]
    assert len({one.name for one in found}) == len(found)
    kinds = {kind for one in found for kind in (one.query, one.body, one.answer) if kind}
    names = [kind.__name__ for kind in kinds if is_dataclass(kind)]
    assert sorted(names) == sorted(set(names))
