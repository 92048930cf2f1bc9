"""Forms that are read whole: what a form does not ask for is refused, so nobody sets what is not his to set."""

from typing import Annotated

from fastapi import Depends, Form
from pydantic import BaseModel, ConfigDict


class Sent(BaseModel):
    """A form; every one carries the form secret, which ``Needs`` has looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    csrf: str = ""


async def _alone(sent: Annotated[Sent, Form()]) -> None:
    """Take a form that says nothing but its secret."""


ALONE = [Depends(_alone)]
