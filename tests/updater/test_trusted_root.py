"""The root.json that an administrator enters, right and wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, TooLargeError
from updater import publish as publishing
from updater.publishing_keys import KeyFolder
from updater.repository import Repository
from updater.trusted_root import MAXIMUM_BYTES, read_root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("source")
    repository = Repository(folder / "repo", KeyFolder(folder / "keys"))
    return publishing.create(repository, utc_now()).read_bytes()


def test_a_root_tells_its_keys_and_until_when_it_holds(root: bytes) -> None:
    trusted = read_root(root)

    assert trusted.version == 1
    assert [(r.role, r.threshold, len(r.key_ids)) for r in trusted.roles] == [
        ("root", 2, 3),
        ("snapshot", 1, 1),
        ("targets", 1, 1),
        ("timestamp", 1, 1),
    ]


def test_the_fingerprint_does_not_depend_on_spaces(root: bytes) -> None:
    respaced = json.dumps(json.loads(root), indent=7).encode()

    assert read_root(respaced) == read_root(root)


def _changed(root: bytes, **signed: Any) -> bytes:
    fields = json.loads(root)
    fields["signed"].update(signed)
    return json.dumps(fields).encode()


def test_a_root_that_was_changed_is_refused(root: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="enough valid signatures"):
        read_root(_changed(root, version=2))


def test_one_signature_of_two_is_not_enough(root: bytes) -> None:
    fields = json.loads(root)
    del fields["signatures"][1:]

    with pytest.raises(MalformedMessageError, match="enough valid signatures"):
        read_root(json.dumps(fields).encode())


def test_the_same_signature_twice_does_not_count_twice(root: bytes) -> None:
    fields = json.loads(root)
    fields["signatures"] = [fields["signatures"][0]] * 2

    with pytest.raises(MalformedMessageError):
        read_root(json.dumps(fields).encode())


def test_a_role_without_its_keys_is_refused(root: bytes) -> None:
    fields = json.loads(root)
    targets = fields["signed"]["roles"]["targets"]["keyids"][0]
    del fields["signed"]["keys"][targets]

    with pytest.raises(MalformedMessageError, match="role targets"):
        read_root(json.dumps(fields).encode())


def test_another_list_than_the_root_is_refused(root: bytes, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo", KeyFolder(tmp_path / "keys"))
    publishing.create(repository, utc_now())

    with pytest.raises(MalformedMessageError, match="not of the root role"):
        read_root((repository.metadata / "timestamp.json").read_bytes())


def test_a_huge_root_is_refused() -> None:
    with pytest.raises(TooLargeError):
        read_root(b" " * (MAXIMUM_BYTES + 1))


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"signed": 1}', b"[" * 100_000, b"NaN"]
)
def test_what_is_no_root_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="Paste the whole file"):
        read_root(text)


@given(st.binary(max_size=2000))
def test_no_bytes_upset_the_reader(text: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        read_root(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_no_changed_field_upsets_the_reader(root: bytes, data: st.DataObject) -> None:
    fields = json.loads(root)
    place: Any = fields
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    before = json.dumps(place[key])
    place[key] = data.draw(anything)
    if json.dumps(place[key]) == before:
        return

    try:
        accepted = read_root(json.dumps(fields).encode())
    except MalformedMessageError:
        return
    # One signature of three may be spoilt; what is signed means the same as before.
    assert accepted == read_root(root)
