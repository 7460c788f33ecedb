"""What judgements, commands, enrolments and passkeys say in English, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("%(inner)s; since %(moment)s it does not say any more"),
    _l("it never enrolled"),
    _l("it has not reported yet"),
    _l("it never said which policy it applied"),
    _l("it never said whether it is rooted"),
    _l("its hardware has not proved its system yet"),
    _l("This passkey is not known here (any more). Sign in with password and code."),
    _l(
        "This passkey did not ask for a PIN or a finger, so name and password are needed too: "
        "fill them in first."
    ),
    _l(
        "This passkey's counter went back, so a copy of it may exist: it was refused. Sign in "
        "in another way and remove it from your account."
    ),
    _l("This was answered too late, or in another window. Try again."),
    _l("The passkey's answer does not hold."),
    _l("This passkey is registered already."),
    _l("This is your last second proof. Register another passkey or an authenticator app first."),
    _l("This passkey is somebody else's. Nothing was changed."),
    _l("There is no authenticator app on your account."),
    _l(
        "The app is your only second proof. Register a passkey first, or replace the app by "
        "another one."
    ),
    _l("The file cannot be read: the password is wrong, or it is no .pfx/.p12 file."),
    _l("The file holds no private key. Export it again together with the key."),
    _l("The private key belongs to none of the certificates in the file."),
    _l(
        "The key is too weak or of a kind phones do not take (%(detail)s). Use ECDSA "
        "P-256, P-384, or RSA with at least 2048 bits."
    ),
    _l("%(detail)s is signed with MD5 or SHA-1, which phones refuse."),
    _l("%(detail)s has expired."),
    _l("%(detail)s is not valid yet."),
    _l("The certificate is for %(detail)s, not for the name under which devices reach this relay."),
    _l("The certificate is not meant for servers (extended key usage)."),
    _l(
        "The chain is incomplete: the certificate of %(detail)s is missing. Export the "
        "file again with all certificates of the chain."
    ),
    _l("The certificate of the CA is too large to tell devices of it."),
    _l("A device would refuse this certificate: %(detail)s."),
    _l(
        "The pairing code is wrong, was used, or is older than 30 minutes; or somebody is"
        " in between. Make a new one on the communication server with 'sekisho "
        "communication code'."
    ),
    _l(
        "Whoever answered does not know the code: it is not the relay that shows it. "
        "Nothing was stored."
    ),
    _l(
        "No relay answers at %(address)s: %(why)s. Check the address, the port of the "
        "link (4344 unless it was changed) and the firewall on the way."
    ),
    _l(
        "This is the only relay that is in use: no device could be reached any more. Pair"
        " another one first."
    ),
    _l("Another relay has this name already."),
    _l("Disable the relay first: then its devices learn of the others while it still works."),
    _l("Type the name of the relay exactly as it stands here."),
    _l("Type the name of the connector exactly as it stands here."),
    _l("Disable the connector first; undo what it did if that shall go too."),
    _l("A port is a number from 1 to 65535."),
    _l("The three ports must differ."),
    _l("%(address)s is no address like https://relay.example.com:4343."),
    _l("it never said whether its storage is encrypted"),
    _l("it never said whether a screen lock is set"),
    _l("it never said whether developer options are on"),
    _l("it never said whether USB debugging is on"),
    _l("it never said whether unknown sources are allowed"),
    _l("it never said its system version"),
    _l("its security patch level is unknown"),
    _l("it never said which apps are installed"),
    _l("nothing on this device can say it, and the policy counts that as broken"),
    _l("the enrolment ended: %(state)s"),
    _l("its last signed report is of %(moment)s"),
    _l("root access found (%(source)s)"),
    _l("attestation failed: %(inner)s (%(source)s)"),
    _l("the key lives in software, not in secure hardware"),
    _l("the hardware did not say how the device started"),
    _l("the system was signed by somebody other than the maker"),
    _l("the system was signed by somebody other than the maker, with the key %(key)s"),
    _l("the system was not verified at the start"),
    _l("the system failed verification at the start"),
    _l("the boot loader is unlocked"),
    _l("it was asked on %(moment)s and has not answered"),
    _l("the key that the device signs with was never attested"),
    _l("it enrolled without proving its key"),
    _l("the attested key is not the one that the device signs with"),
    _l("its owner has left (%(source)s)"),
    _l("Entry %(number)s: the address is no mail address."),
    _l("Entry %(number)s: the state is %(word)s, not active, disabled or left."),
    _l("The first line names the columns: address and state."),
    _l("The JSON file is a list of objects with address and state."),
    _l("The file is neither CSV nor JSON (%(detail)s)."),
    _l("the account of its owner is disabled (%(source)s)"),
    _l("no directory said how the account of its owner stands"),
    _l("Give the device to somebody else, or wipe the company data on it."),
    _l("groups %(names)s"),
    _l("policies that inherit from it %(names)s"),
    _l("%(count)s devices"),
    _l("%(count)s open invitations and enrolment keys"),
    _l("a trial that is under way"),
    _l("This policy was deleted. Restore it first, or choose another."),
    _l("This policy was made at set-up, or for a trial, and stays."),
    _l("There is a policy called %(name)s meanwhile; rename that one first."),
    _l("storage is not encrypted (%(source)s)"),
    _l("no screen lock is set (%(source)s)"),
    _l("developer options are on (%(source)s)"),
    _l("USB debugging is on (%(source)s)"),
    _l("unknown sources are allowed (%(source)s)"),
    _l("system version %(version)s, asked %(asked)s"),
    _l("system version %(version)s is of %(day)s, at most %(days)s days old asked"),
    _l("security patch of %(day)s, at most %(days)s days old asked"),
    _l("security patch of %(day)s, asked %(asked)s"),
    _l("installed although forbidden: %(packages)s"),
    _l("installed: %(apps)s"),
    _l("missing: %(packages)s"),
    _l("%(policy)s version %(version)s asked, the device has version %(has)s"),
    _l("%(policy)s version %(version)s asked, the device has another policy, version %(has)s"),
    _l("Ask your administrator for a new invitation."),
    _l("Invite the user again."),
    _l("Switch the device on, connect it and open the agent."),
    _l("Ask the user to open the agent. If others are silent too, look at the relay."),
    _l("Open the agent: it fetches the policy."),
    _l("Wait for its next check-in. If it has reported since, look at what it could not apply."),
    _l("Restore the manufacturer's system."),
    _l("Wipe the company data, and let the user restore the system and enrol again."),
    _l("Restore the manufacturer's system and lock the boot loader."),
    _l("Look at the reason. Without an explanation treat the device as taken over."),
    _l("Switch on encryption in the system's settings."),
    _l("Let the policy ask for encryption; very old models cannot do it."),
    _l("Set a screen lock in the system's settings."),
    _l("Let the policy ask for a passcode, so that the device demands one."),
    _l("Switch off developer options."),
    _l("Lock developer options by policy; it needs a company device."),
    _l("Switch off USB debugging."),
    _l("Lock USB debugging by policy; it needs a company device."),
    _l("Forbid unknown sources."),
    _l("Lock unknown sources by policy; it needs a company device."),
    _l("Update the system to %(version)s or later."),
    _l("If the maker offers no such version for the model, replace the device."),
    _l("Install the system's security update of %(day)s or later."),
    _l("If the maker offers no such update for the model, replace the device."),
    _l("Install the system's newest security update."),
    _l("Update the system to the newest version."),
    _l("If the maker offers no newer version for the model, replace the device."),
    _l("If the maker offers no newer update for the model, replace the device."),
    _l("Remove the app: %(apps)s."),
    _l("Look at the evidence. Until the app is gone treat what the user typed as known."),
    _l("Look at the evidence; approve the app if it is harmless."),
    _l("Approve the app if your company needs it."),
    _l("Look at why it could not be read; approve the app if you know it."),
    _l("Remove it by command on a company device, or take it off the policy's list."),
    _l("Install the app: %(apps)s."),
    _l("Install it by command on a company device."),
    _l("Open the agent, so that it reports."),
    _l("If it does report: its agent is too old to say this. Let it update."),
    _l("Ask your administrator."),
    _l("Install the agent on it, or let the policy bear what such devices cannot say."),
    _l("The device was not enrolled yet at %(moment)s."),
    _l("The log of this device begins at %(moment)s; what was before is forgotten by setting."),
    _l("The enrolment key is not known here. Check it, or ask for a new invitation."),
    _l("The enrolment key has expired. Ask for a new one."),
    _l("The enrolment key was used up already. Ask for a new one."),
    _l("The enrolment key was cancelled. Ask for a new one."),
    _l("This enrolment key asks for your user name and password."),
    _l("It is not scanned yet. Wait for the verdict."),
    _l(
        "Another key signed it than the package that is handed out now: phones would refuse "
        "the update. Withdraw the old one first if that is meant."
    ),
    _l(
        "Another key signed it than the package that was handed out last. Phones that have "
        "that one refuse it as an update. Say that another signer is meant, or choose another "
        "package."
    ),
    _l("the file is neither UTF-8 nor Shift_JIS text"),
    _l("the spreadsheet shortened the number: format its column as text"),
    _l("the check digit of this IMEI is wrong"),
    _l("this IMEI is a placeholder"),
    _l("nothing in this line identifies a device"),
    _l("Save the file as UTF-8 and upload it again."),
    _l("Nothing to read is left of this file. Is it an HTML document with text?"),
    _l("%(column)s: the check digit of this IMEI is wrong"),
    _l("%(column)s: the spreadsheet shortened the number: format its column as text"),
    _l("%(column)s: an IMEI has 15 digits, a MEID 14 hexadecimal digits from A0 or 18 digits"),
    _l("%(column)s: a MAC address has 12 hexadecimal digits, like 00:1A:2B:3C:4D:5E"),
    _l(
        "%(column)s: this MAC address is a random one, another in each network; enter that of "
        "the hardware"
    ),
    _l("%(value)s stands in line %(line)s already"),
    _l(
        "User name or password is not right, or this name has to wait after wrong tries. "
        "Wait a quarter of an hour at most and try again."
    ),
    _l("This device is not on the allow-list. Ask your administrator to add it."),
    _l(
        "This device tells nothing that the allow-list could know it by. Android tells IMEI, "
        "serial number and hardware MAC address only to an agent that is device owner; enrol "
        "it so, or let the administrator list its enrolment id."
    ),
    _l(
        "This device is enrolled for another person. Ask for an invitation for that person, "
        "or ask the administrator to retire the device first."
    ),
    _l("The device's clock is ahead. Set date and time to automatic and enrol again."),
    _l("The request is too old. Check the device's date and time and enrol again."),
    _l("It was not sent in time."),
    _l("The device did not collect it in time."),
    _l("The device never said what became of it."),
    _l("The device enrolled anew; the command is sent again."),
    _l("Taken back by %(name)s."),
    _l("Replaced by %(kind)s, which %(name)s asked for."),
    _l("The device left. The wipe waits for its return."),
    _l("The device is %(state)s."),
    _l("The device is retired. %(words)s The wipe waits for its return."),
    _l("The device enrolled anew before it was wiped; the wipe is sent again."),
    _l("The database was restored from a backup. Is this still wanted?"),
    _l("Sent again after a restore."),
    _l("Handed on to the device's newer record."),
    _l("Enforcement is paused by %(name)s: %(because)s"),
    _l("A bulk command that destroys is always approved. Approvers must prove that they want it."),
    _l("The same command is on its way already."),
    _l("The device is about to be wiped; take the wipe back first."),
    _l("The device cannot get commands: it is %(state)s."),
    _l("Apple lets no app read which other apps are installed."),
    _l("The App Store updates the agent on Apple devices."),
    _l("The device has a work profile: management reaches only what is inside it."),
    _l(
        "The agent is not device owner, so Android lets it do little. Set the device up anew "
        "as device owner or with a work profile."
    ),
    _l("The device enrolled as its user's own: Apple lets management reach company data only."),
    _l("The device belongs to its user; only company data may be wiped."),
    _l("The device belongs to its user; lost mode would lock them out of it."),
    _l("Apple's lost mode needs a supervised device."),
)
