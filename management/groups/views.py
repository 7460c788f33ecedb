"""The tree of groups, one group, and what pages of devices and policies show of groups."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.audit.rules import differences
from management.groups import queries, service
from management.groups.models import ROOT_GROUP, UNAUTHORIZED_GROUP
from management.groups.queries import policies_in
from management.groups.rules import (
    PLATFORMS,
    Node,
    Tree,
    below,
    full_name,
    ordered,
    stamp,
    with_below,
)
from management.groups.told import group_fields, move_fields, place_fields
from management.listing.queries import count_in_groups
from management.personal import DEVICE, list_of, shows, tell_number
from management.policies.queries import list_policies, require_seen
from management.policies.service import StaleError
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError

bp = Blueprint("groups", __name__, url_prefix="/groups")
SHOWN = 200
"""Devices named before they are moved; the number is always whole."""


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
def index() -> ResponseReturnValue:
    """Show the tree with devices and policies."""
    with reading() as session:
        tree, counts = queries.read_tree(session), count_in_groups(session)
        shown = queries.shown_tree(session)
        names = {policy.id: policy.name for policy in list_policies(session)}
    totals = with_below(tree, counts)
    rows = [(depth, node, policies_in(tree, node.id)) for depth, node in ordered(shown)]
    return render_template("groups/index.html", rows=rows, counts=totals, names=names, tree=tree)


@bp.post("")
@requires(Permission.CHANGE_POLICIES)
def create() -> ResponseReturnValue:
    """Make a group."""
    name, reason = request.form.get("name", ""), _reason()
    with transaction("create a group") as session:
        group = service.create_group(session, name, _id("parent") or ROOT_GROUP)
        note(session, "group.create", group.id, reason, name=group.name)
    flash(_("The group is made."))
    return redirect(url_for("groups.show", group_id=group.id))


@bp.get("/<uuid:group_id>")
@requires(Permission.VIEW, in_groups=True)
def show(group_id: UUID) -> ResponseReturnValue:
    """Show one group: name, place, policies; and what can be done with it."""
    return _page(group_id, None)


def _page(group_id: UUID, given: dict[str, str] | None) -> str:
    """Render the group; *given*: what somebody typed who was overtaken by another change."""
    with reading() as session:
        group, tree = queries.get_group(session, group_id), queries.read_tree(session)
        counts, policies = count_in_groups(session), list_policies(session)
        shown = queries.shown_tree(session)
    inside, node = below(tree, group_id), tree[group_id]
    return render_template(
        "groups/show.html",
        group=group,
        node=node,
        given=given or _held(node),
        is_stale=given is not None,
        based_on=stamp(node),
        tree=tree,
        places=[(node, full_name(tree, node.id)) for _depth, node in ordered(shown)],
        inside=inside,
        counts=counts,
        total=with_below(tree, counts)[group_id],
        policies=policies,
        names={policy.id: policy.name for policy in policies},
        above=policies_in(tree, group.parent_id) if group.parent_id else {},
        is_root=group_id == ROOT_GROUP,
        is_made_at_setup=group_id in (ROOT_GROUP, UNAUTHORIZED_GROUP),
    )


def _held(node: Node) -> dict[str, str]:
    """Return the fields of the form as the group has them."""
    policies = {platform: str(node.policies[platform] or "") for platform in PLATFORMS}
    return {"name": node.name, "parent": str(node.parent_id or ""), "reason": "", **policies}


@bp.post("/<uuid:group_id>")
@requires(Permission.CHANGE_POLICIES)
def change(group_id: UUID) -> ResponseReturnValue:
    """Give a group another name, place or policies."""
    reason, policies = _reason(), {platform: _id(platform) for platform in PLATFORMS}
    try:
        with transaction("change a group") as session:
            before = group_fields(session, group_id)
            group = service.change_group(
                session,
                group_id,
                request.form.get("name", ""),
                _id("parent"),
                policies,
                signed_in_name(),
                utc_now(),
                request.form.get("based_on", ""),
            )
            said = differences(before, group_fields(session, group_id))
            note(session, "group.change", group_id, reason, name=group.name, **said)
    except StaleError:
        fields = ("name", "parent", "reason", *PLATFORMS)
        return _page(group_id, {name: request.form.get(name, "") for name in fields}), 422
    flash(_("The group is changed; its devices get their policy within moments."))
    return redirect(url_for("groups.show", group_id=group_id))


@bp.post("/<uuid:group_id>/delete")
@requires(Permission.CHANGE_POLICIES)
def delete(group_id: UUID) -> ResponseReturnValue:
    """Delete an empty group."""
    reason = _reason()
    with transaction("delete a group") as session:
        group = service.delete_group(session, group_id, signed_in_name(), utc_now())
        note(session, "group.delete", group_id, reason, name=group.name)
    flash(_("The group is deleted. It can be brought back under Deleted."))
    return redirect(url_for("groups.index"))


@bp.get("/<uuid:group_id>/move-devices")
@requires(Permission.CHANGE_POLICIES)
@shows(list_of("devices of a group"))
def move_preview(group_id: UUID) -> ResponseReturnValue:
    """Show which devices would be moved, before they are."""
    target = _needed("to")
    with reading() as session:
        group, tree = queries.get_group(session, group_id), queries.read_tree(session)
        found = queries.list_in_group(session, group_id, service.MOST_MOVED + 1)
        shown = queries.list_named(session, found[:SHOWN])
        _in_tree(tree, target)
    tell_number(len(shown))
    return render_template(
        "groups/move.html",
        group=group,
        target=target,
        name=full_name(tree, target),
        count=min(len(found), service.MOST_MOVED),
        is_more=len(found) > service.MOST_MOVED,
        shown=shown,
    )


@bp.post("/<uuid:group_id>/move-devices")
@requires(Permission.CHANGE_POLICIES)
def move_devices(group_id: UUID) -> ResponseReturnValue:
    """Move the devices that are in a group now into another, after their number was typed."""
    reason, target, typed = _reason(), _needed("to"), request.form.get("confirm", "").strip()
    number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 9 else -1
    with transaction("move devices") as session:
        by = signed_in_name()
        moved = service.move_devices(session, group_id, target, number, by, utc_now())
        said = move_fields(session, group_id, target, moved)
        note(session, "group.move_devices", group_id, reason, **said)
    flash(_("The devices are moved within moments."))
    return redirect(url_for("groups.show", group_id=group_id))


@bp.get("/of-device/<uuid:device_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(DEVICE)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """Show a device's group and policy: asked, applied, and what it could not apply."""
    with reading() as session:
        found = queries.read_device_policy(session, device_id)
        policies, shown = list_policies(session), queries.shown_tree(session)
    return render_template(
        "groups/of_device.html",
        d=found,
        full=full_name(found.tree, found.group.id),
        places=[(node, full_name(found.tree, node.id)) for _d, node in ordered(shown)],
        policies=policies,
        names={policy.id: policy.name for policy in policies},
        missed=queries.explain_missed(found),
    )


@bp.post("/of-device/<uuid:device_id>")
@requires(Permission.CHANGE_POLICIES, in_groups=True)
def place_device(device_id: UUID) -> ResponseReturnValue:
    """Put a device into a group, and give it the group's policy or one of its own."""
    reason, group_id, policy_id = _reason(), _needed("group"), _id("policy")
    with transaction("place a device") as session:
        now, by = utc_now(), signed_in_name()
        before = place_fields(session, device_id)
        service.move_device(session, device_id, group_id, by, now)
        require_seen(session, policy_id)
        service.give_own_policy(session, device_id, policy_id, by, now)
        said = differences(before, place_fields(session, device_id))
        note(session, "device.place", device_id, reason, **said)
    flash(_("Saved; the device gets its policy at its next check-in."))
    return redirect(url_for("devices.show", device_id=device_id))


@bp.get("/of-policy/<uuid:policy_id>")
@requires(Permission.VIEW, in_groups=True)
def of_policy(policy_id: UUID) -> ResponseReturnValue:
    """List the groups that have a policy themselves."""
    with reading() as session:
        require_seen(session, policy_id)
        tree, shown = queries.read_tree(session), queries.shown_tree(session)
    found = queries.groups_of_policy(shown, policy_id)
    places = [(node, full_name(tree, node.id), platform) for node, platform in found]
    return render_template("groups/of_policy.html", places=places)


def _reason() -> str:
    reason = request.form.get("reason", "").strip()
    if not reason:
        raise MalformedMessageError(_("Give a reason; it goes into the audit trail."))
    return reason[:1000]


def _in_tree(tree: Tree, group_id: UUID) -> None:
    if group_id not in tree:
        raise NotFoundError("There is no such group.")


def _id(name: str) -> UUID | None:
    text = request.values.get(name, "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise MalformedMessageError(_("Choose an entry of the list.")) from None


def _needed(name: str) -> UUID:
    found = _id(name)
    if found is None:
        raise MalformedMessageError(_("Choose an entry of the list."))
    return found
