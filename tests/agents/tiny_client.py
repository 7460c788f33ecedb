"""A second agent, written from `docs/agent-protocol.md` alone: nothing of ours is imported.

Only `cryptography`, `httpx` and the standard library; JOSE and signatures are made by hand.
"""

import base64
import hashlib
import json
import os
import ssl
import struct
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

Json = dict[str, Any]
Private = ec.EllipticCurvePrivateKey
Public = ec.EllipticCurvePublicKey


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pack(fields: Json) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def now() -> str:
    return datetime.now(UTC).isoformat()


# --- keys (section 1) ---


def new_key() -> Private:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: Public) -> Json:
    numbers = key.public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def public(fields: Json) -> Public:
    x, y = (int.from_bytes(unb64(fields[name]), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def thumbprint(fields: Json) -> str:
    needed = {name: fields[name] for name in ("crv", "kty", "x", "y")}
    return b64(hashlib.sha256(pack(needed)).digest())


def sign_raw(data: bytes, key: Private) -> bytes:
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# --- JWS and JWE (section 3) ---


def sign(payload: bytes, typ: str, key: Private) -> str:
    header = {"alg": "ES256", "typ": typ, "kid": thumbprint(jwk(key.public_key()))}
    signed = f"{b64(pack(header))}.{b64(payload)}"
    return f"{signed}.{b64(sign_raw(signed.encode(), key))}"


def verify(token: str, typ: str, key: Public) -> bytes:
    header, payload, signature = token.split(".")
    said = json.loads(unb64(header))
    if (said["alg"], said["typ"]) != ("ES256", typ):
        raise ValueError(f"not a {typ}")
    raw = unb64(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    key.verify(encode_dss_signature(r, s), f"{header}.{payload}".encode(), ec.ECDSA(SHA256()))
    return unb64(payload)


def content_key(private: Private, other: Public) -> bytes:
    shared = private.exchange(ec.ECDH(), other)
    about = struct.pack(">I", 7) + b"A256GCM" + struct.pack(">III", 0, 0, 256)
    return hashlib.sha256(struct.pack(">I", 1) + shared + about).digest()


def encrypt(token: str, recipient: Public) -> str:
    once = new_key()
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "cty": "JWS",
        "kid": thumbprint(jwk(recipient)),
        "epk": jwk(once.public_key()),
    }
    protected, iv = b64(pack(header)), os.urandom(12)
    cipher = AESGCM(content_key(once, recipient))
    sealed = cipher.encrypt(iv, token.encode(), protected.encode())
    return f"{protected}..{b64(iv)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


def decrypt(sealed: str, key: Private) -> str:
    protected, none, iv, body, tag = sealed.split(".")
    header = json.loads(unb64(protected))
    if none or (header["alg"], header["enc"]) != ("ECDH-ES", "A256GCM") or "zip" in header:
        raise ValueError("not sealed as agreed")
    cipher = AESGCM(content_key(key, public(header["epk"])))
    return cipher.decrypt(unb64(iv), unb64(body) + unb64(tag), protected.encode()).decode()


class TinyClient:
    """Remembers everything in memory."""

    def __init__(self) -> None:
        self.signing, self.encryption = new_key(), new_key()
        self.orders: list[Json] = []
        self.kept: dict[int, str] = {}
        self.device_id = ""
        self.epoch = self.order_seq = self.report_seq = 0
        self.token = self.renewal_id = ""
        self.fresh = self.former = (self.signing, self.encryption)
        self.http = httpx.Client(trust_env=False)

    # --- sections 2 and 6 ---

    def ask(self, code: str, device: Json) -> None:
        """Find out whom to trust and hand in the request."""
        link = urlsplit(code)
        parts = parse_qs(link.query)
        self.relay, key, self.pinned = (parts[name][0] for name in ("relay", "key", "fp"))
        with httpx.Client(verify=self._unverified(), trust_env=False) as once:
            statement = once.get(f"{self.relay}/agent/v1/trust").text
        self.trust = json.loads(unb64(statement.split(".")[1]))
        order_key = self.trust["order_signing_key"]
        if thumbprint(order_key) != self.pinned:
            raise ValueError("the relay is not management's")
        verify(statement, "sekisho-trust+jws", public(order_key))
        entry = next(e for e in self.trust["relays"] if e["url"] == self.relay)
        trusted = ssl.create_default_context(cadata="\n".join(entry["ca_certificates"]))
        self.http.close()
        self.http = httpx.Client(verify=trusted, trust_env=False)
        self.enrolment_id = str(uuid.uuid4())
        request = {
            "v": 1,
            "enrolment_id": self.enrolment_id,
            "aud": "management",
            "sent_at": now(),
            "enrolment_key": key,
            "signing_key": jwk(self.signing.public_key()),
            "encryption_key": jwk(self.encryption.public_key()),
            "device": device,
        }
        post = {
            "v": 1,
            "enrolment_id": self.enrolment_id,
            "signing_key": request["signing_key"],
            "sealed": self._seal(request, "sekisho-enrolment+jws"),
        }
        answer = self.http.post(f"{self.relay}/agent/v1/enrolments", content=pack(post))
        if answer.status_code != 202:
            raise ValueError(answer.text)

    def answered(self) -> bool:
        """Ask once for management's answer and take it."""
        answer = self._signed("GET", f"/agent/v1/enrolments/{self.enrolment_id}")
        if answer.status_code == 202:
            return False
        order = self._open(answer.json()["orders"][0])
        body = order["body"]
        if body["kind"] != "enrolled" or body["enrolment_id"] != self.enrolment_id:
            raise ValueError(body.get("reason", "not the answer to this request"))
        if order["aud"] != body["device_id"] or order["seq"] != 1:
            raise ValueError("not the first order to this device")
        self.device_id, self.epoch, self.order_seq = body["device_id"], order["epoch"], 1
        self.orders.append(order)
        return True

    @staticmethod
    def _unverified() -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    # --- sections 5, 7 and 8 ---

    def waiting(self) -> bool:
        """Poll."""
        if not self.token:
            self.token = self._signed("POST", "/agent/v1/token").json()["token"]
        answer = self.http.get(
            f"{self.relay}/agent/v1/poll?after={self.order_seq}&epoch={self.epoch}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        return answer.status_code == 200 and answer.json()["orders_waiting"] > 0

    def collect(self) -> list[Json]:
        """Take what is next; return the bodies."""
        path = f"/agent/v1/orders?after={self.order_seq}&epoch={self.epoch}"
        taken = []
        for sealed in self._signed("GET", path).json()["orders"]:
            order = self._open(sealed)
            place = (order["aud"], order["epoch"], order["seq"])
            if place != (self.device_id, self.epoch, self.order_seq + 1):
                raise ValueError(f"not the next order: {place}")
            self.order_seq = order["seq"]
            self.kept = {seq: kept for seq, kept in self.kept.items() if seq > order["ack"]}
            self.orders.append(order)
            taken.append(order["body"])
            if order["body"]["kind"] == "renewed":
                self._switch(order["body"])
        return taken

    # --- section 7.3 ---

    def renew(self) -> int:
        """Ask for new keys; return the HTTP status."""
        self.renewal_id, self.fresh = str(uuid.uuid4()), (new_key(), new_key())
        proof = {
            "v": 1,
            "device_id": self.device_id,
            "renewal_id": self.renewal_id,
            "former_thumbprint": thumbprint(jwk(self.signing.public_key())),
            "signing_key": jwk(self.fresh[0].public_key()),
            "encryption_key": jwk(self.fresh[1].public_key()),
        }
        token = sign(pack(proof), "sekisho-renewal+jws", self.fresh[0])
        return self.report({"kind": "renewal", "renewal_id": self.renewal_id, "proof": token})

    def _switch(self, answer: Json) -> None:
        certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
        ours = certificate.public_key() == self.fresh[0].public_key()
        if answer["renewal_id"] == self.renewal_id and ours:
            self.former = (self.signing, self.encryption)
            self.signing, self.encryption = self.fresh

    def report(self, *items: Json) -> int:
        """Send a report; return the HTTP status."""
        self.report_seq += 1
        report = {
            "v": 1,
            "iss": self.device_id,
            "aud": "management",
            "epoch": self.epoch,
            "seq": self.report_seq,
            "ack": self.order_seq,
            "sent_at": now(),
            "items": list(items),
        }
        self.kept[self.report_seq] = self._seal(report, "sekisho-report+jws")
        return self.send(self.report_seq)

    def send(self, seq: int) -> int:
        post = {"v": 1, "epoch": self.epoch, "seq": seq, "sealed": self.kept[seq]}
        return self._signed("POST", "/agent/v1/reports", pack(post)).status_code

    # --- section 4 ---

    def _signed(self, method: str, target: str, body: bytes = b"") -> httpx.Response:
        path, _, query = target.partition("?")
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        parameters = (
            '("@method" "@path" "@query" "content-digest")'
            f';created={int(time.time())};keyid="{self.device_id or self.enrolment_id}"'
            f';alg="ecdsa-p256-sha256";nonce="{uuid.uuid4()}";tag="sekisho-agent"'
        )
        lines = (
            f'"@method": {method}',
            f'"@path": {path}',
            f'"@query": ?{query}',
            f'"content-digest": {digest}',
            f'"@signature-params": {parameters}',
        )
        signature = sign_raw("\n".join(lines).encode(), self.signing)
        headers = {
            "Content-Digest": digest,
            "Signature-Input": f"sekisho={parameters}",
            "Signature": f"sekisho=:{base64.b64encode(signature).decode()}:",
            "Content-Type": "application/json",
        }
        return self.http.request(method, self.relay + target, content=body, headers=headers)

    def _seal(self, message: Json, typ: str) -> str:
        token = sign(pack(message), typ, self.signing)
        return encrypt(token, public(self.trust["encryption_key"]))

    def _open(self, sealed: str) -> Json:
        kid = json.loads(unb64(sealed.split(".")[0]))["kid"]
        old = self.former[1]
        box = old if kid == thumbprint(jwk(old.public_key())) else self.encryption
        token = decrypt(sealed, box)
        key = public(self.trust["order_signing_key"])
        order: Json = json.loads(verify(token, "sekisho-order+jws", key))
        return order

    def close(self) -> None:
        self.http.close()
