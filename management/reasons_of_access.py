"""What refusals around roles, groups and proofs say, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l(
        "This is not shown, because the look could neither be noted in the audit trail nor kept "
        "for it on the disk. Try again."
    ),
    _l(
        "Each of these questions keeps the server busy, and your account asked %(count)s in a "
        "short time. Ask again in %(seconds)s seconds."
    ),
    _l("This address asks for more than the audit trail can say. Ask with fewer or shorter words."),
    _l("Looks are left out, shown too (with) or shown alone (only)."),
    _l(
        "Your role does not include this (%(permission)s). "
        "An owner can change it under Administrators."
    ),
    _l(
        "This API token does not carry the permission %(permission)s. "
        "Make one that does under My account."
    ),
    _l("The form does not offer this. Open it again."),
    _l("There is no such session (any more)."),
    _l("The API has no such part."),
    _l("There is nothing deleted of this kind, or its thirty days are over."),
    _l(
        "It cannot come back as it was: what it belonged to is gone, or something else has its "
        "name meanwhile."
    ),
    _l("Write the reading in kana, at most 100 characters."),
    _l("You have a view of this name meanwhile. Delete that one first."),
    _l(
        "This concerns all devices, and your account is limited to groups. "
        "Ask an administrator without such a limit."
    ),
    _l(
        "Prove again that it is you: enter the code that your app shows, or sign out and in "
        "again. Nothing was changed."
    ),
    _l(
        "The code is wrong or was used already. Enter the one that your app shows now. "
        "Nothing was changed."
    ),
    _l("Too many wrong codes. Wait %(seconds)s seconds, then try again."),
    _l("Too many wrong passwords. Wait %(seconds)s seconds, then try again."),
    _l("You cannot do this to yourself; ask another owner."),
    _l("You do not hold this yourself: %(permissions)s. Ask an owner."),
    _l("This is the only owner. Make somebody else an owner first."),
    _l("%(count)s administrators have this role. Give them another one first."),
    _l("There are %(count)s roles already. Delete one that nobody has."),
    _l("The name of a role has 2 to 100 printable characters."),
    _l("Every role includes seeing (view): without it no page opens."),
    _l("There is a role of this name already; choose another name."),
    _l("There is an administrator of this name already; choose another name."),
    _l("Some of the devices are not in your groups any more. Draft the bulk command again."),
    _l("There is no such role."),
    _l("Choose first what becomes of devices that are not on the list."),
    _l("The list is empty: every device would count as unlisted."),
    _l("Count the devices first: this count is older than an hour."),
    _l("What becomes of other devices was changed. Count the devices again."),
    _l("The list was changed after the devices were counted. Count them again."),
    _l("All enrolled devices are on the list."),
    _l("This would reach %(count)s devices, more than %(most)s at once. Complete the list first."),
    _l("There is no such group."),
    _l("There is no such device."),
)
