"""What the scanner's own rules are called and mean, for `management.sayings`."""

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString


def _l(english: str) -> tuple[str, LazyString]:
    return english, lazy_gettext(english)


SENTENCES = (
    _l("Byte code stands before the archive (Janus)"),
    _l("Directory and local header name the entry differently"),
    _l("Directory and local header differ in the method"),
    _l("Directory and local header differ in the flags"),
    _l("The entry is marked as encrypted"),
    _l("The entry has an unknown compression method"),
    _l("The entry's size is not what is said"),
    _l("The entry's checksum is wrong"),
    _l("Two entries of one name"),
    _l("An entry that the directory does not list"),
    _l("More than one central directory"),
    _l("The directory's count of entries is wrong"),
    _l("The entry asks for a reader that cannot exist"),
    _l("The archive calls itself a part of several"),
    _l("The entry's name is made to mislead"),
    _l("The entry has a second name that differs"),
    _l("The entry's extra fields cannot be read"),
    _l("A folder holds data"),
    _l("Two entries share bytes"),
    _l("The directory is not where the end record says"),
    _l("The directory's size is not what is said"),
    _l("Bytes follow the end of the archive"),
    _l("The archive is of the kind for more than 4 GB"),
    _l("Byte code stands in no entry of the archive"),
    _l("The archive does not begin where it says"),
    _l("The signature does not hold"),
    _l("The signing block is built as no honest tool builds it"),
    _l("A signature that no system looks at does not hold"),
    _l("The app is not signed"),
    _l("Some Android versions would not install the app"),
    _l("The signature is weak"),
    _l("The publisher changed the key and proves it"),
    _l("The signer's certificate has expired"),
    _l("Signed with a developer's debug key"),
    _l("A package of the set has another signer"),
    _l("The manifest is built to mislead tools"),
    _l("The manifest says things in places that Android passes over"),
    _l("The app lets a debugger in"),
    _l("Signed with a key that anybody has"),
    _l("Changed copy of an app by %(publisher)s"),
    _l("Named like an app by %(publisher)s"),
    _l("Calls itself like an app by %(publisher)s"),
    _l("Another app is hidden inside"),
    _l("Its real code is hidden"),
    _l(
        "What the app does stands in an entry that only the app itself decrypts, when it "
        "runs. So no rule about code can hold for it, and nobody can say that it is clean."
    ),
    _l("Dense data that cannot be measured"),
    _l(
        "Such files are honest as a rule. Nobody can count out from its build how far this one is "
        "what it says, so something else may stand in it."
    ),
    _l("Calls methods by their names"),
    _l(
        "Which method runs is a text that the app may make up when it runs. Libraries do it "
        "for settings and tests; who hides what the app does, does it to keep names out of "
        "the code."
    ),
    _l("Loads code when it runs"),
    _l(
        "What is loaded need not be in the file: it was read where it lies in there, and what"
        " comes from elsewhere was not."
    ),
    _l("Loads native code"),
    _l("Native libraries are searched for known programs and texts; what they do is not followed."),
    _l("Names in the code were replaced"),
    _l(
        "Tools that make apps smaller replace names by letters; so do those that make code "
        "hard to read. Rules here ask for what code does, not for its names."
    ),
    _l("Methods are called by name at run time"),
    _l("Code is loaded at run time"),
    _l("Native libraries are loaded"),
    _l("Programs are started"),
    _l("Text messages are sent or read"),
    _l("Other apps are read or operated through accessibility"),
    _l("The device is locked, wiped or changed as its administrator"),
    _l("Windows are laid over other apps"),
    _l("Sound or pictures are recorded"),
    _l("Apps are installed"),
    _l("It did not finish"),
    _l("Not analysed"),
    _l("ad-fraud"),
    _l("backdoor"),
    _l("billing-fraud"),
    _l("denial-of-service"),
    _l("elevated-privilege-abuse"),
    _l("evasive-container"),
    _l("hostile-downloader"),
    _l("impersonation"),
    _l("non-android-threat"),
    _l("phishing"),
    _l("privacy"),
    _l("ransomware"),
    _l("riskware"),
    _l("rooting"),
    _l("spam"),
    _l("spyware"),
    _l("stalkerware"),
    _l("test-file"),
    _l("trojan"),
    _l("unwanted"),
    _l("vulnerable"),
)
