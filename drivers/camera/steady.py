"""States that do not flutter."""


class Steady:
    """On after ``on_s`` without a break, off after ``off_s`` without one."""

    def __init__(self, on_s: float, off_s: float) -> None:
        self.on = False
        self._on_s = on_s
        self._off_s = off_s
        self._since_s: float | None = None  # since when what is seen contradicts the state

    def step(self, seen: bool, at_s: float) -> bool:
        """Take in what is seen at a moment that never goes back; gives whether the state has just come on."""
        if seen == self.on:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = at_s
        if at_s - self._since_s < (self._off_s if self.on else self._on_s):
            return False
        self.on, self._since_s = seen, None
        return self.on
