"""Every message survives the journey; everything else is refused in clear words."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from contracts import agent, codec, link
from runtime.errors import MalformedMessageError, TooLargeError
from tests.contracts.messages import TOP_LEVEL, message

each_message = pytest.mark.parametrize("kind", TOP_LEVEL, ids=lambda kind: kind.__name__)
few = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def test_no_message_is_forgotten() -> None:
    assert {agent.Order, agent.Report, agent.TrustStatement, link.Trust} <= set(TOP_LEVEL)
    assert len(TOP_LEVEL) >= 23


@each_message
@few
@given(data=st.data())
def test_what_is_written_is_read_as_the_same(kind: type[object], data: st.DataObject) -> None:
    said = data.draw(message(kind))

    assert codec.read(kind, codec.write(said)) == said


@each_message
@few
@given(data=st.data(), name=st.text(min_size=1).filter(lambda name: name != "v"))
def test_a_newer_neighbour_may_say_more(kind: type[object], data: st.DataObject, name: str) -> None:
    said = data.draw(message(kind))
    fields = json.loads(codec.write(said))
    fields.setdefault(name, "more")

    assert codec.read(kind, json.dumps(fields)) == said


@each_message
@few
@given(data=st.data())
def test_a_message_without_one_of_its_fields_is_refused_or_has_a_default(
    kind: type[Any], data: st.DataObject
) -> None:
    fields = json.loads(codec.write(data.draw(message(kind))))
    gone = data.draw(st.sampled_from([name for name in fields if name != "v"]))
    del fields[gone]
    body = json.dumps(fields)

    with_default = kind.__dataclass_fields__[gone]
    if "MISSING" in repr(with_default.default) and "MISSING" in repr(with_default.default_factory):
        with pytest.raises(MalformedMessageError, match=gone):
            codec.read(kind, body)
    else:
        assert codec.read(kind, body) is not None


@each_message
@pytest.mark.parametrize("version", [0, 2, 99, -1, True, "1", 1.0, None])
def test_another_version_is_refused_by_name(kind: type[object], version: object) -> None:
    with pytest.raises(MalformedMessageError, match=kind.__name__):
        codec.read(kind, json.dumps({"v": version}))


@each_message
@few
@given(body=st.binary(max_size=200) | st.text(max_size=200))
def test_rubbish_is_refused_and_nothing_else_happens(kind: type[object], body: bytes | str) -> None:
    with pytest.raises(MalformedMessageError):
        codec.read(kind, body)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
)


@few
@given(data=st.data(), value=_ANYTHING)
def test_a_report_with_anything_in_any_place_is_read_or_refused(
    data: st.DataObject, value: object
) -> None:
    fields = json.loads(codec.write(data.draw(message(agent.Report))))
    place: Any = fields
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if not deeper or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value

    with suppress(MalformedMessageError):
        assert isinstance(codec.read(agent.Report, json.dumps(fields)), agent.Report)


@pytest.mark.parametrize(
    "body",
    [
        b'{"v":' + b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"v":' + b"1" * 5000 + b"}",
        b'{"v":1e999}',
        b'{"v":1,"v":2}',
        b'\xef\xbb\xbf{"v":1}',
        b'{"v":1,"items":NaN}',
        b'{"v":1}{"v":1}',
        '{"v":1,"iss":"\\ud800"}',
        "",
    ],
)
def test_hostile_json_is_refused(body: bytes | str) -> None:
    with pytest.raises(MalformedMessageError):
        codec.read(agent.Report, body)


def test_a_message_above_its_limit_is_not_even_parsed() -> None:
    with pytest.raises(TooLargeError, match="larger than 10 bytes"):
        codec.read(agent.Digest, b"x" * 11, maximum_bytes=10)


def test_an_error_does_not_repeat_what_was_sent() -> None:
    body = json.dumps({"v": 1, "token": {"secret": "hunter2"}})

    with pytest.raises(MalformedMessageError) as refused:
        codec.read(agent.PollToken, body)
    assert "hunter2" not in str(refused.value)


# --- a made-up neighbour: version 2 of a message whose version 1 said it otherwise ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Version 2 counts in grams; version 1 counted in kilograms, as ``weight``."""

    v: int = 2
    grams: Annotated[int, Field(ge=0)]


def _from_1(fields: dict[str, Any]) -> dict[str, Any]:
    return {"grams": fields["weight"] * 1000}


LIFTS = {1: _from_1}


def test_the_version_before_is_lifted() -> None:
    assert codec.read(Parcel, b'{"v":1,"weight":3}', lifts=LIFTS) == Parcel(grams=3000)
    assert codec.read(Parcel, b'{"v":2,"grams":7}', lifts=LIFTS) == Parcel(grams=7)


@pytest.mark.parametrize("version", [0, 3])
def test_only_the_version_before_is_lifted(version: int) -> None:
    with pytest.raises(MalformedMessageError, match="only 2 and 1"):
        codec.read(Parcel, json.dumps({"v": version, "weight": 3}), lifts=LIFTS)


def test_an_older_lift_is_never_used() -> None:
    with pytest.raises(MalformedMessageError, match="Version 0"):
        codec.read(Parcel, b'{"v":0,"weight":3}', lifts={**LIFTS, 0: _from_1})


def test_without_a_lift_the_version_before_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="Version 1 of Parcel is not spoken here"):
        codec.read(Parcel, b'{"v":1,"weight":3}')


@pytest.mark.parametrize("old", ['{"v":1}', '{"v":1,"weight":"heavy"}', '{"v":1,"weight":-1}'])
def test_a_broken_message_of_the_version_before_is_refused(old: str) -> None:
    with pytest.raises(MalformedMessageError, match="Parcel"):
        codec.read(Parcel, old, lifts=LIFTS)


@few
@given(weight=_ANYTHING)
def test_anything_in_the_version_before_is_lifted_or_refused(weight: object) -> None:
    with suppress(MalformedMessageError):
        assert codec.read(Parcel, json.dumps({"v": 1, "weight": weight}), lifts=LIFTS).grams >= 0
