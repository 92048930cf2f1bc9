"""Who holds which role where, and who stands in for whom."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from rules.flow.definition import OUTWARD, Facts, Level


@dataclass(frozen=True, slots=True)
class Holding:
    """A role held at a level; ``place`` is the identity of the site or building, None further out."""

    role: str
    level: Level
    place: str | None = None

    def covers(self, facts: Facts) -> bool:
        """Whether the subject lies where the role is held."""
        if self.level is Level.BUILDING:
            return self.place is not None and self.place == facts.building
        if self.level is Level.SITE:
            return self.place is not None and self.place == facts.site
        return True


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be asked, by login."""

    login: str
    holdings: frozenset[Holding]


@dataclass(frozen=True, slots=True)
class Deputation:
    """``deputy`` decides on behalf of ``principal`` from ``start`` (included) to ``end`` (excluded), both UTC.

    It is not passed on: a deputy's deputy stands in for nobody but the deputy.
    """

    principal: str
    deputy: str
    start: datetime
    end: datetime

    def holds(self, at: datetime) -> bool:
        """Whether it is in force."""
        return self.start <= at < self.end


@dataclass(frozen=True)
class Roster:
    """Everybody who can be asked now, and all deputations."""

    people: tuple[Person, ...]
    deputations: tuple[Deputation, ...] = ()

    @cached_property
    def _held(self) -> Mapping[tuple[str, Level], Sequence[tuple[Holding, str]]]:
        """Give who holds a role at a level; a thousand requests ask for it."""
        found: dict[tuple[str, Level], list[tuple[Holding, str]]] = defaultdict(list)
        for person in self.people:
            for held in person.holdings:
                found[held.role, held.level].append((held, person.login))
        return found

    @cached_property
    def logins(self) -> frozenset[str]:
        """Everybody who can be asked at all."""
        return frozenset(person.login for person in self.people)

    def holders(self, roles: Collection[str], level: Level, facts: Facts) -> frozenset[str]:
        """Give who holds one of ``roles`` at just this level, where the subject lies."""
        return frozenset(
            login for role in roles for held, login in self._held.get((role, level), ()) if held.covers(facts)
        )

    def outward(self, roles: Collection[str], where: Level, facts: Facts) -> list[frozenset[str]]:
        """Give who holds one of ``roles`` at ``where``, then at each level further out."""
        return [self.holders(roles, level, facts) for level in OUTWARD[OUTWARD.index(where) :]]
