"""What every part of a site file shares: frozen, unknown keys refused, codes and names of one form."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]


class Part(BaseModel):
    """A table of the site file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(Part):
    """A table with a code and a name in both languages."""

    code: Code
    name_zh: Name
    name_en: Name
