"""The facts of an AndroidManifest.xml; `scanner.manifest_reader` finds them."""

from typing import NamedTuple


class Component(NamedTuple):
    """An activity, service, receiver or provider."""

    kind: str
    name: str
    permission: str
    exported: bool | None
    actions: tuple[str, ...]
    categories: tuple[str, ...]
    priority: int
    is_launcher: bool = False
    """Whether it is an icon on the home screen: enabled, and a filter with just MAIN, LAUNCHER."""


class Manifest(NamedTuple):
    """What an app says of itself."""

    package: str
    version_name: str = ""
    version_code: str = ""
    split: str = ""
    """Name of the split package; empty: it is no split."""
    minimum_sdk: int | None = None
    target_sdk: int | None = None
    labels: tuple[str | int, ...] = ()
    """The app's first, then those of its icons: a text, or the id of a resource."""
    debuggable: bool = False
    test_only: bool = False
    application_class: str = ""
    backup: bool | None = None
    cleartext: bool | None = None
    has_network_rules: bool = False
    """Whether a network security configuration decides on cleartext traffic."""
    meta_data: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    oddities: tuple[str, ...] = ()
    """What is built to mislead."""
    unusual: tuple[str, ...] = ()
    """What Android passes over."""
    unresolved: tuple[str, ...] = ()
    """References in names that the resources do not answer."""
    is_cut: bool = False
