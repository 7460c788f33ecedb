"""What a rule may ask for: the fields of the sources, as `docs/patterns.md` describes them."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, with_config

_STRICT = ConfigDict(extra="forbid")  # a mistyped field must not be passed over

Category = Literal[
    "ad-fraud",
    "backdoor",
    "billing-fraud",
    "denial-of-service",
    "elevated-privilege-abuse",
    "evasive-container",
    "hostile-downloader",
    "impersonation",
    "non-android-threat",
    "phishing",
    "privacy",
    "ransomware",
    "riskware",
    "rooting",
    "spam",
    "spyware",
    "stalkerware",
    "test-file",
    "trojan",
    "unwanted",
    "vulnerable",
]
"""Google's categories of potentially harmful apps, and ours for what they do not name."""

RATINGS = ("privacy", "vulnerable")
"""Categories that rate an honest app; such a rule weighs ``low`` at most."""

Trait = Literal[
    "reflection",
    "loads_code",
    "loads_native",
    "native_code",
    "nested_app",
    "encrypted_payload",
    "unmeasured_data",
    "stub_application",
    "missing_code",
]
"""What the scanner recognises by itself; `scanner.app_traits` says how."""

Flag = Literal["backup", "cleartext", "debuggable", "launcher", "test_only"]
"""What the manifest sets for the whole app, defaults of the target SDK included."""


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,79}$")]
Words = Annotated[str, Field(min_length=5, max_length=255)]
Explanation = Annotated[str, Field(min_length=20, max_length=2000)]
Technique = Annotated[str, Field(pattern=r"^(T\d{4}(\.\d{3})?)?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Type = Annotated[str, Field(pattern=r"^\[*L[\w/$]+;$", max_length=255)]
Call = Annotated[str, Field(pattern=r"^L[\w/$]+;->[\w<>$]+$", max_length=255)]
"""A method or a field: ``Lpackage/Class;->name``; every overload counts."""
Text = Annotated[str, Field(min_length=3, max_length=255)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
Pattern = Annotated[str, Field(min_length=2, max_length=255), AfterValidator(_compiles)]
Reference = Annotated[str, Field(pattern=r"^(https://\S{4,240})?$")]
LibraryName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
Version = Annotated[str, Field(pattern=r"^(\d{1,6}(\.\d{1,6}){1,5}[a-z]{0,2})?$")]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule says of itself, whatever its form."""

    id: RuleId
    title: Words
    severity: Literal["note", "low", "medium", "high"]
    category: Category
    meaning: Explanation
    """What an app that matches does."""
    why: Explanation
    """Why this is not usual in honest apps."""
    family: Annotated[str, Field(max_length=80)] = ""
    technique: Technique = ""
    """MITRE ATT&CK Mobile id."""
    confidence: Literal["low", "medium", "high"] = "medium"
    """How sure a match is to be what the rule describes."""
    reference: Reference = ""
    """Where to read more; default: the technique's page."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is looked for in manifest and code."""

    permissions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()
    """Intent actions that a component of the app filters for."""
    guarded_by: tuple[Text, ...] = ()
    """Permissions that a component asks of its callers, which tell what kind of service it is."""
    calls: tuple[Call, ...] = ()
    """Methods or fields that the code refers to."""
    types: tuple[Type, ...] = ()
    """Classes that the code refers to."""
    meta_data: tuple[Text, ...] = ()
    """Names of ``<meta-data>``."""
    flags: tuple[Flag, ...] = ()
    traits: tuple[Trait, ...] = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Some component of the app must be like this; *label* is how `Code.component` names it."""

    label: Label = ""
    kind: Literal["", "activity", "activity-alias", "service", "receiver", "provider"] = ""
    actions: tuple[Text, ...] = ()
    """It filters for one of these."""
    categories: tuple[Text, ...] = ()
    """It filters for one of these."""
    guarded_by: tuple[Text, ...] = ()
    """Its callers need one of these permissions."""
    exported: bool | None = None
    """Whether other apps reach it; what is not said follows from its filters, as in Android."""
    unguarded: bool = False
    """Its callers need no permission."""
    priority: Annotated[int, Field(ge=0)] = 0
    """One of its filters has at least this priority."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What one argument of a call must be; everything named must hold."""

    equals: tuple[str | int | bool, ...] = ()
    """It is one of these constants."""
    matches: Pattern = ""
    """It is a constant string in which this regular expression is found."""
    constant: bool | None = None
    """Whether it is a constant at all."""
    comes_from: tuple[Call | Label, ...] = ()
    """It is made of the result of one of these calls, or of the step that is labelled so."""
    not_from: tuple[Call | Label, ...] = ()
    """It is made of none of these."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call (or reading of a field) that the code makes."""

    call: tuple[Call, ...] = ()
    """One of these."""
    either: tuple["Step", ...] = ()
    """Instead of *call*: one of these (without labels); what else is asked here holds for each."""
    label: Label = ""
    takes: tuple[Call | Label, ...] = ()
    """Some argument, or the object, is made of the result of one of these calls or steps."""
    arguments: dict[Annotated[str, Field(pattern=r"^(this|[0-9])$")], Argument] = field(
        default_factory=dict
    )
    """Position (0 is the first) or ``this`` -> what it must be."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """From one place to start, the code makes these calls.

    Without *component*, *extends* or *implements* the code starts in any method that makes one of
    the calls, and in what calls that.
    """

    component: Label = ""
    """Start in the class of the component with this label."""
    extends: tuple[Type, ...] = ()
    """Start in the app's classes that descend from one of these."""
    implements: tuple[Type, ...] = ()
    """Start in the app's classes that implement one of these."""
    methods: tuple[Annotated[str, Field(pattern=r"^[\w<>$]+$")], ...] = ()
    """Start in methods of these names only (names that Android calls survive renaming)."""
    reach: Annotated[int, Field(ge=0, le=6)] = 4
    """How many calls deep the app's own methods are followed at least (ADR 57)."""
    user_acts: bool = False
    """Also follow what runs only when the user touches something, like ``onClick``."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)]
    ordered: bool = True
    """The steps follow each other; else their order does not matter."""
    absent: tuple[Call, ...] = ()
    """The code that was followed makes none of these calls."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What tells that a library of others is in an app, and its version."""

    name: LibraryName
    kind: Literal["dex", "elf", "other"]
    """Of the part of the file that says so."""
    entry: Annotated[str, Field(max_length=200)] = ""
    """How the part's path ends; empty: any."""
    version: Annotated[str, Field(min_length=8, max_length=200)]
    """Regular expression (YARA's) for the text that ends with the version: ``name/1.2.3``."""
    beside: tuple[Text, ...] = ()
    """One of these texts stands in the same part: so who only mentions the version is left out."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryVersions:
    """Versions of a library: from *since* (empty: the first) to the last one below *before*."""

    name: LibraryName
    since: Version = ""
    before: Annotated[Version, Field(min_length=3)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """What ``libraries.toml`` holds."""

    library: tuple[Library, ...] = ()


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Rule):
    """Holds for an app with all that is asked here; see the fields."""

    all: Traits = field(default_factory=Traits)
    some: Traits = field(default_factory=Traits)
    at_least: Annotated[int, Field(ge=0, le=50)] = 0
    """How many of *some*."""
    none: Traits = field(default_factory=Traits)
    """The app has none of these."""
    no_launcher: bool = False
    """Only for an app that shows no icon."""
    receiver_priority: Annotated[int, Field(ge=0)] = 0
    """Only when a filter for one of the actions has at least this priority."""
    target_sdk_below: Annotated[int, Field(ge=0, le=1000)] = 0
    """Only when the app is made for an older Android; 0: any."""
    library: tuple[LibraryVersions, ...] = ()
    """The app contains one of these."""
    component: tuple[Component, ...] = ()
    """For each of these the app has a component."""
    code: tuple[Code, ...] = ()
    """Each of these holds."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownList(Rule):
    """Holds for an app of which one of *values* is true."""

    kind: Literal["sha256", "signer", "package"]
    """``sha256`` of the file or of something in it; ``signer``: SHA-256 of its certificate."""
    values: tuple[Text, ...] = ()
    values_file: Annotated[str, Field(pattern=r"^([\w-]+\.txt)?$")] = ""
    """File beside this one with a value a line; what follows a blank is a remark."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialSigner:
    """An app that others pose as."""

    package: Text
    publisher: Text
    sha256: tuple[Sha256, ...] = ()
    """All certificates of its publisher; another signer means a changed copy. Empty: not known."""
    labels: tuple[Text, ...] = ()
    """Names under which users know it, when no other app has a reason to be called so."""
    also: tuple[Text, ...] = ()
    """Other packages of the publisher, which may have its names."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A certificate whose private key anybody can have."""

    sha256: Sha256
    name: Text


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """What ``signers.toml`` holds."""

    official: tuple[OfficialSigner, ...] = ()
    public_key: tuple[PublicKey, ...] = ()
