"""The page of outgoing mail: the mail server, who gets checkpoints, and a test mail."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires
from management.administrators import step_up
from management.configuration import outgoing_mail
from management.configuration.outgoing_mail import Tried
from management.outgoing_mail import rules
from management.outgoing_mail.rules import Encryption, MailServer
from management.reasons import reason
from management.texts import lazy as _l

bp = Blueprint("outgoing_mail", __name__, url_prefix="/settings/outgoing-mail")
ENCRYPTIONS = (
    (Encryption.STARTTLS.value, _l("STARTTLS (usually port 587)")),
    (Encryption.TLS.value, _l("TLS from the beginning (usually port 465)")),
    (Encryption.NONE.value, _l("None: only a mail server on this machine")),
)


@bp.get("")
@requires(Permission.CHANGE_SETTINGS)
def show() -> ResponseReturnValue:
    """Show the settings."""
    return _page(_stored(), {})


@bp.post("")
@requires(Permission.CHANGE_SETTINGS)
def save() -> ResponseReturnValue:
    """Let mail go out by the server that was entered."""
    step_up.require_fresh()
    server = outgoing_mail.completed(_entered())
    receivers = rules.addresses(request.form.get("checkpoints_to", ""))
    problems = {name: reason(said) for name, said in rules.problems(server, receivers).items()}
    if problems:
        return _page(request.form.to_dict(), problems), 422
    outgoing_mail.save(server, receivers)
    flash(_("Saved. Send a test mail to see whether it arrives."))
    return redirect(url_for("outgoing_mail.show"))


@bp.post("/test")
@requires(Permission.CHANGE_SETTINGS)
def test() -> ResponseReturnValue:
    """Send a test mail and show what the mail server answered."""
    tried = outgoing_mail.try_out(request.form.get("to", "").strip())
    return _page(_stored(), {}, tried)


@bp.post("/forget")
@requires(Permission.CHANGE_SETTINGS)
def forget() -> ResponseReturnValue:
    """Let no mail go out any more."""
    step_up.require_fresh()
    outgoing_mail.forget()
    flash(_("No mail goes out from this server any more."))
    return redirect(url_for("outgoing_mail.show"))


def _entered() -> MailServer:
    form, chosen = request.form, request.form.get("encryption", "")
    port = form.get("port", "").strip()
    return MailServer(
        host=form.get("host", "").strip(),
        port=int(port[:6]) if port.isascii() and port.isdigit() else 0,
        encryption=Encryption(chosen if chosen in list(Encryption) else Encryption.STARTTLS),
        sender=form.get("sender", "").strip(),
        user=form.get("user", "").strip(),
        password=form.get("password", ""),
        ca=form.get("ca", "").replace("\r\n", "\n").strip(),
    )


def _stored() -> dict[str, Any]:
    row = outgoing_mail.find()
    if row is None:
        starttls = Encryption.STARTTLS
        return {"port": rules.PORTS[starttls], "encryption": starttls.value}
    return {
        "host": row.host,
        "port": row.port,
        "encryption": row.encryption,
        "sender": row.sender,
        "user": row.user_name,
        "ca": row.ca,
        "checkpoints_to": "\n".join(row.checkpoints_to),
    }


def _page(shown: dict[str, Any], errors: dict[str, str], tried: Tried | None = None) -> str:
    return render_template(
        "configuration/outgoing_mail.html",
        shown=shown,
        errors=errors,
        tried=tried,
        row=outgoing_mail.find(),
        encryptions=ENCRYPTIONS,
        most=rules.MOST_RECEIVERS,
    )
