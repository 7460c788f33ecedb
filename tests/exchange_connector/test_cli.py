import pytest
from click.testing import CliRunner

from exchange_connector import command
from exchange_connector.cli import exchange_connector
from runtime.errors import ConfigurationError
from tests.exchange_connector.bed import Bed
from tests.servers.exchange import PASSWORD, USER


@pytest.fixture
def runner(bed: Bed) -> CliRunner:
    return CliRunner(env={"SEKISHO_HOME": str(bed.home)})


def pair(runner: CliRunner, bed: Bed, password: str = PASSWORD) -> str:
    words = ["pair", "--management", bed.console.url, "--code", bed.code()]
    words += ["--exchange-url", bed.exchange_url, "--exchange-user", USER]
    words += ["--password-stdin", "--name", "beside Exchange"]
    done = runner.invoke(exchange_connector, words, input=password + "\n")
    if done.exception:
        raise done.exception
    return done.output


def test_the_command_of_the_console_pairs(runner: CliRunner, bed: Bed) -> None:
    bed.exchange.fill(2)

    assert "Paired as beside Exchange" in pair(runner, bed)
    tried = runner.invoke(exchange_connector, ["selftest"])
    assert "Exchange answers: 2 mailboxes, 2 partnerships." in tried.output
    assert "Management answers: 0 partnerships wanted." in tried.output
    shown = runner.invoke(exchange_connector, ["status"]).output
    assert "all read     never" in shown
    assert PASSWORD not in shown


def test_help_names_each_command_once(runner: CliRunner) -> None:
    told = runner.invoke(command.exchange_connector, ["--help"]).output
    assert told.count("\n  run ") == 1 and "release-root" in told


def test_a_wrong_password_uses_up_no_code(runner: CliRunner, bed: Bed) -> None:
    with pytest.raises(ConfigurationError, match="refuses the user or password"):
        pair(runner, bed, "wrong")
    assert not bed.folder.exists()


def test_before_pairing_the_next_step_is_told(runner: CliRunner) -> None:
    done = runner.invoke(exchange_connector, ["run"])

    assert isinstance(done.exception, ConfigurationError)
    assert "Make a code in the console" in str(done.exception)
