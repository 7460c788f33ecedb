"""General settings of the agent."""

from flask_babel import lazy_gettext as _l

from management.policies.schema import (
    ANDROID,
    PROFILE,
    SUPERVISED,
    Category,
    choice,
    number,
    secret,
    switch,
    text,
)

GENERAL = Category(
    name="general",
    label=_l("General"),
    icon="sliders",
    help=_l("How the agent behaves and how often the device reports."),
    settings=(
        number(
            "report_minutes",
            _l("Report every (minutes)"),
            _l("How often the agent looks for changes to report."),
            15,
            1440,
            default=60,
        ),
        number(
            "roaming_report_minutes",
            _l("Report every (minutes) when roaming"),
            _l("A longer interval abroad saves money; orders are collected then as well."),
            15,
            10_080,
            default=240,
        ),
        number(
            "poll_minutes",
            _l("Ask for orders every (minutes)"),
            _l("A device that somebody sends a command to asks more often for ten minutes."),
            1,
            1440,
            default=15,
        ),
        switch(
            "keep_agent",
            _l("The user cannot remove the agent"),
            _l("The agent and its profile stay until an administrator ends the enrolment."),
            modes=(*PROFILE, *SUPERVISED),
        ),
        switch(
            "user_settings",
            _l("The user may change the agent's settings"),
            _l("Off: the agent shows its settings, but only policies change them."),
        ),
        secret(
            "settings_password",
            _l("Password of the agent's settings"),
            _l("The agent asks for it before somebody changes its settings or removes it."),
            4,
            64,
            platforms=ANDROID,
        ),
        switch(
            "large_downloads_on_wifi_only",
            _l("Download apps and patterns over Wi-Fi only"),
            _l("Off: mobile data is used as well."),
            default=True,
        ),
        choice(
            "log_detail",
            _l("Detail of the agent's log"),
            _l("Detailed helps to find a fault and uses more storage."),
            {"normal": _l("Normal"), "detailed": _l("Detailed")},
            "normal",
        ),
        number(
            "log_days",
            _l("Keep the agent's log (days)"),
            _l("Older entries are deleted on the device."),
            1,
            30,
            default=7,
        ),
        text(
            "support_contact",
            _l("Whom users ask for help"),
            _l("A name, address or number that the agent shows."),
            200,
            example="IT, 0120-000-000",
        ),
        text(
            "lock_screen_text",
            _l("Text on the lock screen"),
            _l("Tells a finder whose device this is."),
            100,
            platforms={"android": "7.0", "ios": "9.3"},
            modes=("device_owner", *SUPERVISED),
        ),
    ),
)
