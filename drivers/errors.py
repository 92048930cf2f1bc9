"""What can go wrong at a device, named by what the caller does about it."""


class DriverError(Exception):
    """One clear sentence: which device, what happened."""


class UnreachableError(DriverError):
    """No answer: back off and try again.  ``link`` says that the whole line is down, not one device."""

    def __init__(self, message: str, *, link: bool = False) -> None:
        super().__init__(message)
        self.link = link


class RefusedError(DriverError):
    """The device understood and will not do it: asking again at once is useless."""


class MalformedError(DriverError):
    """The answer cannot be used: the readings are of bad quality."""


class MisconfiguredError(DriverError):
    """The profile or the site file asks for what the device does not have: the point is off."""
