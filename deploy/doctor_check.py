"""One finding of the doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked for, whether it is well, what was found and, if it is not well, what to do."""

    name: str
    ok: bool
    found: str
    advice: str
    needed: bool = True

    def sentence(self) -> str:
        """Say it in one line."""
        return f"{self.name}: {self.found}." if self.ok else f"{self.name}: {self.found}. {self.advice}"
