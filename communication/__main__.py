"""`python -m communication`: the communication server alone."""

from communication.cli import communication

if __name__ == "__main__":
    communication(prog_name="sekisho communication")
