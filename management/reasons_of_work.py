"""What refusals around apps, commands and jobs say, for `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("The app is not scanned yet. Wait for its verdict."),
    _l("A deep analysis of this app waits or runs already."),
    _l("The app is not scanned yet."),
    _l("Enter the last day of the approval as 2026-12-31."),
    _l(
        "Its file is built so that its signer need not have seen all of it. Approve this very"
        " file alone, if it is right all the same."
    ),
    _l(
        "Nobody here read who signed this app: devices only claim it. Approve the app alone, "
        "or ask a device for its file."
    ),
    _l("It is approved already. End that approval first to change it."),
    _l("There is no such approval."),
    _l("This approval has ended already."),
    _l("No app with this hash was uploaded or reported by a device."),
    _l("No app with this hash was uploaded."),
    _l("The app store offers this app. Withdraw it there first."),
    _l(
        "The stored apps take %(taken)s MiB, all that this server gives them. Delete some "
        "apps, or raise the setting uploads_bytes."
    ),
    _l("The file is empty. Choose the app's file again."),
    _l("The file is larger than %(most)s MiB, the limit."),
    _l("Choose an app's file first."),
    _l("The place in the list is not valid. Start at the first page."),
    _l("The device sent another file (%(sha256)s)."),
    _l("The file is here already."),
    _l("A device was asked for this file already. Wait for it."),
    _l(
        "No device that may be asked holds this app. Devices that belong to their users are "
        "not asked unless the settings of apps say so."
    ),
    _l("This command does not wait for an approval."),
    _l("The set has changed since you looked at it. Look at it again."),
    _l("Only who drafted a bulk command confirms it."),
    _l("This bulk command is confirmed already."),
    _l("None of the devices can get this command."),
    _l("Type the number of devices, %(devices)s, to confirm."),
    _l("A bulk command reaches at most %(value)s devices. Filter the list further."),
    _l("A device in the address is not valid."),
    _l("There is no such command."),
    _l("There is no such bulk command."),
    _l("The command is %(state)s already and cannot be taken back."),
    _l("The command is %(state)s; only an unsuccessful one is tried again."),
    _l("The passcode is not kept after the command ended; order a new one."),
    _l(
        "A wipe is not tried again with one click. Order it anew on the page of the device, with "
        "its name and the reason of today."
    ),
    _l("This command does not wait for anybody's word."),
    _l("%(inner)s The wipe waits for its return."),
    _l("The device was not judged yet."),
    _l("Say why it is safe; the reason goes into the audit trail."),
    _l("Somebody released it already."),
    _l("There is no such entry."),
    _l("There is no such freeze."),
    _l("It was mended in time, so the wipe was taken back."),
    _l(
        "%(value)s automatic wipes wait to be signed or approved; approve or take them back "
        "under Commands."
    ),
    _l("This release does not know work of kind %(r)s."),
    _l("The app store has no such entry."),
    _l("Enter an address on play.google.com or apps.apple.com, a package or a number."),
    _l("Enter the name that users see."),
    _l("The store has this entry already."),
    _l("Say why: the reason goes into the audit trail."),
    _l("The store holds %(value)s entries. Withdraw one first."),
    _l(
        "Another key signed it than version %(version)s on offer: phones would refuse the "
        "update. Withdraw the entry first if that is meant."
    ),
    _l("This entry was withdrawn. Publish the app again instead."),
    _l("A group of the form does not exist."),
    _l("The scanner calls it %(verdict)s now."),
    _l(
        "No pattern set is active yet. Start the server once, which installs the one it "
        "shipped with."
    ),
    _l("Pattern set %(version)s is not installed on this server."),
    _l("This update run does not exist."),
    _l("No update source is entered."),
    _l("This release is not here."),
    _l("The day must be between 1 and %(last_day)s."),
    _l("The hour must be between 0 and 23."),
    _l("The start window must be between 0 and 720 minutes."),
    _l("No update source is entered yet. Enter its address and its root.json under Updates."),
    _l("No older pattern set is installed on this server to go back to."),
    _l("The active pattern set cannot be discarded; go back from it first."),
    _l(
        "This work keeps things in step with what was decided, so it cannot be cancelled: "
        "half of it would be left. It ends by itself."
    ),
    _l("Start it anew on its own page: what it was about has ended."),
    _l("There is no such job."),
    _l("Only a job that failed or was stopped can be tried again."),
    _l("The job is over already."),
    _l("A job in the address is not valid."),
    _l("It would call malicious: %(said)s."),
    _l("The file has %(size)s bytes, there is room for %(room)s only."),
    _l("The command %(value)s takes no %(strange)s."),
    _l("A message needs a text."),
    _l("The command %(value)s needs: %(missing)s."),
    _l("%(long)s is longer than 255 characters."),
    _l(
        "It was moved %(value)s times within a day, so it stays where it is: policies send it"
        " back and forth. Change one of them."
    ),
    _l("Its verdict is %(verdict)s. Approve it first, with a reason, if it is right all the same."),
    _l(
        "It is a set of split packages (.apks, .xapk, .apkm), which the store cannot install:"
        " devices take one package. Ask its maker for a single .apk for all devices."
    ),
    _l("Its manifest could not be read, so that no phone could install it."),
    _l("It is not signed, so that no phone would install it."),
    _l("It ran longer than %(value)s minutes and was stopped."),
    _l("No update source is entered yet. Enter it in the console."),
    _l("It answers, but the jobs process visited it last at %(visited)s."),
)
