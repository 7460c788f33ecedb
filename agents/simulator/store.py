"""What a simulated device wants of the app store; `files` fetches it. No network."""

from agents.simulator.phone import NotNowError
from agents.simulator.state import DeviceState
from contracts.agent import OfferedApp
from runtime.errors import NotFoundError, RefusedError


def wanted(state: DeviceState) -> list[OfferedApp]:
    """Return the apps of the store that are required or chosen and not on the phone."""
    if state.offer is None:
        return []
    held = {app.sha256 for app in state.phone.apps}
    return [
        app
        for app in state.offer.apps
        if app.sha256 not in held and (app.required or app.package in state.chosen)
    ]


def choose(state: DeviceState, package: str) -> OfferedApp:
    """Want an app of the store; NotFoundError when it is not offered to this device."""
    for app in state.offer.apps if state.offer else ():
        if app.package == package:
            state.chosen = sorted({*state.chosen, package})
            return app
    raise NotFoundError(f"The app store does not offer {package} to this device.")


def install_as_ordered(state: DeviceState, arguments: dict[str, str]) -> str:
    """Say that the app is installed; NotNowError as long as it has to be fetched from the store.

    RefusedError when the store does not offer it, or another file than the order names.
    """
    try:
        app = choose(state, arguments["package"])
    except NotFoundError as error:
        raise RefusedError(str(error)) from None
    if arguments.get("sha256", app.sha256) != app.sha256:
        raise RefusedError(f"The app store offers another file of {app.package}.")
    if any(held.sha256 == app.sha256 for held in state.phone.apps):
        return f"{app.package} is installed."
    raise NotNowError(f"{app.package} is being fetched from the app store.")
