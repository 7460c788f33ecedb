"""`sekisho simulate`: phones in software, each in a folder of its own."""

import json
import signal
import threading
from datetime import timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import click

from agents.simulator import apk, attesting, phone
from agents.simulator import show as shown
from agents.simulator.device import CheckIn, SimulatedDevice
from agents.simulator.fleet_cli import fleet
from agents.simulator.sims import SimCard
from contracts.agent import DeviceDescription, InstalledApp
from contracts.attestation import BootState
from runtime.errors import SekishoError

_FOLDER = click.Path(file_okay=False, path_type=Path)
state_option = click.option(
    "--state",
    "device",
    required=True,
    type=_FOLDER,
    callback=lambda context, option, folder: SimulatedDevice(folder),
    help="Folder that holds this one device.",
)


@click.group()
def simulate() -> None:
    """Be phones: one (each --state folder is a device), or a whole fleet."""


simulate.add_command(fleet)


@simulate.command()
@state_option
@click.option(
    "--qr", "--key", default="", help="Enrolment code sekisho://enrol?..., or a typed key."
)
@click.option("--server", default="", help="Beside a typed key without one: name or name:port.")
@click.option(
    "--apk",
    "package",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the code from an agent package of the download page.",
)
@click.option(
    "--terms",
    type=click.Choice(["accept", "refuse"]),
    default="accept",
    show_default=True,
    help="What the user says to terms of use, now and later.",
)
@click.option("--platform", type=click.Choice(["android", "ios"]), default="android")
@click.option("--ownership", type=click.Choice(["company", "personal"]), default="company")
@click.option("--manufacturer", default="")
@click.option("--model", default="Simulated phone", show_default=True)
@click.option("--serial", default="")
@click.option("--imei", default="")
@click.option("--meid", default="")
@click.option("--wifi-mac", default="")
@click.option("--enterprise-id", default="", help="Android's enrolment-specific id.")
@click.option("--exchange-device-id", default="", help="DeviceId its mail client claims.")
@click.option("--user", default="", help="User name, where the invitation asks for one.")
@click.option("--password", default="", help="Password of that user.")
@click.option("--wait", default=120, show_default=True, help="Seconds to wait for an answer.")
def enrol(
    device: SimulatedDevice,
    qr: str,
    server: str,
    package: Path | None,
    terms: str,
    user: str,
    password: str,
    wait: int,
    **about: str,
) -> None:
    """Enrol this device with a code, a typed key, or an agent package that brings one."""
    if bool(qr) == bool(package):
        raise click.UsageError("Say either --key (or --qr) or --apk.")
    code = qr if package is None else apk.enrolment_code(package)
    description = phone.checked(DeviceDescription, about)
    device.set_terms(terms == "accept")
    patience = timedelta(seconds=wait)
    device_id = device.enrol(code, description, user, password, patience, server)
    member = device.state.member()
    click.echo(f"Enrolled as {device_id}.")
    click.echo(f"Policy: {member.policy.name}, version {member.policy.version}.")


@simulate.command("check-in")
@state_option
def check_in(device: SimulatedDevice) -> None:
    """Report what is new, collect and carry out orders."""
    _tell(device.check_in())


@simulate.command()
@state_option
@click.option("--every", type=click.FloatRange(0.1), help="Seconds; else as the relay says.")
def run(device: SimulatedDevice, every: float | None) -> None:
    """Check in again and again until stopped (Ctrl-C) or no longer managed."""
    device.state.member()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    device.run(stop, every, _tell)


@simulate.command("set")
@state_option
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(device: SimulatedDevice, changes: tuple[str, ...]) -> None:
    """Change the phone: rooted=true os_version=14 passcode_set=unknown ...

    It is reported at the next check-in.
    """
    pairs = [change.partition("=") for change in changes]
    if bad := [name for name, sign, _ in pairs if not sign]:
        raise click.UsageError(f"{', '.join(bad)}: write NAME=VALUE, for example rooted=true.")
    device.set(**{name: value for name, _, value in pairs})
    click.echo("Changed; reported at the next check-in.")


@simulate.command()
@state_option
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--package", default="", help="Claim this package name instead of reading the file.")
@click.option("--name", default="", help="With --package: the name that users see.")
@click.option("--version", default="", help="With --package: the version name.")
@click.option("--sha256", default="", help="With --package and no file: SHA-256 of the APK.")
@click.option("--signer", default=None, help="With --package: SHA-256 of the signer's certificate.")
def install(
    device: SimulatedDevice, files: tuple[Path, ...], package: str, sha256: str, **about: Any
) -> None:
    """Put apps on the phone: APK files, or one app described by options.

    The phone keeps a copy, which it sends when management asks for an unknown app.
    """
    if package and len(files) > 1:
        raise click.UsageError("--package describes one app; name one file.")
    if not files and not (package and sha256):
        raise click.UsageError("Name an APK file, or --package and --sha256.")
    if package:
        apps = [_claimed(package, sha256 or _sha256(files[0]), about)]
    else:
        apps = apk.describe(files)
    device.install(*apps)
    for app, path in zip(apps, files, strict=False):
        device.keep_file(app.sha256, path)
    for app in apps:
        click.echo(f"Installed {app.package} {app.version} ({app.sha256}).")


@simulate.command()
@state_option
@click.argument("packages", nargs=-1, required=True)
def get(device: SimulatedDevice, packages: tuple[str, ...]) -> None:
    """Want optional apps of the store; they are fetched at the next check-in."""
    for package in packages:
        device.choose(package)
        click.echo(f"Chosen {package}.")


@simulate.command("share-apps")
@state_option
@click.argument("allowed", type=click.Choice(["yes", "no"]))
def share_apps(device: SimulatedDevice, allowed: str) -> None:
    """Let files of apps on a personal device be sent for scanning, or no longer."""
    device.share_apps(allowed == "yes")


@simulate.command()
@state_option
@click.option(
    "--root",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key and certificate of its maker (PEM), made if missing; see attestation_roots.",
)
@click.option(
    "--boot",
    type=click.Choice([state.name.lower() for state in BootState]),
    default="verified",
    show_default=True,
    help="What verified boot found.",
)
@click.option("--unlocked", is_flag=True, help="The boot loader is unlocked.")
@click.option("--os-version", default="", help="What runs in truth; else as the phone says.")
@click.option("--patch", default="", help="Its patch level, YYYY-MM; else as the phone says.")
def hardware(
    device: SimulatedDevice, root: Path, boot: str, unlocked: bool, os_version: str, patch: str
) -> None:
    """Give the phone secure hardware that proves its key when it enrols, and its system later."""
    attesting.ensure_root(root)
    device.set_hardware(
        attesting.Hardware(
            root_file=str(root.resolve()),
            boot_state=boot,
            is_locked=not unlocked,
            os_version=os_version,
            security_patch=patch,
        )
    )
    click.echo("The hardware attests from now on.")


@simulate.command("insert-sim")
@state_option
@click.argument("iccid")
@click.option("--operator", default="", help="Name of its operator.")
@click.option("--country", default="", help="Of the operator, two letters.")
def insert_sim(device: SimulatedDevice, iccid: str, operator: str, country: str) -> None:
    """Put a SIM card with this number in; the number itself is never reported."""
    about = {"iccid": iccid, "operator": operator, "country": country.upper()}
    device.insert_sim(phone.checked(SimCard, about))
    click.echo("Inserted; reported at the next check-in.")


@simulate.command("remove-sim")
@state_option
@click.argument("iccid")
def remove_sim(device: SimulatedDevice, iccid: str) -> None:
    """Take a SIM card out."""
    device.remove_sim(iccid)
    click.echo("Removed; reported at the next check-in.")


@simulate.command()
@state_option
@click.argument("packages", nargs=-1, required=True)
def uninstall(device: SimulatedDevice, packages: tuple[str, ...]) -> None:
    """Remove apps by package name."""
    for package in packages:
        device.uninstall(package)
        click.echo(f"Removed {package}.")


@simulate.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(device: SimulatedDevice, as_json: bool) -> None:
    """Show the phone, its enrolment and what happened."""
    state = device.state
    if as_json:
        click.echo(json.dumps(shown.as_fields(state), ensure_ascii=False, indent=2))
    else:
        click.echo(shown.as_text(state))


@simulate.command()
@state_option
@click.option("--reason", default="", help="Management reads it.")
@click.option("--anyway", is_flag=True, help="Also when the relay cannot be reached.")
@click.option("--password", default="", help="Of the agent's settings, where its policy has one.")
def leave(device: SimulatedDevice, reason: str, anyway: bool, password: str) -> None:
    """Remove the agent: say so and forget the enrolment."""
    device.leave(reason, anyway, password)
    click.echo("The device is no longer managed.")


def _claimed(package: str, sha256: str, about: dict[str, Any]) -> InstalledApp:
    described = {"package": package, "sha256": sha256, "name": about["name"]}
    signed = {"version": about["version"], "signer_sha256": about["signer"]}
    return phone.checked(InstalledApp, described | signed)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _tell(outcome: CheckIn | SekishoError) -> None:
    if isinstance(outcome, SekishoError):
        click.echo(str(outcome), err=True)
        return
    click.echo(
        f"Checked in: {_count(outcome.reports_sent, 'report')} sent, "
        f"{_count(outcome.orders_taken, 'order')} taken"
        + (f", {outcome.orders_refused} REFUSED" if outcome.orders_refused else "")
        + f". Next in {outcome.poll_after_seconds:.0f} s."
        + (f" {outcome.ended}" if outcome.ended else "")
    )


def _count(number: int, thing: Literal["report", "order"]) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
