"""The process of a deep analysis: androguard reads the byte code, and every call is resolved.

The only module that imports androguard, which takes seconds and gigabytes for what a scan does in
milliseconds. `scanner.deep_analysis` is the way in.
"""

import mmap
import socket
from collections import deque
from typing import Any, NamedTuple

from androguard.core.analysis.analysis import Analysis, MethodAnalysis
from androguard.core.dex import DEX
from loguru import logger

from scanner.child import Server
from scanner.chunks import BrokenChunkError
from scanner.confinement import confine
from scanner.container import Archive
from scanner.evidence import Evidence, printable
from scanner.limits import Limits
from scanner.manifest_reader import read_manifest
from scanner.resources import Resources

SITES = 20
"""Call sites that are told of one topic."""
VISITED = 200_000
"""Methods that the ways from the app's components lead through."""
TEXT = 600
Before = dict[MethodAnalysis, MethodAnalysis | None]


class Topic(NamedTuple):
    """Methods of the system that an analyst asks about together."""

    name: str
    classes: str
    methods: str


TOPICS = (
    Topic("reflection", r"^Ljava/lang/reflect/Method;$", r"^invoke$"),
    Topic("reflection", r"^Ljava/lang/Class;$", r"^forName$"),
    Topic(
        "dynamic_loading",
        r"^Ldalvik/system/(Dex|Path|InMemoryDex|DelegateLast)ClassLoader;$",
        r"^<init>$",
    ),
    Topic("dynamic_loading", r"^Ldalvik/system/DexFile;$", r"^(loadDex|loadClass|<init>)$"),
    Topic("native_loading", r"^Ljava/lang/(System|Runtime);$", r"^(load|loadLibrary)0?$"),
    Topic("programs", r"^Ljava/lang/(Runtime|ProcessBuilder);$", r"^(exec|start)$"),
    Topic("sms", r"^Landroid/telephony/(gsm/)?SmsManager;$", r"^send"),
    Topic("sms", r"^Landroid/telephony/SmsMessage;$", r"^get.*(Body|Address)$"),
    Topic(
        "accessibility",
        r"^Landroid/(accessibilityservice/AccessibilityService|"
        r"view/accessibility/AccessibilityNodeInfo);$",
        r"^(perform.*Action|dispatchGesture|getRootInActiveWindow|getText)$",
    ),
    Topic(
        "device_administration",
        r"^Landroid/app/admin/DevicePolicyManager;$",
        r"^(lockNow|wipeData|resetPassword.*|set.*)$",
    ),
    Topic("overlay", r"^Landroid/view/WindowManager(Impl)?;$", r"^addView$"),
    Topic("recording", r"^Landroid/media/(MediaRecorder|AudioRecord);$", r"^start(Recording)?$"),
    Topic(
        "package_installation", r"^Landroid/content/pm/PackageInstaller.*;$", r"^(open|commit).*"
    ),
)


def main(arguments: list[str]) -> None:
    """Serve the requests that come through standard input."""
    logger.remove()
    Server(socket.socket(fileno=0), analyse_input).run()


def analyse_input(limits: Limits) -> dict[str, Any]:
    """Give up all rights and analyse standard input."""
    granted = confine(limits, may_read_files=True)
    with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as data:
        answer = _analyse(data, Evidence(limits))
    answer["features"] = {"confinement": granted}
    return answer


def _analyse(data: mmap.mmap, evidence: Evidence) -> dict[str, Any]:
    analysis, components, missed = Analysis(), set[str](), list[str]()
    classes = 0
    archive = Archive(data, "", evidence)
    resources = Resources(lambda: archive.read(b"resources.arsc"))
    for part in archive.parts():
        if part.name == "AndroidManifest.xml" and not components:
            components = _components(part.data, resources)
        if part.data[:4] != b"dex\n":
            continue
        try:
            code = DEX(part.data)
        except Exception as error:  # noqa: BLE001  (androguard raises whatever a file brings about)
            missed.append(printable(f"{part.name}: {type(error).__name__}: {error}", TEXT))
            continue
        analysis.add(code)
        classes += len(code.get_classes())
    analysis.create_xref()
    before = _reached(analysis, components)
    sites = [site for topic in TOPICS for site in _sites(topic, analysis, before)]
    return {"sites": sites, "missed": [*missed, *evidence.skipped], "classes": classes}


def _components(manifest: bytes, resources: Resources) -> set[str]:
    try:
        app = read_manifest(manifest, resources)
    except BrokenChunkError:
        return set()
    return {_descriptor(app.package, component.name) for component in app.components}


def _descriptor(package: str, name: str) -> str:
    whole = f"{package}{name}" if name.startswith(".") else name
    return "L" + (whole if "." in whole else f"{package}.{whole}").replace(".", "/") + ";"


def _sites(topic: Topic, analysis: Analysis, before: Before) -> list[dict[str, Any]]:
    """Return the first call sites of *topic*, those that a component reaches before the others."""
    found = [
        (caller not in before, _shown(caller), offset, _shown(called), caller)
        for called in analysis.find_methods(topic.classes, topic.methods)
        for _, caller, offset in called.get_xref_from()
    ]
    return [
        {
            "topic": topic.name,
            "calls": called,
            "caller": name,
            "offset": offset,
            "chain": [_shown(method) for method in _way(caller, before)],
        }
        for _, name, offset, called, caller in sorted(found, key=lambda one: one[:4])[:SITES]
    ]


def _reached(analysis: Analysis, components: set[str]) -> Before:
    """Return each method that a component's methods lead to, with the one before it.

    Making an object leads to all its methods, since the system may call them back.
    """
    first = [one for name in sorted(components) for one in _methods(analysis, name)]
    before: Before = dict.fromkeys(first)
    waiting = deque(first)
    while waiting and len(before) < VISITED:
        method = waiting.popleft()
        leads_to = [other for _, other, _ in method.get_xref_to()]
        if method.name == "<init>":
            leads_to += _methods(analysis, str(method.class_name))
        for other in leads_to:
            if other not in before and not other.is_external():
                before[other] = method
                waiting.append(other)
    return before


def _methods(analysis: Analysis, class_name: str) -> list[MethodAnalysis]:
    found = analysis.get_class_analysis(class_name)
    return list(found.get_methods()) if found else []


def _way(method: MethodAnalysis, before: Before) -> list[MethodAnalysis]:
    way: list[MethodAnalysis] = []
    here = method if method in before else None
    while here is not None:
        way.append(here)
        here = before[here]
    return way[::-1]


def _shown(method: MethodAnalysis) -> str:
    return printable(f"{method.class_name}->{method.name}{method.descriptor}", TEXT)
