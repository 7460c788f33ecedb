"""What contradicts itself in a policy, once inheritance is resolved. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask_babel import gettext as _

from management.policies.rules import Requirements
from management.policies.schema import Settings

Problem = tuple[str, str]
"""Place (``app_control.required``) and what is wrong there."""


def conflicts(requirements: Requirements, settings: Settings) -> dict[str, str]:
    """Return what no device can keep, by the place where it is seen."""
    found = (
        *_apps(requirements, settings.get("app_control", {})),
        *_web(settings.get("web_protection", {})),
        *_networks(settings),
        *_tunnels(settings),
        *_accounts(settings),
        *_certificates(settings),
    )
    return dict(found)


def _apps(requirements: Requirements, control: Mapping[str, Any]) -> Iterator[Problem]:
    required = {*control.get("required", ()), *requirements.required_packages}
    blocked = {*control.get("blocked", ()), *requirements.forbidden_packages}
    if both := _named(required & blocked):
        yield (
            "app_control.required",
            _("Required and blocked or forbidden at once: %(packages)s", packages=both),
        )
    if both := _named({*control.get("allowed", ())} & blocked):
        yield (
            "app_control.allowed",
            _("Allowed and blocked or forbidden at once: %(packages)s", packages=both),
        )


def _web(web: Mapping[str, Any]) -> Iterator[Problem]:
    if both := _named({*web.get("allowed", ())} & {*web.get("blocked", ())}):
        yield (
            "web_protection.blocked",
            _("Always allowed and always blocked at once: %(sites)s", sites=both),
        )


def _networks(settings: Settings) -> Iterator[Problem]:
    for place, one in enumerate(settings.get("wifi", ())):
        at = f"wifi.{place}"
        if len(one.get("name", "").encode()) > 32:
            yield f"{at}.name", _("The name of a network has at most 32 bytes.")
        if one.get("security") == "personal" and not one.get("passphrase"):
            yield f"{at}.passphrase", _("This protection needs a pass phrase.")
        enterprise = one.get("security") == "enterprise"
        if enterprise and one.get("eap") == "tls" and not one.get("certificate"):
            yield f"{at}.certificate", _("EAP-TLS needs a client certificate.")
        if bool(one.get("proxy_host")) != bool(one.get("proxy_port")):
            yield f"{at}.proxy_port", _("A proxy needs both server and port.")
        yield from _known(settings, at, one, ("certificate", "authority"))


def _tunnels(settings: Settings) -> Iterator[Problem]:
    for place, one in enumerate(settings.get("vpn", ())):
        at, proof = f"vpn.{place}", one.get("authentication")
        if proof == "certificate" and not one.get("certificate"):
            yield f"{at}.certificate", _("This proof needs a client certificate.")
        if proof == "shared_secret" and not one.get("shared_secret"):
            yield f"{at}.shared_secret", _("This proof needs a shared secret.")
        yield from _known(settings, at, one, ("certificate",))


def _accounts(settings: Settings) -> Iterator[Problem]:
    for place, one in enumerate(settings.get("mail", ())):
        if one.get("protocol") in {"imap", "pop"} and not one.get("outgoing_server"):
            yield (
                f"mail.{place}.outgoing_server",
                _("IMAP and POP3 need a server for sending."),
            )


def _certificates(settings: Settings) -> Iterator[Problem]:
    for place, one in enumerate(settings.get("certificates", ())):
        if bool(one.get("certificate")) == bool(one.get("identity")):
            yield (
                f"certificates.{place}.certificate",
                _("Give either a certificate or a PKCS #12 file."),
            )


def _known(
    settings: Settings, at: str, one: Mapping[str, Any], fields: tuple[str, ...]
) -> Iterator[Problem]:
    names = {entry.get("name") for entry in settings.get("certificates", ())}
    for field in fields:
        if one.get(field) and one[field] not in names:
            yield (
                f"{at}.{field}",
                _("There is no entry %(name)s under Certificates.", name=one[field]),
            )


def _named(names: set[str]) -> str:
    """Return some of *names* for a sentence."""
    return ", ".join(sorted(names)[:5])
