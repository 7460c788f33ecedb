"""The clauses that an agent keeps, in the order in which they are tried."""

from agents.conformance import (
    agent_enrolment,
    agent_orders,
    agent_renewal,
    agent_reports,
    agent_requests,
)
from agents.conformance.clauses import Clause
from agents.conformance.stage import Stage

CLAUSES: list[Clause[Stage]] = [
    *agent_enrolment.CLAUSES,
    *agent_requests.CLAUSES[:1],
    *agent_reports.CLAUSES[:1],
    *agent_requests.CLAUSES[1:],
    *agent_orders.CLAUSES,
    *agent_renewal.CLAUSES,
    *agent_reports.CLAUSES[1:],
]
"""Without those that traps try (`agent_enrolment.trap_clauses`), which come first."""
