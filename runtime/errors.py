"""What every part may raise on purpose. The text is safe to show to whoever asked."""


class SekishoError(Exception):
    """Base of every error we raise on purpose."""


class NotFoundError(SekishoError):
    """What was asked for does not exist."""


class RefusedError(SekishoError):
    """A rule forbids what was asked for."""


class MalformedMessageError(SekishoError):
    """A message breaks its contract."""


class TooLargeError(SekishoError):
    """A message, file or list is larger than its limit."""


class UnauthenticatedError(SekishoError):
    """Whoever asks has not proved who it is."""


class ForbiddenError(SekishoError):
    """Whoever asks is known, and may not do this."""


class UnavailableError(SekishoError):
    """Another part or server cannot be reached now; asking again later may work."""


class HopelessError(SekishoError):
    """A job failed, and doing the same again would not help."""


class ConfigurationError(SekishoError):
    """A setting, key or file is missing or wrong; the process refuses to start."""
