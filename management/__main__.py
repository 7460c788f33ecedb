"""``python -m management``: the management server's commands alone."""

from management.cli import management

if __name__ == "__main__":
    management()
