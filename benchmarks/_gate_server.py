"""The small ActiveSync server of the gate's tests as a process; ends by SIGTERM."""

import asyncio
import signal

from aiohttp import web

from tests.exchange_connector.gate_bed import MailServer


async def serve() -> None:
    """Answer until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", MailServer(keeps_requests=False).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
