"""`sekisho demo`: the product with a filled console, in a data folder of its own."""

import os
import subprocess
import sys

import click

from runtime.process import SUPERVISED

HOME = "var-demo"
SETTINGS = {
    "SEKISHO_HOME": HOME,
    "SEKISHO_HOST": "127.0.0.1",
    "SEKISHO_PUBLIC_NAME": "localhost",
    "SEKISHO_RELAY_SECONDS": "1",
    "SEKISHO_POLL_SECONDS": "30",
    "SEKISHO_COMMUNICATION_ENROLMENTS_PER_MINUTE": "1000",
}
"""What differs from `sekisho up`; whatever is set already wins."""


@click.command()
def demo() -> None:
    """Start Sekisho with 200 simulated devices, apps, mail and an update history.

    Everything goes over the real protocols; the phones, the developers and the mail server are
    made up. Nothing of an ordinary data folder is touched.
    """
    from sekisho.cli import run_everything

    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    sys.exit(run_everything(when_ready=_start_world))


def _start_world() -> None:
    """Fill the console and keep its world moving, in a process that ends with this one."""
    click.echo("The demonstration fills the console; this takes a few minutes the first time.")
    environment = {**os.environ, SUPERVISED: str(os.getpid())}
    subprocess.Popen([sys.executable, "-m", "sekisho", "demo-world"], env=environment)


@click.command(name="demo-world", hidden=True)
def demo_world() -> None:
    """Be the phones and the mail server of the demonstration (started by `demo`)."""
    from management import settings
    from runtime import logs
    from sekisho.demo_world import World

    logs.start("demo-world", "WARNING")
    world = World(settings.load(), click.echo)
    world.fill()
    world.live()
