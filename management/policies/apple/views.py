"""What an iPhone gets from a policy: looked at key by key, and as a signed file."""

from urllib.parse import quote
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires
from management.policies import queries
from management.policies.apple import service, shown
from management.policies.apple.profile import MEDIA_TYPE
from management.web import context, proofs, reading, transaction

bp = Blueprint("policies_apple", __name__, url_prefix="/policies")
MOST_ADDRESS = 254


@bp.get("/<uuid:policy_id>/apple")
@requires(Permission.VIEW, in_groups=True)
def show(policy_id: UUID) -> ResponseReturnValue:
    """Show the payloads of the version that holds now, and what is in none."""
    return _page(policy_id, {})


@bp.post("/<uuid:policy_id>/apple")
@requires(Permission.CHANGE_POLICIES)
def download(policy_id: UUID) -> ResponseReturnValue:
    """Send the signed profile; with its secrets when that is asked and freshly proved."""
    address, secrets = request.form.get("address", "").strip(), "secrets" in request.form
    if secrets:
        proofs().require_fresh()
    if address and (len(address) > MOST_ADDRESS or "@" not in address[1:-1]):
        return _page(policy_id, {"address": _("Enter a mail address, or nothing.")})
    with transaction("hand out an Apple profile") as session:
        queries.require_seen(session, policy_id)
        made = service.hand_out(session, context().keys, policy_id, address, secrets)
    answer = Response(made.content, mimetype=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(made.file_name)}"
    return answer


def _page(policy_id: UUID, errors: dict[str, str]) -> ResponseReturnValue:
    with reading() as session:
        queries.require_seen(session, policy_id)
        policy = queries.get_policy(session, policy_id)
        version = queries.current_version(session, policy_id)
    built = service.preview(version)
    payloads = shown.payloads(built)
    page = render_template(
        "policies/apple.html",
        policy=policy,
        version=version,
        payloads=payloads,
        left_out=built.left_out,
        as_words=shown.as_words,
        oldest=shown.oldest_system(payloads),
        supervised=shown.supervised_lines(payloads),
        has_secrets=service.holds_secrets(version),
        errors=errors,
        form=request.form,
    )
    return page, 422 if errors else 200
