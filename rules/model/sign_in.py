"""Who needs a second factor: dated policy, by role."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from rules.model.definition import Definition, check

REASON_CHARACTERS_MIN = 20


class Demand(Definition):
    """What holds from a day on: everybody needs a second factor but the roles in ``exempt``, which gives reasons."""

    valid_from: date
    exempt: Mapping[str, Annotated[str, Field(min_length=REASON_CHARACTERS_MIN)]] = {}


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """The policy over time; without any demand a second factor is offered to everybody and needed by nobody."""

    demands: tuple[Demand, ...]

    def needed(self, roles: Collection[str], on: date) -> bool:
        """Whether somebody who holds these roles needs one on that day: one role that is not exempt is enough."""
        begun = [demand for demand in self.demands if demand.valid_from <= on]
        if not begun:
            return False
        exempt = max(begun, key=lambda demand: demand.valid_from).exempt
        return not roles or any(role not in exempt for role in roles)


OFFERED = SecondFactor(())


def parse(data: Any) -> SecondFactor:
    """Check decoded YAML; raises InvalidDefinitionError with every problem."""
    return SecondFactor(check(TypeAdapter(tuple[Demand, ...]), data, "sign_in"))
