"""`make bench` itself: every benchmark is found, and an unknown name is told."""

import pytest

from benchmarks import __main__ as runner


def test_every_module_of_the_package_is_a_benchmark() -> None:
    for name in runner.names():
        module = __import__(f"benchmarks.{name}", fromlist=["run"])
        assert callable(module.run), name


def test_an_unknown_name_is_told_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["no-such"]) == 64
    assert "no-such" in capsys.readouterr().out
