"""The page from which strangers write agents names what really exists."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

from agents.simulator import orders, relay_client
from communication import fast_path, report_path
from communication.agent_api import ENROLMENT_BYTES, ORDERS
from communication.fast_path import LONGEST_WAIT
from communication.report_path import REPORT_BYTES
from contracts import agent, compact, envelope
from contracts.request_signature import AGENT, COMPONENTS, MAXIMUM_SKEW
from management.enrolment import rules as enrolment_rules

PAGE = (Path(__file__).parents[2] / "docs" / "agent-protocol.md").read_text(encoding="utf-8")
MESSAGES = {
    name: kind
    for name, kind in vars(agent).items()
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
}


def test_every_kind_of_message_and_all_of_its_fields_are_explained() -> None:
    for name, kind in MESSAGES.items():
        fields = kind.__dataclass_fields__
        spoken_of = fields["kind"].default if "kind" in fields else name
        if name not in ("RelayEntry", "PolicyDocument", "InstalledApp"):
            assert f"`{spoken_of}`" in PAGE, name
        for field in fields:
            assert re.search(rf"[`\"{{]{field}[`\"}}]", PAGE), f"{name}.{field}"


def test_every_message_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]?[A-Za-z]+)`", PAGE))

    assert {"TrustStatement", "PollToken", "Enrolled"} <= named
    headers = {"Date"}
    assert named - headers <= set(MESSAGES), named - headers - set(MESSAGES)


def test_every_route_that_is_named_exists_and_no_other() -> None:
    named = set(re.findall(r"`(GET|POST) (/agent/v1/[a-z]+)", PAGE))
    folder = Path(__file__).parents[2] / "communication"
    source = (folder / "agent_api.py").read_text() + (folder / "file_api.py").read_text()
    routes = {
        (method.upper(), "/agent/v1" + path)
        for method, path in re.findall(r'@(?:bp|agents)\.(get|post)\("(/[a-z]+)', source)
    }

    fast = {("GET", fast_path.PATH), ("POST", fast_path.TOKEN_PATH), ("POST", report_path.PATH)}
    assert named == routes | fast
    assert relay_client.PATH == "/agent/v1"


def test_the_types_of_signatures_are_the_real_ones() -> None:
    for typ in (envelope.ORDER, envelope.REPORT, envelope.ENROLMENT, envelope.TRUST):
        assert f"`{typ}`" in PAGE
    assert compact.CIPHER in PAGE


def test_commands_and_problems_are_the_real_ones() -> None:
    for command in agent.CommandKind:
        assert f"`{command}`" in PAGE
    problems = get_args(get_type_hints(agent.RelayProblem)["problem"])
    assert set(problems) == set(get_args(orders.Problem))
    for problem in problems:
        assert f"`{problem}`" in PAGE


def test_numbers_are_the_real_ones() -> None:
    assert f"at most {ENROLMENT_BYTES // 1024} KiB" in PAGE
    assert f"at most {REPORT_BYTES // 1024**2} MiB" in PAGE
    assert f"at most {ORDERS} orders" in PAGE
    assert f"(at most {LONGEST_WAIT})" in PAGE
    assert MAXIMUM_SKEW.total_seconds() == 5 * 60
    assert "within five minutes" in PAGE
    assert enrolment_rules.SENT_WITHIN.days == 2
    assert "older than two days" in PAGE


def test_the_request_signature_is_the_real_one() -> None:
    listed = " ".join(f'"{component}"' for component in COMPONENTS)
    assert f"sekisho=({listed});created=" in PAGE
    assert f'tag="{AGENT}"' in PAGE
