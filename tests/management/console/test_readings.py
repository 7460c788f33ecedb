"""Lists of people in the order in which their names are read (rule 14)."""

import re
from io import BytesIO

import pytest
from flask import Flask

from management.context import Context
from management.directory.rules import read_file, table
from management.policies.service import ensure_default_policy
from management.readings import clean, sort_key
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError
from tests.management.clients import ConsoleClient

PEOPLE = {"watanabe": ("渡辺 愛子", "ワタナベ アイコ"), "abe": ("阿部 健", "あべ けん"),
          "sato": ("佐藤 花", "ｻﾄｳ ﾊﾅ"), "goto": ("後藤 学", "ごとう まなぶ")}  # fmt: skip


@pytest.fixture(autouse=True)
def _groups(context: Context) -> None:
    with context.database.transaction("set up") as session:
        ensure_default_policy(session, utc_now())


def order(page: str) -> list[str]:
    return [one for one in re.findall(r"[a-z]+(?=@example\.jp)", page.partition("<tbody")[2])
            if one in PEOPLE]  # fmt: skip


def in_japanese(console: ConsoleClient) -> None:
    console.post("/language", data={"language": "ja", "next": "/"})


def test_the_order_of_kana_is_that_of_japanese_lists() -> None:
    names = [
        "わかば",
        "ガーデン",
        "かき",
        "がく",
        "かわ",
        "かん",
        "ｶﾞｸﾄ",
        "きっと",
        "きつね",
        "Ada",
        "山",
    ]
    ordered = [
        "Ada",
        "ガーデン",
        "かき",
        "がく",
        "ｶﾞｸﾄ",
        "かわ",
        "かん",
        "きっと",
        "きつね",
        "わかば",
        "山",
    ]
    assert sorted(names, key=sort_key) == ordered
    assert sort_key("", "はな") == sort_key("ハナ")
    assert clean(" ｻﾄｳ  ﾊﾅ ") == "サトウ ハナ"
    for wrong in ("佐藤", "あ" * 101, "あ\x00"):
        with pytest.raises(RefusedError):
            clean(wrong)


def test_people_are_sorted_as_they_are_read_in_japanese(
    console: ConsoleClient, context: Context
) -> None:
    for name, (person, reading) in PEOPLE.items():
        form = {"name": name, "person": person, "reading": reading, "address": f"{name}@example.jp"}
        assert console.post("/enrolment-users", data=form).status_code == 303
    assert order(console.get("/enrolment-users").text) == ["abe", "goto", "sato", "watanabe"]
    in_japanese(console)
    page = console.get("/enrolment-users").text
    assert order(page) == ["abe", "goto", "sato", "watanabe"]
    user = re.search(r"/enrolment-users/([0-9a-f-]+)/reading", page)  # the first: abe
    assert user is not None
    console.post(f"/enrolment-users/{user[1]}/reading", data={"reading": "んべ"})
    assert order(console.get("/enrolment-users").text) == ["goto", "sato", "watanabe", "abe"]
    refused = console.post(f"/enrolment-users/{user[1]}/reading", data={"reading": "阿部"})
    assert refused.status_code == 409
    assert order(console.get("/enrolment-users?q=サトウ").text) == ["sato"]


def test_a_directorys_list_brings_names_and_readings(
    console: ConsoleClient, app: Flask, context: Context
) -> None:
    lines = [f"{name}@example.jp,active,{person},{reading}" for name, (person, reading) in
             {**PEOPLE, "abe": ("阿部 健", "わべ")}.items()]  # fmt: skip
    text = "\n".join(("address,state,person,reading", *lines))
    take(console, text)
    assert order(console.get("/directory").text) == ["abe", "goto", "sato", "watanabe"]
    in_japanese(console)
    assert order(console.get("/directory").text) == ["goto", "sato", "watanabe", "abe"]

    take(console, "address,state,reading\nabe@example.jp,active,あべ\n")  # only how it is read
    assert order(console.get("/directory").text) == ["abe", "goto", "sato", "watanabe"]
    assert "阿部 健" in console.get("/directory").text  # what a list leaves out stays
    take(console, "address,state\nabe@example.jp,left\n")
    assert "あべ" in console.get("/directory").text

    people = "abe@example.jp\nsato@example.jp; 佐藤 はな; さとう はな"
    form = {"people": people, "days": "14", "devices": "1"}
    assert console.post("/invitations", data=form).status_code == 302
    page = console.get("/invitations").text
    assert "阿部 健" in page
    assert "さとう はな" in page


def take(console: ConsoleClient, text: str) -> None:
    sent = {"file": (BytesIO(text.encode()), "people.csv")}
    page = console.post("/directory/preview", data=sent, content_type="multipart/form-data").text
    found = re.search(r'<textarea name="list"[^>]*>(.*?)</textarea>', page, re.S)
    assert found is not None
    rows = found[1].replace("&#34;", '"')
    answer = console.post("/directory/take", data={"list": rows, "name": "people.csv"})
    assert answer.status_code == 303


def test_a_list_with_a_reading_that_is_none_is_not_taken() -> None:
    with pytest.raises(MalformedMessageError, match="Entry 1"):
        read_file("address,state,reading\na@example.jp,active,佐藤\n".encode())
    accounts = read_file(b'address,state,person\na@example.jp,active,"Ada, ""A"""\n')
    assert read_file(table(accounts).encode()) == accounts
