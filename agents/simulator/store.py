"""What a simulated device wants of the app store; `files` fetches it. No network."""

from dataclasses import replace

from agents.simulator.phone import NotNowError
from agents.simulator.state import DeviceState
from contracts.agent import NewAgent, OfferedApp
from runtime.errors import NotFoundError, RefusedError


def wanted(state: DeviceState) -> list[OfferedApp]:
    """Return the apps of the store that are required or chosen and not on the phone.

    A newer package of the agent itself is one of them.
    """
    offered = state.offer.apps if state.offer else ()
    asked = [app for app in offered if app.required or app.package in state.chosen]
    if state.new_agent is not None:
        asked.append(_agent(state.new_agent))
    held = {app.sha256 for app in state.phone.apps}
    return [app for app in asked if app.sha256 not in held]


def _agent(new: NewAgent) -> OfferedApp:
    return OfferedApp(
        package=new.package,
        name="Agent",
        version=new.version,
        sha256=new.sha256,
        size_bytes=new.size_bytes,
        signer_sha256=new.signer_sha256,
        required=True,
    )


def note_installed(state: DeviceState, app: OfferedApp) -> None:
    """Note that the agent itself is another one now, if *app* is it."""
    if state.new_agent is not None and state.new_agent.sha256 == app.sha256:
        state.phone.posture = replace(state.phone.posture, agent_version=app.version)
        state.new_agent = None


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
