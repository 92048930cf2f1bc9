"""Which site file a gateway goes by: its own, or one that the hub has pushed and that has proven itself.

A pushed file is kept beside the spool and goes on trial: a record on disk says so, with its deadline, before anything
goes by it.  What is not confirmed by then is rolled back, by the running agent or by the next start; a second start
within a trial means that the first one did not survive it.  ``reserve`` says what a pushed file may not change, and
whoever changes the gateway's own file sets a pushed one aside.  Every step is one file written whole, so a power cut
leaves the state before or after it.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from edge_agent.config import EdgeConfig, InvalidConfigError, load
from edge_agent.identity import PRIVATE, write
from edge_agent.reserve import trespasses
from rules.wire.configuration import Pushed, State, Told, digest

CONFIRM_S = 60.0
STARTS_MAX = 1  # within a trial: one may be a power cut, another is a crash
RECORD_BYTES_MAX = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """A pushed file that has to prove itself until ``deadline``: ``answering`` are the devices that must go on to."""

    number: int
    sha256: str
    deadline: datetime
    answering: tuple[str, ...]
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """What is on disk.  ``pushed`` is the file in force ('': the gateway's own), ``base`` the own file at that time."""

    number: int = 0
    pushed: str = ""
    base: str = ""
    state: State = State.LOCAL
    reason: str = ""
    trial: Trial | None = None


class Configuration:
    """The files and the record of one gateway.  Its methods touch files, so they are called off the event loop."""

    def __init__(self, site: Path, folder: Path, own: EdgeConfig, wall: Callable[[], datetime]) -> None:
        """``own`` is what the gateway's own file says; its site and gateway cannot be changed from afar."""
        self._site = site
        self._folder = folder
        self._own = own
        self._wall = wall
        self._stem = f"edge-{own.gateway}"
        self._path = folder / f"{self._stem}.configuration.json"
        self._record = _read(self._path)
        self._base = _digest(site)

    @property
    def trial(self) -> Trial | None:
        """What is on trial."""
        return self._record.trial

    @property
    def told(self) -> Told:
        """What to tell the hub."""
        record = self._record
        if record.trial is not None:
            return Told(record.number, record.trial.sha256, State.TRIAL)
        return Told(record.number, record.pushed or self._base, record.state, record.reason)

    def begin(self) -> EdgeConfig:
        """Give what to go by at a start."""
        trial = self._record.trial
        if (self._record.pushed or trial is not None) and self._record.base != self._base:
            return self._set_aside()
        if trial is None:
            return self._settled()
        if self._wall() >= trial.deadline:
            return self.roll_back("it had not proven itself when its time was over")
        if trial.starts >= STARTS_MAX:
            return self.roll_back("the edge agent did not survive a start with it")
        self._keep(replace(self._record, trial=replace(trial, starts=trial.starts + 1)))
        try:
            return self._load(trial.sha256)
        except InvalidConfigError as error:
            return self.roll_back(error.problems[0])

    def remaining_s(self) -> float:
        """Give how long the trial may still take; a clock that was set back does not make it longer."""
        trial = self._record.trial
        return 0.0 if trial is None else min(CONFIRM_S, (trial.deadline - self._wall()).total_seconds())

    def offer(self, pushed: Pushed, answering: Iterable[str]) -> EdgeConfig | None:
        """Put a pushed file on trial and give it; None for one that is old, in force already or cannot be used."""
        record = self._record
        if pushed.number <= record.number:
            return None
        if record.trial is None and pushed.sha256 == (record.pushed or self._base):
            self._keep(replace(record, number=pushed.number, reason=""))
            return None
        file = self._held(pushed.sha256)
        write(file, pushed.text.encode(), PRIVATE)
        try:
            config = self._load(pushed.sha256)
        except InvalidConfigError as error:
            more = f" ({len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            self._refuse(pushed, f"{error.problems[0].removeprefix(f'{file}: ')}{more}")
            return None
        deadline = self._wall() + timedelta(seconds=CONFIRM_S)
        devices = {device.code for device in config.devices}
        trial = Trial(pushed.number, pushed.sha256, deadline, tuple(sorted(set(answering) & devices)))
        self._keep(replace(record, number=pushed.number, base=self._base, trial=trial))
        return config

    def confirm(self) -> None:
        """Put what is on trial in force."""
        trial = self._record.trial
        if trial is not None:
            self._keep(Record(trial.number, trial.sha256, self._base, State.IN_FORCE))
            self._sweep()
            log.info("the pushed configuration %s is in force", trial.sha256[:12])

    def roll_back(self, reason: str) -> EdgeConfig:
        """Give what was in force before the trial, and go by it from now on."""
        log.error("the pushed configuration is rolled back: %s", reason)
        self._keep(replace(self._record, state=State.ROLLED_BACK, reason=reason, trial=None))
        config = self._settled()
        self._sweep()
        return config

    def changed(self) -> EdgeConfig:
        """Go by the gateway's own file, which has changed; raises InvalidConfigError and then changes nothing."""
        config = load(self._site, self._own.gateway)
        self._check(config, str(self._site))
        self._own, self._base = config, _digest(self._site)
        return self._set_aside() if self._record.pushed or self._record.trial else config

    def _set_aside(self) -> EdgeConfig:
        reason = "the file on the gateway was changed; the pushed one is set aside"
        log.warning("%s", reason)
        self._keep(Record(self._record.number, state=State.LOCAL, reason=reason))
        self._sweep()
        return self._own

    def _settled(self) -> EdgeConfig:
        if not self._record.pushed:
            return self._own
        try:
            return self._load(self._record.pushed)
        except InvalidConfigError as error:
            reason = f"the pushed file can no longer be used: {error.problems[0]}"
            log.error("%s; the gateway goes by its own", reason)  # noqa: TRY400  one sentence says it all
            self._keep(Record(self._record.number, state=State.ROLLED_BACK, reason=reason))
            return self._own

    def _refuse(self, pushed: Pushed, reason: str) -> None:
        log.error("the pushed configuration is refused: %s", reason)
        self._keep(replace(self._record, number=pushed.number, state=State.REFUSED, reason=reason))
        self._sweep()

    def _load(self, sha256: str) -> EdgeConfig:
        file = self._held(sha256)
        if _digest(file) != sha256:
            raise InvalidConfigError([f"{file} is not the file that was pushed."])
        config = load(file, self._own.gateway, self._site.parent)
        self._check(config, str(file))
        if problems := trespasses(self._own, config):
            raise InvalidConfigError(problems)
        return config

    def _check(self, config: EdgeConfig, name: str) -> None:
        if config.site != self._own.site:
            raise InvalidConfigError(
                [f"{name}: it is of site '{config.site}', and this gateway of '{self._own.site}'."]
            )

    def _held(self, sha256: str) -> Path:
        return self._folder / f"{self._stem}.{sha256[:16]}.toml"

    def _sweep(self) -> None:
        """Delete files that nothing names any more."""
        record = self._record
        kept = {self._held(sha256) for sha256 in (record.pushed, record.trial.sha256 if record.trial else "") if sha256}
        for file in self._folder.glob(f"{self._stem}.{'[0-9a-f]' * 16}.toml"):
            if file not in kept:
                file.unlink(missing_ok=True)

    def _keep(self, record: Record) -> None:
        trial = None if record.trial is None else asdict(record.trial) | {"deadline": record.trial.deadline.isoformat()}
        write(self._path, json.dumps(asdict(record) | {"trial": trial}).encode(), PRIVATE)
        self._record = record


def _digest(path: Path) -> str:
    try:
        return digest(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _read(path: Path) -> Record:
    """Read the record; a damaged one counts as none, and the gateway goes by its own file."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(RECORD_BYTES_MAX))
        trial = said["trial"]
        if trial is not None:
            answering = tuple(str(code) for code in trial["answering"])
            trial = Trial(
                int(trial["number"]), str(trial["sha256"]), datetime.fromisoformat(trial["deadline"]), answering,
                int(trial["starts"]),
            )  # fmt: skip
        return Record(
            int(said["number"]),
            str(said["pushed"]),
            str(said["base"]),
            State(said["state"]),
            str(said["reason"]),
            trial,
        )
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s cannot be read; the gateway goes by its own site file", path)
        return Record()
