"""Debian's `jose` command: an implementation of JWS and JWE that shares no code with ours."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.servers import needs

Jwk = dict[str, Any]

# Printed in public standards as examples, so they protect nothing and are no secret.
SIGNER: Jwk = {  # RFC 7515, appendix A.3.1
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
RECIPIENT: Jwk = {  # RFC 7517, appendix A.2
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
}


class JoseTool:
    """Runs the command; keys travel in files of *folder*."""

    def __init__(self, folder: Path) -> None:
        self.program = needs.program("jose", "jose")
        self.folder = folder

    def new_key(self) -> Jwk:
        """Return a private P-256 key that the tool made."""
        made: Jwk = json.loads(self._run(["jwk", "gen", "-i", '{"kty":"EC","crv":"P-256"}']))
        return made

    def thumbprint(self, key: Jwk) -> str:
        return self._run(["jwk", "thp", "-a", "S256", "-i", self._key(key)]).strip()

    def sign(self, payload: bytes, typ: str, key: Jwk) -> str:
        header = {"protected": {"alg": "ES256", "typ": typ, "kid": self.thumbprint(key)}}
        words = ["jws", "sig", "-I", "-", "-s", json.dumps(header), "-k", self._key(key), "-c"]
        return self._run(words, payload)

    def verify(self, token: str, key: Jwk) -> bytes:
        """Return the payload; CalledProcessError when the signature does not hold."""
        return self._run(["jws", "ver", "-i", "-", "-k", self._key(key), "-O", "-"], token).encode()

    def encrypt(self, token: str, key: Jwk) -> str:
        header = {
            "protected": {
                "alg": "ECDH-ES",
                "enc": "A256GCM",
                "cty": "JWS",
                "kid": self.thumbprint(key),
            }
        }
        public = {name: key[name] for name in ("kty", "crv", "x", "y")}
        words = ["jwe", "enc", "-i", json.dumps(header), "-I", "-", "-k", self._key(public), "-c"]
        return self._run(words, token)

    def decrypt(self, sealed: str, key: Jwk) -> str:
        """Return the text inside; CalledProcessError when the key does not open it."""
        return self._run(["jwe", "dec", "-i", "-", "-k", self._key(key), "-O", "-"], sealed)

    def _key(self, key: Jwk) -> str:
        path = self.folder / "key.jwk"
        path.write_text(json.dumps(key))
        return str(path)

    def _run(self, words: list[str], given: str | bytes = b"") -> str:
        given = given.encode() if isinstance(given, str) else given
        done = subprocess.run([self.program, *words], input=given, capture_output=True, check=True)
        return done.stdout.decode()
