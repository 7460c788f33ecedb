"""What a rule can ask of code: order, origin of values, constants, places to start. And limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patterns import pattern_set
from patterns.opened import open_set
from scanner import app_code, code_rules, reach, starts
from scanner.limits import DEFAULT
from scanner.scan import scan
from tests.scanner.samples.sample import DISGUISED, PLAIN, build, read_sample
from tests.scanner.samples.scope import Style

SENDS = 'call = ["Landroid/telephony/SmsManager;->sendTextMessage"]'
GETS = 'call = ["Landroid/telephony/SmsMessage;->getMessageBody"], label = "text"'
BLOCKS = 'call = ["Landroid/content/BroadcastReceiver;->abortBroadcast"]'
ON_MESSAGE = """
[[rule.component]]
label = "inbox"
actions = ["android.provider.Telephony.SMS_RECEIVED"]
[[rule.code]]
component = "inbox"
"""
Found = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Return what a rule with this end finds in an app."""

    def find(rule: str, app: str, style: Style = PLAIN) -> list[dict[str, Any]]:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        (source / "behaviours.toml").write_text(
            '[[rule]]\nid = "the_rule"\ntitle = "For tests"\nseverity = "medium"\n'
            'category = "spyware"\nmeaning = "It does what is tested here."\n'
            f'why = "Nobody else does what is tested here."\n{rule}'
        )
        folder = tmp_path / f"set{len([*tmp_path.iterdir()])}"
        pattern_set.build(source, tmp_path / "set.zip", "1.0")
        pattern_set.unpack(tmp_path / "set.zip", folder)
        data = build(read_sample(app), style)
        result = scan(data, open_set(str(folder)), DEFAULT)
        assert result["skipped"] == []
        return [finding for finding in result["findings"] if finding["rule"] == "the_rule"]

    return find


def inbox(*lines: str, more: str = "") -> str:
    """Return an app whose receiver of text messages does this."""
    body = "\n        ".join(lines)
    return f"""
permissions("RECEIVE_SMS")
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        {body}
{more}"""


SEND = 'SmsManager.getDefault().sendTextMessage("15550100", None, {}, None, None)'
FORWARD = f"{ON_MESSAGE}steps = [{{{GETS}}}, {{{SENDS}, takes = ['text']}}]"
PARTLY = 'StringBuilder().append("new: ").append(message.getMessageBody()).toString()'
HELPERS = f"""
    def send(self, text: String):
        {SEND.format("text")}
    def same(self, text: String) -> String:
        return text.trim()
class Courier(Runnable):
    text: String
    def __init__(self, text: String):
        self.text = text
    def run(self):
        {SEND.format("self.text")}
"""


@pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])
@pytest.mark.parametrize(
    "line",
    [
        SEND.format("message.getMessageBody()"),
        SEND.format(PARTLY),
        "self.send(self.same(message.getMessageBody()))",
        "Thread(Courier(message.getMessageBody())).start()",
    ],
    ids=["at once", "as part", "through own methods", "in a thread"],
)
def test_a_value_is_followed_wherever_it_goes(line: str, style: Style, found: Found) -> None:
    (finding,) = found(FORWARD, inbox(line, more=HELPERS), style)

    assert finding["where"].startswith("classes.dex at 0x")
    assert "SmsManager;->sendTextMessage" in finding["evidence"]
    assert "SmsMessage;->getMessageBody" in finding["evidence"]


@pytest.mark.parametrize(
    "lines",
    [
        ["message.getMessageBody()", SEND.format('"hello"')],
        ["message.getMessageBody()", "Thread(Courier(message.getOriginatingAddress())).start()"],
        ["Courier(message.getMessageBody())", SEND.format("context.getPackageName()")],
    ],
    ids=["a constant", "another value", "never run"],
)
@pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])
def test_the_same_calls_with_another_value_are_left_alone(
    lines: list[str], style: Style, found: Found
) -> None:
    assert found(FORWARD, inbox(*lines, more=HELPERS), style) == []


def test_of_many_places_to_start_those_that_lead_to_the_steps_are_walked_from(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "FEW", 0)
    run = "Thread(Courier(message.getMessageBody())).start()"

    assert found(FORWARD, inbox(run, more=HELPERS))
    assert not found(FORWARD, inbox("message.getMessageBody()", more=HELPERS))


def test_steps_follow_each_other_unless_order_does_not_matter(found: Found) -> None:
    rule = f"{ON_MESSAGE}steps = [{{{BLOCKS}}}, {{{SENDS}}}]"
    first = inbox("self.abortBroadcast()", SEND.format('"x"'))
    last = inbox(SEND.format('"x"'), "self.abortBroadcast()")

    assert found(rule, first)
    assert not found(rule, last)
    assert found(f"{rule}\nordered = false", last)


def test_what_must_be_absent_spares_the_app(found: Found) -> None:
    rule = f"{FORWARD}\nabsent = ['Landroid/widget/Toast;->show']"
    show = 'Toast.makeText(context, "sent", 1).show()'
    send = SEND.format("message.getMessageBody()")

    assert found(rule, inbox(send))
    assert not found(rule, inbox(send, show))


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ("equals = ['15550100']", True),
        ("equals = ['15550199']", False),
        ("matches = '^1555'", True),
        ("matches = '^555'", False),
        ("constant = true", True),
        ("constant = false", False),
        ("not_from = ['Landroid/telephony/SmsMessage;->getOriginatingAddress']", True),
        ("comes_from = ['Landroid/telephony/SmsMessage;->getOriginatingAddress']", False),
    ],
)
def test_arguments_can_be_asked(asked: str, holds: bool, found: Found) -> None:
    rule = f"{ON_MESSAGE}steps = [{{{SENDS}, arguments = {{ 0 = {{ {asked} }} }}}}]"

    assert bool(found(rule, inbox(SEND.format("message.getMessageBody()")))) == holds


def test_one_of_several_steps_is_enough(found: Found) -> None:
    either = f"{{{BLOCKS}}}, {{{SENDS}, takes = ['text']}}"
    rule = f"{ON_MESSAGE}steps = [{{{GETS}}}, {{either = [{either}]}}]"

    assert found(rule, inbox("message.getMessageBody()", "self.abortBroadcast()"))
    assert found(rule, inbox(SEND.format("message.getMessageBody()")))
    assert not found(rule, inbox("message.getMessageBody()", SEND.format('"x"')))


BUTTON = f"""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        Button(self).setOnClickListener(Sender())
class Sender(View_OnClickListener):
    def onClick(self, view):
        {SEND.format('"hello"')}
"""


def test_what_the_user_starts_is_another_behaviour(found: Found) -> None:
    rule = f"[[rule.code]]\nextends = ['Landroid/app/Activity;']\nsteps = [{{{SENDS}}}]"

    assert not found(rule, BUTTON)
    assert found(f"{rule}\nuser_acts = true", BUTTON)


STARTED = f"""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.startService(Intent(self, Order))
@service
class Order(Service):
    def onStartCommand(self, intent, flags, number):
        {SEND.format('"hello"')}
        return 1
"""


@pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])
def test_a_service_that_is_started_is_followed(style: Style, found: Found) -> None:
    rule = f"[[rule.code]]\nextends = ['Landroid/app/Activity;']\nsteps = [{{{SENDS}}}]"

    assert found(rule, STARTED, style)
    assert not found(f"{rule}\nreach = 0", STARTED, style)


@pytest.mark.parametrize("style", [PLAIN, DISGUISED], ids=["plain", "disguised"])
def test_without_a_place_to_start_any_method_counts_and_what_calls_it(
    style: Style, found: Found
) -> None:
    rule = f"[[rule.code]]\nsteps = [{{{GETS}}}, {{{SENDS}, takes = ['text']}}]"

    (finding,) = found(
        rule, inbox("self.send(self.same(message.getMessageBody()))", more=HELPERS), style
    )

    assert "sendTextMessage" in finding["evidence"]
    assert not found(rule, inbox("message.getMessageBody()", SEND.format('"x"'), more=HELPERS))


def test_a_loop_and_a_method_that_calls_itself_come_to_an_end(found: Found) -> None:
    app = inbox(
        "at = 0",
        "while at < 5:",
        "    self.again(message.getMessageBody())",
        "    at = at + 1",
        more=f"""
    def again(self, text: String):
        {SEND.format("text")}
        self.again(text)
""",
    )

    assert found(FORWARD, app)


def test_code_that_cannot_be_followed_to_the_end_is_told(
    found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(app_code, "INSTRUCTIONS", 5)

    with pytest.raises(AssertionError, match="more of it than can be followed"):
        found(FORWARD, inbox(SEND.format("message.getMessageBody()")))


FANS, LEAVES, BUSY = 20, 15, 8


def deep_inbox(*ways: tuple[str, int, str], last: str) -> str:
    """Return an app with a receiver that leads to much, and then does *last*.

    Each of *ways* is the beginning of a chain of so many busy methods, and what its end does.
    """
    names = [f"fan{fan}" for fan in range(FANS)]
    leaves = [[f"leaf{fan}x{leaf}" for leaf in range(LEAVES)] for fan in range(FANS)]
    called = {
        name: [f"self.{one}()" for one in below] for name, below in zip(names, leaves, strict=True)
    }
    called |= {one: ["self.noise()"] for below in leaves for one in below}
    called |= {"noise": ["self.quiet()"], "echo": ["self.quiet()"], "quiet": ["self.still()"]}
    called |= {"still": ["pass"]}
    methods = [f"def {name}(self):\n" + indented(lines) for name, lines in called.items()]
    for way, length, end in ways:
        for number in range(length):
            onward = f"self.{way}{number + 1}(text)" if number < length - 1 else end
            lines = ["self.noise()", "self.echo()", onward]
            methods.append(f"def {way}{number}(self, text: String):\n" + indented(lines))
    more = "\n".join(f"    {line}" for one in methods for line in one.splitlines())
    fans = [f"self.{name}()" for name in names]
    return inbox(*fans, last, more=f"\n{more}\n")


def indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def test_what_leads_to_much_is_followed_however_deep_while_there_is_an_allowance(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = deep_inbox(
        ("step", BUSY, SEND.format("text")), last="self.step0(message.getMessageBody())"
    )

    assert found(FORWARD, app)

    monkeypatch.setattr(code_rules, "LONG_WAYS", 500)
    assert not found(FORWARD, app)  # nor is anything told as skipped: `found` asserts that

    monkeypatch.setattr(reach, "FEW_BODIES", 2_000)
    assert found(FORWARD, app)

    monkeypatch.setattr(reach, "MOST_BODIES", 200)
    assert not found(FORWARD, app)


def test_a_long_way_that_cannot_be_walked_to_its_end_hides_nothing_near(found: Found) -> None:
    into_the_deep = ("deep", 130, "self.noise()")

    app = deep_inbox(into_the_deep, last=SEND.format("message.getMessageBody()"))
    assert found(
        FORWARD, app.replace("def noise(self):", 'def noise(self):\n        self.deep0("x")')
    )


HIDES = "Landroid/content/pm/PackageManager;->setComponentEnabledSetting"
HIDE = (
    "context.getPackageManager().setComponentEnabledSetting(ComponentName(context, Inbox), {}, 1)"
)
CHOOSES = """
    def hide(self, context: Context, state: int):
        {}
"""


@pytest.mark.parametrize(
    ("lines", "holds"),
    [
        ([HIDE.format(2)], True),
        ([HIDE.format(1)], False),
        (["self.hide(context, 2)"], True),
        (
            ["state = 1", "if intent.getAction() is None:", "    state = 2", HIDE.format("state")],
            True,
        ),
        (
            ["state = 3", "if intent.getAction() is None:", "    state = 1", HIDE.format("state")],
            False,
        ),
    ],
    ids=["the number", "another", "given by the caller", "one of two", "neither of two"],
)
def test_of_many_places_to_start_those_with_the_number_are_walked_from(
    lines: list[str], holds: bool, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "FEW", 0)
    rule = (
        f"{ON_MESSAGE}steps = [{{ call = ['{HIDES}'], arguments = {{ 1 = {{ equals = [2] }} }} }}]"
    )
    app = inbox(*lines, more=CHOOSES.format(HIDE.format("state")))

    assert bool(found(rule, app)) == holds
