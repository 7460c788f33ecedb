"""Bounded types that messages share."""

from typing import Annotated

from pydantic import AwareDatetime, Field

Name = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=4000)]
Short = Annotated[str, Field(max_length=255)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hexadecimal SHA-256."""
Sequence = Annotated[int, Field(ge=0, le=2**53)]
Epoch = Annotated[int, Field(ge=1, le=2**31 - 1)]
Compact = Annotated[
    str, Field(min_length=1, max_length=4 * 1024 * 1024, pattern=r"^[A-Za-z0-9_.-]+$")
]
"""A JWS or JWE in compact serialization (RFC 7515 section 7.1, RFC 7516 section 7.1)."""
Jwk = dict[str, str]
"""A public EC P-256 key as RFC 7517 writes it."""
Instant = AwareDatetime
