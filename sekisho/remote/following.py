"""Waits for work that goes on at the server, and says what becomes of it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from sekisho.remote.client import Remote

ASK_SECONDS = 2.0
JOB_ENDS = frozenset({"done", "failed", "cancelled"})
COMMAND_ENDS = JOB_ENDS | {"expired"}
Said = dict[str, Any]


def until_end(remote: Remote, path: str, ends: frozenset[str]) -> Iterator[Said]:
    """Yield what stands at *path* whenever it changed, until its state is an end."""
    told: Said = {}
    while True:
        now = remote.get(path)
        if now != told:
            yield now
        if now["state"] in ends:
            return
        told = now
        time.sleep(ASK_SECONDS)


def follow_job(remote: Remote, job_id: str, say: Callable[[Said], None]) -> Said:
    """Say each line of a job's log as it comes; return the job at its end."""
    path, after, job = f"/jobs/{job_id}", 0, dict[str, Any]()
    for now in until_end(remote, path, JOB_ENDS):
        job = now
        for line in remote.items(f"{path}/lines"):
            if line["number"] > after:
                after = line["number"]
                say(line)
    return job
