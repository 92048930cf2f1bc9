"""What happens when the data cannot decide: the account is parked with a reason, never guessed."""


class DoubtError(ValueError):
    """The amount cannot be decided from what is stored; the message says what is missing and what to do."""
