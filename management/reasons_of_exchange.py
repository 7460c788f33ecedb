"""What refusals around mail and the connector's own troubles say, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("control taken again by %(name)s: %(reason)s"),
    _l("allow until %(until)s by %(name)s: %(reason)s"),
    _l("block until %(until)s by %(name)s: %(reason)s"),
    _l("leave until %(until)s by %(name)s: %(reason)s"),
    _l("exception ended by %(name)s: %(reason)s"),
    _l("%(word)s automatic control by %(name)s: %(reason)s"),
    _l("An exception ends: choose a day within a year from now."),
    _l("Nobody has overridden this phone at the mail server."),
    _l("There is no such partnership."),
    _l("Say why: the reason goes into the history and the audit trail."),
    _l("only by hand"),
    _l("The hour is 0 to 23 and the window 0 to 24 hours."),
    _l("Gates do not update themselves. Install the release by hand there."),
    _l("No release came from the update source yet. Run an update under Updates first."),
    _l("It runs release %(version)s already, the newest that is here."),
    _l(
        "The pairing code is unknown, used or older than 15 minutes. Make a new one in the "
        "console under Mail access, Connectors."
    ),
    _l(
        "The connector %(name)s is disabled. Enable it in the console under Mail access, "
        "Connectors."
    ),
    _l("This signature was used before."),
    _l("No log was ordered."),
    _l("No log of this connector is here. Order it first."),
    _l("This log is not wanted any more."),
    _l("There is no such connector."),
    _l("This look at who would lose mail is not kept any more. Look again."),
    _l("There is no such wipe."),
    _l("This wipe does not wait for an approval."),
    _l("A wipe is a command."),
    _l("The connector may have this wipe already; it cannot be taken back."),
    _l("Exchange knows %(rows)s mailboxes by the name %(name)s."),
    _l("Exchange asks for a pause: %(inner)s"),
    _l("Exchange Online does not answer properly (status %(status)s)."),
    _l("Exchange Online's answer to %(cmdlet)s has no end."),
    _l("Exchange Online's next page is elsewhere; it was not asked for."),
    _l("Exchange Online's answer cannot be read: no list of objects."),
    _l(
        "Exchange Online refuses this connector's application (status %(status)s). It needs "
        "the permission Exchange.ManageAsApp and a role group, see docs/exchange.md."
    ),
    _l("Exchange Online asks for a pause: %(inner)s"),
    _l("Exchange Online does not list our cmdlets. %(inner)s"),
    _l("Exchange Online does not answer properly (status 503)."),
    _l("Exchange Online asks for a pause (status %(status_code)s)."),
    _l("%(address)s is no https address."),
    _l("Microsoft's sign-in answers with status %(status_code)s."),
    _l("Exchange Online leads to %(hostname)s, which was not configured; nothing was sent there."),
    _l("%(address)s is no address."),
    _l("Exchange Online's answer is larger than anything it sends."),
    _l("Exchange Online does not answer: %(inner)s"),
    _l("The application's key must be RSA with at least 2048 bits."),
    _l("The private key does not belong to the certificate in the file."),
    _l(
        "Microsoft refuses this connector's application: %(inner)s Check tenant, application "
        "and certificate, and pair again."
    ),
    _l("%(tenant)s is no name or id of a tenant."),
    _l(
        "The certificate's file must hold the private key without a password and the "
        "certificate, both as PEM. From a .pfx file: %(value)s"
    ),
    _l(
        "The application's certificate ended on %(expires_at)s. Register a new one at the "
        "application and pair again."
    ),
    _l("Microsoft's sign-in is busy: %(inner)s"),
    _l("Microsoft's sign-in cannot be used: %(inner)s"),
    _l(
        "The user cannot be signed in for Exchange: %(inner)s. Pair again with the right name"
        " (USER@REALM for Kerberos) and password, and look at this machine's Kerberos "
        "settings."
    ),
    _l("Exchange does not answer properly: %(inner)s"),
    _l("%(url)s is no http or https address of Exchange."),
    _l("%(auth)s is none of %(join)s."),
    _l("Signing in with a certificate needs an https address and --exchange-certificate."),
    _l(
        "Basic authentication over http would show the password to the network. Use an https "
        "address, or --exchange-auth kerberos."
    ),
    _l("No Kerberos server can be reached: %(inner)s"),
    _l(
        "This Python lacks what the authentication needs: %(inner)s For Kerberos install "
        "sekisho[kerberos], see docs/exchange.md."
    ),
    _l(
        "Exchange refuses the user or password of this connector. Pair again with the right "
        "ones, and check that the PowerShell directory allows this authentication."
    ),
    _l("Exchange does not answer: %(inner)s"),
    _l("Exchange cannot be spoken to: %(inner)s"),
    _l("The order names no partnership."),
    _l("Exchange shows %(found)s phones under this identity instead of one; nothing was wiped."),
    _l(
        "Exchange shows DeviceId %(device_id)s under this identity, not %(device_id2)s; "
        "nothing was wiped."
    ),
    _l(
        "Exchange shows the mailbox %(mailbox)s under this identity, not %(mailbox2)s; "
        "nothing was wiped."
    ),
    _l("This pairing knows no order-signing key. Pair again."),
    _l("It is no wipe."),
    _l("Its arguments are not those of a wipe through the mail server."),
    _l("It is meant for another connector."),
    _l("It came too late."),
    _l("Release %(version)s is the newest that is signed."),
    _l("The signed archive cannot be unpacked: %(inner)s"),
    _l("Release %(version)s is not what its signed list says."),
    _l("The signed list that management has names no release."),
    _l("The newest release is larger than one may be."),
    _l("%(url)s answered with HTTP status %(status_code)s"),
    _l("%(app_id)s is no application (client) id: copy it from the application's registration."),
    _l("The DeviceId that you typed is not that of this phone. Nothing is wiped."),
    _l("The mail server does not know this phone any more."),
    _l("The mail server did not name this phone's Guid, so it cannot be told apart surely."),
    _l("A wipe of this phone is on its way already."),
)
