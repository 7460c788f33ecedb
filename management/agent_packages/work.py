"""Background work of agent packages: tell devices, and tell relays what their page offers."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from management.agent_packages.service import tell, wanted_download
from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from management.relays.link_client import LinkClient
from management.relays.queries import get_relay
from runtime.clock import utc_now

BATCH = 50


def announce(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Tell every Android device of the package that it does not have.

    What a device was told stands in a row of its own, so after a crash the work goes on there.
    """
    after, told = UUID(int=0), 0
    while True:
        with context.database.transaction("announce an agent package") as session:
            last = tell(session, context, after, BATCH, utc_now())
        if last == after:
            return
        after, told = last, told + BATCH
        progress(_l("Told about %(count)s devices of the agent package.", count=told))


def bring_download(context: Context, link: LinkClient, relay_id: UUID, held: str) -> None:
    """Tell a relay what its download page offers, unless *held* (its own word) stands for that."""
    with context.database.reading() as session:
        relay = get_relay(session, relay_id)
        download, values = wanted_download(session, context, relay, utc_now())
    if download.tag == held or (values is None and not held):
        return
    if values is not None:
        download = replace(download, values=context.signer.sign_download(values))
    link.put_download(download)
