"""Remote PowerShell behind NTLM or Kerberos, each message sealed, as http://NAME/PowerShell is.

pyspnego, which comes with pypsrp, is the accepting side. NTLM reads its users from the file that
NTLM_USER_FILE names, Kerberos its key from the file that KRB5_KTNAME names.
"""

import base64
import re
from typing import Any

import spnego
from pypsrp.encryption import WinRMEncryption

from tests.servers.exchange_wsman import Answers, soap

DOMAIN = "EXCH"
SEALED = f'{{kind}};protocol="{WinRMEncryption.SPNEGO}";boundary="Encrypted Boundary"'


class NegotiatedAnswers(Answers):
    """One security context a connection; a message that is not sealed is refused."""

    mechanism = "ntlm"
    context: Any = None
    token = ""

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.state.cmdlets.faults.outage:
            self.reply(503, b"")
        elif not self._knows():
            self.reply(401, b"", {"WWW-Authenticate": self.token or "Negotiate"})
        elif not body:
            self.reply(200, b"", {"WWW-Authenticate": self.token} if self.token else {})
        else:
            self._answer(body)

    def _knows(self) -> bool:
        """Take one step of the sign-in; True once it is done."""
        scheme, _, said = self.headers.get("Authorization", "").partition(" ")
        self.token = ""
        if said:
            if self.context is None or self.context.complete:
                self.context = spnego.server(
                    hostname="localhost", service="HTTP", protocol=self.mechanism
                )
            try:
                following = self.context.step(base64.b64decode(said))
            except Exception:  # noqa: BLE001 (whatever a wrong password or ticket is called)
                self.context = None
                return False
            if following:
                self.token = f"{scheme} {base64.b64encode(following).decode()}"
        return self.context is not None and bool(self.context.complete)

    def _answer(self, body: bytes) -> None:
        kind = self.headers.get("Content-Type", "")
        boundary = re.search('boundary="([^"]*)"', kind)
        if not kind.startswith("multipart/encrypted") or boundary is None:
            self.reply(400, b"")
            return
        sealing = WinRMEncryption(self.context, WinRMEncryption.SPNEGO)
        plain = sealing.unwrap_message(body, boundary[1])
        status, answer = soap(self.server.state, plain, str(self.context.client_principal or "?"))
        kind, sealed = sealing.wrap_message(answer.encode())
        self.reply(status, sealed, kind=SEALED.format(kind=kind))


class KerberosAnswers(NegotiatedAnswers):
    """The same with tickets."""

    mechanism = "kerberos"
