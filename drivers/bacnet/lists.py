"""How one device likes to be asked: lists as long as its answers fit, shorter ones, or one property at a time."""

from collections.abc import Callable, Sequence

from bacpypes3.pdu import Address

from drivers.bacnet.answer import NoError, Said, Wanted
from drivers.bacnet.stack import Stack
from drivers.errors import MalformedError

RPM_RETRY_S = 600.0  # a device that refused ReadPropertyMultiple is asked again now and then


class Lists:
    """Asks objects of one device in ReadPropertyMultiple (ASHRAE 135, clause 15.7); learns how many it takes."""

    def __init__(self, stack: Stack, most: int, monotonic_s: Callable[[], float]) -> None:
        """At most ``most`` objects go into one list, 1 asks singly; ``monotonic_s`` tells when it is tried again."""
        self._stack = stack
        self._most = most
        self._monotonic_s = monotonic_s
        self.forget()

    def forget(self) -> None:
        """Learn anew."""
        self._limit = self._most
        self._lists_from_s = 0.0

    @property
    def size(self) -> int:
        """How many objects go into the next question."""
        return self._limit if self._most > 1 and self._monotonic_s() >= self._lists_from_s else 1

    @property
    def single(self) -> bool:
        """Whether properties are asked one by one."""
        return self._most == 1 or self._monotonic_s() < self._lists_from_s

    async def ask(self, to: Address, groups: Sequence[tuple[Wanted, ...]]) -> list[list[Said]]:
        """Give what the device says of each group's properties (of one object each), in order.

        What it does not say has its reason; raises UnreachableError when it does not answer at all.
        """
        said: list[list[Said]] = []
        while len(said) < len(groups):
            said += await self.part(to, groups[len(said) : len(said) + self.size])
        return said

    async def part(self, to: Address, groups: Sequence[tuple[Wanted, ...]]) -> list[list[Said]]:
        """Give what ``ask`` gives, of at most ``size`` groups: one list, or shorter ones where it does not fit."""
        if not self.single:
            try:
                return await self._stack.read_many(to, groups)
            except NoError as error:
                if error.too_long and len(groups) > 1:
                    self._limit = (len(groups) + 1) // 2
                    return await self.ask(to, groups)
                if error.unknown_service:
                    self._lists_from_s = self._monotonic_s() + RPM_RETRY_S
            except MalformedError:
                pass  # one property that cannot be read spoils a list, not the others
        return [await self._ask_singly(to, group) for group in groups]

    async def _ask_singly(self, to: Address, group: tuple[Wanted, ...]) -> list[Said]:
        """Ask the properties of one object; without the first the others are not wanted."""
        said: list[Said] = []
        for wanted in group:
            try:
                said.append(await self._stack.read(to, wanted))
            except (NoError, MalformedError) as error:
                said.append(Said(None, str(error)))
                if len(said) == 1:
                    return said * len(group)
        return said
