"""Management's own keys: what it seals, reads, signs towards relays and certifies."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from contracts import keys as jwk
from management import certificates
from management.key_files import SealedFolder, locked, prepare_folder, write_private
from management.opening_keys import OpeningKeys
from runtime.errors import UnavailableError
from runtime.process import crash_point

CONSOLE_CERTIFICATE = "console.pem"
CONSOLE_KEY = "console.key"
PROFILE_CERTIFICATE = "profile.pem"
RENEW_BEFORE = timedelta(days=30)
FORMER_CA = "ca-former.pem"
CA_RENEW_BEFORE = certificates.DEVICE_VALID
"""No certificate that it issues outlives it."""


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """What the built-in CA issued to a device."""

    pem: str
    serial: str
    """Lower-case hexadecimal."""
    until: datetime


class Keys:
    """The keys in one folder; reading them is lazy, what is wrong with the folder shows at once."""

    def __init__(self, folder: Path) -> None:
        """Open *folder*; ConfigurationError when ``secret.key`` is missing or others read it."""
        self.folder = folder
        self._sealed = SealedFolder(folder)

    def seal(self, text: str) -> str:
        """Return *text* encrypted under ``secret.key``, for a column or file; ASCII."""
        return self._sealed.seal(text)

    def unseal(self, text: str) -> str:
        """Return what `seal` was given; MalformedMessageError when it was altered."""
        return self._sealed.unseal(text)

    def encryption_key(self) -> ECKey:
        """Return the private key that devices seal reports and enrolment requests to."""
        return self.opening.present()

    def opening_key(self, sealed: str) -> ECKey:
        """Return the private key that opens *sealed*: the present one, or one before it."""
        return self.opening.for_message(sealed)

    def link_key(self) -> ECKey:
        """Return the private key that signs requests to relays; they pin it at pairing."""
        return self._link_key

    def ca_certificate(self) -> str:
        """Return the built-in CA's certificate, PEM."""
        return (self.folder / "ca.pem").read_text(encoding="ascii")

    def authority_fingerprint(self) -> str:
        """Return the SHA-256 of the built-in CA's certificate in hex."""
        return self._issuer.certificate.fingerprint(hashes.SHA256()).hex()

    def is_own_authority(self, pem: str) -> bool:
        """Tell whether *pem* is a certificate of the built-in CA, of now or from before."""
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return False
        return found.public_key() == self._issuer.key.public_key()

    def has_former_authority(self) -> bool:
        """Tell whether the built-in CA's certificate followed another one."""
        former = self.folder / FORMER_CA
        return former.exists() and former.read_text("ascii") != self.ca_certificate()

    def renew_authority(self, now: datetime) -> bool:
        """Certify the built-in CA anew, with the same key, when it ends within two years."""
        with locked(self.folder):
            if self._issuer.certificate.not_valid_after_utc - now > CA_RENEW_BEFORE:
                return False
            write_private(self.folder / FORMER_CA, self.ca_certificate(), 0o644)
            crash_point("after effect former authority")
            renewed = certificates.authority(self._issuer.key, now)
            write_private(self.folder / "ca.pem", certificates.pem(renewed), 0o644)
        crash_point("after effect authority")
        return True

    def issue_device_certificate(
        self, device_id: UUID, key: ECKey, now: datetime
    ) -> DeviceCertificate:
        """Return a certificate for a device's signing key.

        Subject CN is the device id; only for client authentication; two years.
        """
        issued = certificates.for_device(self._issuer, device_id, jwk.raw_public(key), now)
        serial, until = f"{issued.serial_number:x}", issued.not_valid_after_utc
        return DeviceCertificate(certificates.pem(issued), serial, until)

    def issue_server_certificate(self, names: Sequence[str], now: datetime) -> tuple[str, str]:
        """Return (PEM chain, PKCS#8 PEM key) of a fresh TLS key for *names*: DNS names and IPs."""
        chain, key = certificates.for_server(self._issuer, names, now)
        return "".join(certificates.pem(one) for one in chain), certificates.key_pem(key)

    def issue_profile_certificate(self, now: datetime) -> str:
        """Return a certificate (PEM) of the key that signs configuration profiles."""
        public = self._profile_key.public_key()
        return certificates.pem(certificates.for_profiles(self._issuer, public, now))

    def may_sign_profiles(self, now: datetime) -> bool:
        """Tell whether the profile certificate is of this CA and key, and not about to end."""
        found = self._profile_certificate
        ours = found.issuer == self._issuer.certificate.subject
        fresh = found.not_valid_after_utc - now > RENEW_BEFORE
        return ours and fresh and found.public_key() == self._profile_key.public_key()

    def sign_profile(self, profile: bytes) -> bytes:
        """Return a configuration profile signed for Apple devices (CMS, DER).

        The signer stays the same from file to file, so a device can tell an update from a forgery.
        """
        return certificates.signed(
            profile, self._profile_certificate, self._profile_key, self._issuer.certificate
        )

    def mac(self, data: bytes) -> str:
        """Return the HMAC-SHA-256 of *data* in hex, under the audit trail's key."""
        return hmac.new(self._mac_key, data, sha256).hexdigest()

    @cached_property
    def opening(self) -> OpeningKeys:
        """The keys that open what devices sealed."""
        return OpeningKeys(self._sealed)

    @cached_property
    def _link_key(self) -> ECKey:
        return jwk.read_private(self._sealed.read("link"))

    @cached_property
    def _profile_key(self) -> ec.EllipticCurvePrivateKey:
        return jwk.raw_private(jwk.read_private(self._sealed.read("profile")))

    @cached_property
    def _profile_certificate(self) -> x509.Certificate:
        path = self.folder / PROFILE_CERTIFICATE
        if not path.exists():  # a data folder of an earlier release
            raise UnavailableError(f"{path} is missing; run `sekisho set-up`, which makes it.")
        return x509.load_pem_x509_certificate(path.read_bytes())

    @cached_property
    def _mac_key(self) -> bytes:
        return bytes.fromhex(self._sealed.read("audit"))

    @property
    def _issuer(self) -> certificates.Issuer:
        """Read anew each time: another process may have renewed it."""
        return certificates.Issuer(
            x509.load_pem_x509_certificate(self.ca_certificate().encode()), self._authority_key
        )

    @cached_property
    def _authority_key(self) -> ec.EllipticCurvePrivateKey:
        return jwk.raw_private(jwk.read_private(self._sealed.read("ca")))


def prepare(folder: Path, now: datetime, names: Sequence[str] = ()) -> Keys:
    """Make what is missing in *folder* and return it; safe to repeat and to run twice at once.

    With *names*, also (re)issues the console's TLS certificate when it is missing, runs out within
    30 days, lacks one of the names, or does not come from this CA.
    """
    with locked(folder):
        sealed = prepare_folder(folder)
        for name in ("encryption", "link", "ca", "profile"):
            sealed.make_missing(name, lambda: jwk.private_json(jwk.new_key()))
        sealed.make_missing("audit", lambda: token_hex(32))
        if not (folder / "ca.pem").exists():
            authority = certificates.authority(_ca_key(sealed), now)
            write_private(folder / "ca.pem", certificates.pem(authority), 0o644)
        _certify_profiles(Keys(folder), now)
        keys = Keys(folder)
        if names and not _console_holds(keys, names, now):
            _issue_console(keys, names, now)
    return keys


def _ca_key(sealed: SealedFolder) -> ec.EllipticCurvePrivateKey:
    return jwk.raw_private(jwk.read_private(sealed.read("ca")))


def _certify_profiles(keys: Keys, now: datetime) -> None:
    """Issue the certificate for signed profiles when it is missing, runs out or is another's."""
    path = keys.folder / PROFILE_CERTIFICATE
    if not (path.exists() and keys.may_sign_profiles(now)):
        write_private(path, keys.issue_profile_certificate(now), 0o644)


def _console_holds(keys: Keys, names: Sequence[str], now: datetime) -> bool:
    certificate, key = keys.folder / CONSOLE_CERTIFICATE, keys.folder / CONSOLE_KEY
    if not (certificate.exists() and key.exists()):
        return False
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    ours = x509.load_pem_x509_certificate(keys.ca_certificate().encode())
    if leaf.issuer != ours.subject:  # the company's own certificate stays
        return True
    fresh = leaf.not_valid_after_utc - now > RENEW_BEFORE
    return fresh and certificates.covers(leaf, names) and certificates.belong(leaf, key)


def _issue_console(keys: Keys, names: Sequence[str], now: datetime) -> None:
    chain, key = keys.issue_server_certificate(names, now)
    write_private(keys.folder / CONSOLE_KEY, key)
    write_private(keys.folder / CONSOLE_CERTIFICATE, chain, 0o644)
