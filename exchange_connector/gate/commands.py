"""The commands of ActiveSync: their codes, and where each keeps its Status. Pure, only tables.

Sources: MS-ASHTTP 2.2.1.1.1.1.2 (codes), MS-ASWBXML 2.1.2.1 (code pages and tokens).
"""

COMMAND_CODES = {
    0: "Sync",
    1: "SendMail",
    2: "SmartForward",
    3: "SmartReply",
    4: "GetAttachment",
    9: "FolderSync",
    10: "FolderCreate",
    11: "FolderDelete",
    12: "FolderUpdate",
    13: "MoveItems",
    14: "GetItemEstimate",
    15: "MeetingResponse",
    16: "Search",
    17: "Settings",
    18: "Ping",
    19: "ItemOperations",
    20: "Provision",
    21: "ResolveRecipients",
    22: "ValidateCert",
    23: "Find",
}
COMMANDS = {name.lower(): name for name in COMMAND_CODES.values()}
"""By their names in small letters."""

STATUS_PLACES = {
    "Sync": (0, 0x05, 0x0E),
    "MoveItems": (5, 0x05, 0x0B),
    "GetItemEstimate": (6, 0x05, 0x0E),
    "FolderCreate": (7, 0x13, 0x0C),
    "FolderDelete": (7, 0x14, 0x0C),
    "FolderUpdate": (7, 0x15, 0x0C),
    "FolderSync": (7, 0x16, 0x0C),
    "MeetingResponse": (8, 0x07, 0x0B),
    "ResolveRecipients": (10, 0x05, 0x07),
    "ValidateCert": (11, 0x05, 0x0A),
    "Ping": (13, 0x05, 0x07),
    "Provision": (14, 0x05, 0x0B),
    "Search": (15, 0x05, 0x0C),
    "Settings": (18, 0x05, 0x06),
    "ItemOperations": (20, 0x05, 0x0D),
    "SendMail": (21, 0x05, 0x12),
    "SmartForward": (21, 0x06, 0x12),
    "SmartReply": (21, 0x07, 0x12),
    "Find": (25, 0x05, 0x0A),
}
"""Command -> (code page, token of its root, token of the Status below it)."""
