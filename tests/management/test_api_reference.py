"""The pages that explain the API: complete, true to the document, and their examples are taken."""

import re
import shlex
from typing import Any

from flask import Flask
from pydantic import ValidationError

from management.access import Role
from management.api import reference
from management.api.conditional import OPERATION, adapter
from management.api.operations import EVENTS, FileAnswer, FileBody, Operation
from management.api.reference_views import _sections
from management.context import Context
from tests.management.clients import BASE, ConsoleClient, signed_in_client

TAG = re.compile(r'href="(/api-reference/[a-z-]+)"')


def operations(app: Flask) -> dict[str, Operation]:
    found = (getattr(view, OPERATION, None) for view in app.view_functions.values())
    return {one.name: one for one in found if one is not None}


def entries(app: Flask) -> list[reference.Entry]:
    with app.app_context():
        return [entry for section in _sections() for entry in section.entries]


def called(entry: reference.Entry) -> tuple[str, list[str]]:
    """Return the address and all words of the example, as a shell reads them."""
    words = shlex.split(reference.curl(entry, BASE).replace("\\\n", " "))
    return words[-1], words


def test_every_operation_is_explained_with_what_it_needs(app: Flask) -> None:
    known, explained = operations(app), {one.name: one for one in entries(app)}
    assert explained.keys() == known.keys()
    for name, one in explained.items():
        assert one.permission == known[name].permission.value, name
        assert (one.method, one.summary) == (known[name].method, known[name].summary)
        assert {answer.status for answer in one.answers} >= {str(known[name].status), "401", "403"}
        assert bool(one.body) == (known[name].body is not None), name
        is_file = known[name].answer is FileAnswer
        assert is_file == one.is_file == ("-o FILE" in reference.curl(one, BASE)), name
        kinds = [said.says for said in one.answers if "Comes as `" in said.says]
        assert bool(kinds) == is_file or known[name].media_type == EVENTS, name


def test_bodies_of_examples_are_taken(app: Flask) -> None:
    """Read as the server reads them; where only fields together are wrong, it says which."""
    known, refused = operations(app), {}
    for one in entries(app):
        kind, (_address, body) = known[one.name].body, one.example
        if kind is None or kind is FileBody:
            assert body == ""
            continue
        try:
            adapter(kind).validate_json(body, strict=True)
        except ValidationError as error:
            refused[one.name] = str(error)
    assert refused == {}


def test_examples_reach_their_operation(app: Flask) -> None:
    with app.test_request_context(base_url=BASE):
        urls = app.url_map.bind("localhost", url_scheme="https")
        for one in entries(app):
            address, words = called(one)
            assert address.startswith(f"{BASE}/api/v1/"), one.name
            assert words[:3] == ["curl", "-H", "Authorization: Bearer $SEKISHO_TOKEN"]
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            path = address.removeprefix(BASE).partition("?")[0]
            endpoint, _ = urls.match(path, method=method)
            assert getattr(app.view_functions[endpoint], OPERATION).name == one.name


def test_pages_name_every_operation_and_field(app: Flask, console: ConsoleClient) -> None:
    index = console.get("/api-reference").text
    for one in entries(app):
        assert f"#{one.name}" in index
    pages = "".join(console.get(path).text for path in sorted(set(TAG.findall(index))))
    for one in entries(app):
        assert f'id="{one.name}"' in pages
        for field in (*one.parameters, *one.body):
            assert f"<code>{field.name}</code>" in pages or not field.name, (one.name, field)
    assert "style=" not in pages
    assert not re.search(r"<script(?! src)", pages)
    assert set(re.findall(r'(?:src|href)="(?:https?:)?//([^/"]+)', pages)) <= {"localhost"}


def test_words_are_searched_everywhere(console: ConsoleClient) -> None:
    for words, named, left_out in (
        ("wipe", "approve_mail_wipes", "list_roles"),
        ("MANAGE_relays certificate", "certify_relay", "list_roles"),
        ("post /api/v1/roles", "create_role", "list_groups"),
        ("group_ids", "get_token", "get_enforcement"),
    ):
        page = console.get("/api-reference", query_string={"q": words}).text
        assert f"#{named}" in page, words
        assert f"#{left_out}" not in page, words


def test_nothing_found_says_so_and_nothing_is_run(console: ConsoleClient) -> None:
    for words in ("<script>alert(1)</script>", "x" * 5000, "%00", "´`\\"):
        page = console.get("/api-reference", query_string={"q": words}).text
        assert "Nothing in the API says this." in page, words
        assert "<script>alert" not in page
    answer = console.get("/api-reference", query_string={"q": "x" * 5000}).text
    assert f'value="{"x" * 100}"' in answer


def test_who_reads_it_is_told_what_they_may_not(
    app: Flask, context: Context, visitor: ConsoleClient
) -> None:
    reader = signed_in_client(app, context, "mika", Role.READ_ONLY)
    assert "You do not have it." in reader.get("/api-reference/roles").text
    assert (
        "You do not have it."
        not in reader.get("/api-reference/devices")
        .text.partition('id="retire_device"')[0]
        .partition('id="list_devices"')[2]
        .partition("</section>")[0]
    )
    assert 'href="/api-reference"' in reader.get("/account").text
    assert reader.get("/api-reference/nothing").status_code == 404
    assert visitor.get("/api-reference").headers["Location"].startswith("/sign-in")


def test_a_schema_is_told_in_words() -> None:
    schemas: dict[str, Any] = {
        "Inner": {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}}
    }
    reader = reference._Reader(schemas)
    schema = {
        "type": "object",
        "required": ["many"],
        "properties": {
            "many": {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}},
            "word": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]},
        },
    }
    told = [(one.name, one.kind, one.required) for one in reader.fields(schema)]
    assert told == [
        ("many", "list of object", True),
        ("many[].at", "time", False),
        ("word", 'one of "a", "b" or null', False),
    ]
    assert reader.example(schema) == {"many": [{"at": reference.FORMATS["date-time"]}]}
