"""What the gateway counts of itself, for its log and for the hub."""

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """Counts since the start; only ever grow."""

    polls: int = 0
    failures: int = 0  # polls that gave no answer
    missed: int = 0  # cycles skipped because the one before took too long
    readings: int = 0  # readings spooled
    sent: int = 0  # frames handed to the broker, repeats included
    resends: int = 0  # frames sent again
    rebirths: int = 0
    refused_commands: int = 0

    def sentence(self, depth: int) -> str:
        """Say it in one line."""
        return (
            f"{self.polls} polls, {self.failures} without answer, {self.missed} cycles missed, "
            f"{self.readings} readings spooled, {depth} frames waiting, {self.sent} sent, {self.resends} of them again"
        )
