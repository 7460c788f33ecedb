"""What refusals around people, enrolment, groups and policies say, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("Sign in first."),
    _l("There is no such %(what)s."),
    _l("This passkey's id is too long."),
    _l("This is longer than the answer of any passkey."),
    _l("%(value)s passkeys are enough; remove one first."),
    _l("Give the passkey a name."),
    _l("You have no such passkey."),
    _l("There is no such administrator."),
    _l("There is no such permission."),
    _l("There is no such group: %(strange)s."),
    _l("There is an administrator already; use `sekisho admin recover`."),
    _l("This API token is not valid (any more). Make a new one."),
    _l(
        "%(name)s is proved by %(source)s, which this release does not know: nobody gets in "
        "under this name. `sekisho admin recover %(name2)s` on the server gives the account a"
        " password of its own."
    ),
    _l("%(inner)s Wait %(seconds)s seconds, then try again."),
    _l("The file changed while it was stored. Update again."),
    _l("There is no such agent package."),
    _l("No agent package is handed out at the moment."),
    _l("Choose an active key that is nobody's own."),
    _l("an IMEI has 15 digits, a MEID 14 hexadecimal digits from A0 or 18 digits"),
    _l("a MAC address has 12 hexadecimal digits, like 00:1A:2B:3C:4D:5E"),
    _l("this MAC address belongs to no single device"),
    _l("this MAC address is a random one, another in each network; enter that of the hardware"),
    _l("a serial number has 1 to 64 letters, digits or signs and no space"),
    _l("this serial number is a placeholder"),
    _l("an enrolment id has 8 to 64 letters and digits"),
    _l("Enter at least one number that identifies the device."),
    _l("The list has this device already."),
    _l("The list has no such entry."),
    _l(
        "%(fewer)s Its publisher does not say that this is meant, so the list before it stays"
        " in use. If it is meant, publish it with --fewer-revoked."
    ),
    _l("no chain of certificates was sent"),
    _l("the chain ends at a root that does not count here (%(root)s…)"),
    _l("the chain answers another question than this server asked"),
    _l("the certificate of the key does not say how the key was made"),
    _l("the chain was made longer by a key that is attested itself"),
    _l("a certificate's key cannot be read"),
    _l("certificate %(place)s of the chain cannot be read"),
    _l("a certificate of the chain is not valid today"),
    _l("the attested key is not an elliptic-curve key"),
    _l("what the hardware says cannot be read: %(inner)s"),
    _l("the attested key cannot be read"),
    _l("an extension of a certificate cannot be read"),
    _l("certificate %(place)s of the chain is not signed by the next"),
    _l("%(path)s is larger than %(value)s bytes."),
    _l("%(path)s cannot be read (%(inner)s)."),
    _l("%(path)s holds no certificates (PEM)."),
    _l("There is no such trial."),
    _l("The trial is %(replace)s already."),
    _l("Give a reason; it goes into the audit trail."),
    _l("The file is larger than %(value)s bytes."),
    _l("The list has more than %(value)s accounts."),
    _l("There is no such dry run; old ones are forgotten."),
    _l("Pattern set %(version)s is active already."),
    _l("The dry run is %(state)s already."),
    _l("Only a finished dry run of a policy can be made its next version."),
    _l("It broke, and is not tried again: %(inner)s"),
    _l("The enrolment was begun with another key."),
    _l("There is no such invitation."),
    _l("The proof belongs to another device or renewal."),
    _l("The proof does not follow the device's present key."),
    _l("Both keys must be new, or both must stay."),
    _l("The new key was in use before; make a fresh one."),
    _l("An invitation needs the mail address of the person."),
    _l("An invitation holds at most %(days)s days."),
    _l("Say what the key is for."),
    _l("Choose an end date from tomorrow to three years ahead."),
    _l("This key was used before. Choose another one."),
    _l("A key lets in at least one device, and at most a million."),
    _l("The enrolment key is %(state)s; it opens nothing any more."),
    _l("The key was used; retire the device instead."),
    _l("Type the number of devices, %(count)s, to confirm."),
    _l("There is no such user."),
    _l("A user name has 1 to 100 characters and no space."),
    _l("A user needs a mail address: mail access follows it."),
    _l("There is a user of this name already."),
    _l("Somebody else changed this group meanwhile. Look at it, and save again."),
    _l("This group keeps its name and place; its policies may change."),
    _l("The root needs a policy for each system: all others fall back on it."),
    _l("This group was made at set-up and stays."),
    _l("Other groups are below it. Move or delete them first."),
    _l("Devices are in it, or were when their enrolment ended. Move all its devices first."),
    _l("Choose another group."),
    _l("%(count)s devices of this group would be moved now, not %(number)s. Look again."),
    _l("The app store offers apps to it. Offer them to another group first."),
    _l("There is no such policy."),
    _l("There is no default policy yet; run the set-up."),
    _l("There is no such version of the policy."),
    _l("%(name)s is in use: %(found)s. Give them another first."),
    _l("A policy knows no %(strange)s."),
    _l("The policy is not valid. %(places)s"),
    _l("There are %(value)s policies already; change one of them."),
    _l("This is the policy of a trial. Promote the trial or roll it back."),
    _l(
        "Somebody else made version %(current_version)s meanwhile. Look at it, and make your "
        "change again."
    ),
    _l("The name of a policy has 1 to 100 printable characters."),
    _l("There is a policy called %(name)s already."),
    _l("Choose the policy from which these categories come."),
    _l("a consequence follows after 0 to %(days)s days"),
    _l("a group belongs to the consequence move_group, and to no other"),
    _l("each consequence follows once from a rule"),
    _l("a grace period has 0 to %(days)s days"),
    _l("There is no such version of the terms of use."),
    _l("This is what holds already, as version %(version)s."),
    _l("No terms of use hold at the moment."),
    _l(
        "%(already)s mails are on their way already, and %(value)s at most may be. Wait until"
        " they are out, or cancel them under Jobs."
    ),
    _l("Too many invitations match. Add a word to the filter."),
    _l("%(name)s, which inherits from it"),
    _l(
        "%(worse)s of %(devices)s devices became non-compliant, more than %(limit_percent)s "
        "percent."
    ),
    _l("A trial of this policy goes on. Promote it or roll it back first."),
    _l("Version %(version)s holds by now. Try the change on it first."),
    _l("Choose a group, or a share of 1 to 50 percent."),
    _l("Choose a share of 1 to 50 percent, and a limit of 0 to 100 percent."),
    _l("A device enrolled by this invitation already."),
    _l("The invitation is cancelled."),
    _l("The invitation has expired. Invite the person again."),
    _l("Mail cannot go to this address. Only the letters of ASCII are taken."),
    _l("A device of this person enrolled after the invitation was made."),
    _l("A mail to this person is on its way already."),
    _l("This invitation was mailed %(value)s times. Invite the person again."),
    _l("This person got a mail within the last day."),
    _l("The mail goes out for a newer invitation of the same person."),
    _l("A key is made of the letters A to Z, digits, and hyphens between them."),
    _l("A key has %(value)s to %(value2)s letters and digits."),
    _l("This key is too easy to guess: use at least eight different letters and digits."),
    _l("The name of a group has 1 to %(value)s printable characters."),
    _l("There are %(value)s groups already."),
    _l("Choose the group above it."),
    _l("The root stays above all other groups."),
    _l("A group cannot be put below itself."),
    _l("Groups are at most %(value)s deep."),
    _l("There is a group called %(name)s beside it already."),
    _l("A policy cannot inherit from itself, nor from one that inherits from it."),
    _l("At most %(value)s policies inherit from each other in a line."),
    _l(
        "The criteria come from the parent of this policy. Change them there, or stop "
        "inheriting them."
    ),
    _l("Terms of use have at most %(value)s kB."),
    _l("a key of the chain was revoked (serial number %(serial)s)"),
    _l(
        "Not all invitations could be mailed, after %(failures)s attempts. Registrations says"
        " which. The last answer: %(inner)s"
    ),
    _l("An invitation in the address is not valid."),
    _l("Choose English, Japanese or both."),
    _l("the first line must name the columns as the template does: %(wanted)s"),
)
