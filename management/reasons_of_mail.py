"""What decisions about mail, matches and freezes say in English; see `management.reasons`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("First look who would lose mail under exactly these settings."),
    _l("More than an hour ago somebody looked who would lose mail. Look again."),
    _l("Send what the preview answers as seen."),
    _l("automatic allowing and blocking is switched off"),
    _l("unmanaged phones are left alone by setting"),
    _l("%(device)s is in group %(group)s, which is excluded by setting"),
    _l("%(device)s has not been judged yet"),
    _l("%(device)s is no longer enrolled"),
    _l("%(device)s was not chosen for automatic control"),
    _l("allowed by %(name)s until %(moment)s: %(because)s"),
    _l("blocked by %(name)s until %(moment)s: %(because)s"),
    _l("left alone by %(name)s until %(moment)s: %(because)s"),
    _l("confirmed by %(name)s"),
    _l("confirmed by %(name)s: %(reason)s"),
    _l("Some of these blocks are not held any more. Look at the list again."),
    _l("not blocked yet: %(inner)s"),
    _l("this user has an unmanaged phone since %(moment)s"),
    _l("the grace of %(days)s days ends on %(moment)s, then it blocks"),
    _l("the grace of %(days)s days ended on %(moment)s"),
    _l("%(device)s is %(state)s since %(moment)s (policy %(policy)s version %(version)s)"),
    _l("rule %(rule)s: %(inner)s, since %(moment)s"),
    _l("its policy blocks no mail because of this"),
    _l("keeps its access until %(moment)s, then it blocks"),
    _l("All enforcement is paused since %(moment)s by %(name)s: %(because)s."),
    _l("healthy"),
    _l("out of sync"),
    _l("non compliant"),
    _l("inactive"),
    _l("no enrolled device reports this DeviceId"),
    _l("%(device)s of %(owner)s reports this DeviceId and the mailbox is its owner's"),
    _l(
        "%(count)s enrolled devices of this user report this DeviceId (%(names)s); retire all but "
        "one or match it by hand"
    ),
    _l(
        "%(device)s reports this DeviceId, but belongs to %(owner)s, not to this mailbox; match it "
        "by hand if that is right"
    ),
    _l(
        "likely: same user and model as %(device)s, which fetched this mail as %(before)s before; "
        "a factory reset gives a phone a new DeviceId"
    ),
    _l(
        "likely: same user and model as %(device)s, and first synchronised within 7 days of its "
        "enrolment"
    ),
    _l("possible: same user and model as %(device)s, but at another time than its enrolment"),
    _l("%(inner)s; %(count)s more of this model are the user's"),
    _l("the mailbox %(mailbox)s is now %(now)s"),
    _l("other doors closed by the connector: %(closed)s; opened again by hand: %(opened)s"),
    _l(
        "Somebody took this connector's entry away at the mail server. It is not put back until "
        "the next decision, or until an administrator takes control again in the console."
    ),
    _l(
        "The mailbox's block list holds this DeviceId, and this connector did not put it there, so "
        "it does not take it away. Remove it at the mail server if the phone shall fetch mail."
    ),
    _l(
        "Within an hour consequences cut off %(cut)s devices, and more are due; %(limit)s need "
        "nobody's word."
    ),
    _l("Look at what changed: a dry run or the newest policy version tells. Then release it."),
    _l("The communication server %(name)s was not reached from %(since)s to %(moment)s."),
    _l("Wait, or release the freeze if every device that matters was heard."),
    _l("The communication server %(name)s was last reached at %(moment)s."),
    _l("Mend its connection. Devices then have time to come back before anything follows."),
    _l("A communication server is silent since %(moment)s."),
    _l("It does not say which CA it trusts: its release is older. Update it."),
    _l(
        "It does not know this server's newest CA certificate; the one it trusts ends on %(day)s. "
        "It learns the newest at its next call; if that does not help, run on its machine: "
        "%(command)s"
    ),
    _l(
        "The CA of your company that it trusts ends on %(day)s. Give it the next one before that, "
        "on its machine: %(command)s"
    ),
)
