"""Make `jose_vectors.json` anew: ``python -m tests.contracts.make_jose_vectors``."""

import json
import tempfile
from pathlib import Path

from contracts import envelope, keys
from tests.contracts.jose_tool import RECIPIENT, SIGNER, JoseTool

FILE = Path(__file__).parent / "jose_vectors.json"
PAYLOADS = {
    envelope.ORDER: '{"v":1,"body":{"kind":"receipt"}}',
    envelope.REPORT: '{"v":1,"items":[{"kind":"digest"}]}',
    envelope.ENROLMENT: '{"v":1,"user_name":"花子"}',
    envelope.TRUST: "{}",
}


def main() -> None:
    """Write signatures and sealed messages by both sides; the tool checks ours on the way."""
    with tempfile.TemporaryDirectory() as folder:
        tool = JoseTool(Path(folder))
        signer, recipient = SIGNER, RECIPIENT
        our_signer = keys.read_private(json.dumps(signer))
        our_recipient = keys.read_private(json.dumps(recipient))
        messages = []
        for typ, payload in PAYLOADS.items():
            by_jose = tool.sign(payload.encode(), typ, signer)
            by_us = envelope.sign(payload.encode(), typ, our_signer)
            assert tool.verify(by_us, signer) == payload.encode()
            sealed_by_us = envelope.encrypt(by_us, our_recipient)
            assert tool.decrypt(sealed_by_us, recipient) == by_us
            messages.append(
                {
                    "typ": typ,
                    "payload": payload,
                    "signed_by_jose": by_jose,
                    "sealed_by_jose": tool.encrypt(by_jose, recipient),
                    "signed_by_us": by_us,
                    "sealed_by_us": sealed_by_us,
                }
            )
        vectors = {
            "signer_thumbprint": tool.thumbprint(signer),
            "recipient_thumbprint": tool.thumbprint(recipient),
            "messages": messages,
        }
    FILE.write_text(json.dumps(vectors, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
