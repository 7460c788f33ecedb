"""What management set in its console about this server; it wins over the settings at start."""

from pathlib import Path

from communication import pairing
from communication.settings import Settings
from contracts import codec
from contracts.link import RelaySettings

FILE = "settings.json"


def keep(folder: Path, said: RelaySettings) -> None:
    """Remember it for the next start."""
    pairing.write(folder / FILE, codec.write(said), 0o600)


def find(settings: Settings) -> RelaySettings:
    """Return what management said; until then, what this server was started with."""
    path = settings.folder / FILE
    if path.exists():
        return codec.read(RelaySettings, path.read_bytes())
    return RelaySettings(
        public_name=settings.public_name,
        devices_ports=(settings.devices_port,),
        http_ports=(settings.http_port,),
        link_ports=(settings.link_port,),
    )


def ports(said: RelaySettings) -> dict[str, tuple[int, ...]]:
    """Return the wanted ports of each kind."""
    return {"devices": said.devices_ports, "link": said.link_ports, "plain": said.http_ports}
