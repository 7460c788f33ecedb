"""The clauses of `docs/agent-protocol.md` that a relay keeps, in the order in which they are tried.

Each tries one sentence with requests that a device would make, or would never make. What management
has to add (the answer to an enrolment, a receipt) is waited for.
"""

from agents.conformance import (
    relay_enrolment,
    relay_mailbox,
    relay_polls,
    relay_renewal,
    relay_requests,
)
from agents.conformance.clauses import Clause
from agents.conformance.probe import Probe

CLAUSES: list[Clause[Probe]] = [
    *relay_enrolment.CLAUSES,
    *relay_requests.CLAUSES,
    *relay_polls.CLAUSES,
    *relay_mailbox.CLAUSES[:-2],
    *relay_renewal.CLAUSES,
    *relay_mailbox.CLAUSES[-2:],
]
