"""What can go wrong at a device, named by what the caller does about it."""


class DriverError(Exception):
    """One clear sentence: which device, what happened."""


class UnreachableError(DriverError):
    """No answer: back off and try again.  ``link`` says that the whole line is down, not one device."""

    def __init__(self, message: str, *, link: bool = False) -> None:
        super().__init__(message)
        self.link = link


class RefusedError(DriverError):
    """The device understood and will not do it: asking again at once is useless.

    ``held`` is what it holds instead of what it was set to, where that was read.
    """

    def __init__(self, message: str, *, held: float | None = None) -> None:
        super().__init__(message)
        self.held = held


class MalformedError(DriverError):
    """The answer cannot be used: the readings are of bad quality."""


class MisconfiguredError(DriverError):
    """The profile or the site file asks for what the device does not have: the point is off."""
