"""What the JSON answers say, field by field: a new column of the hub appears here or nowhere."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Read from rows of the hub."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Health(Answer):
    """Whether the database answers."""

    status: Literal["ok"] = "ok"


class Alarm(Answer):
    """An active alarm."""

    id: UUID
    site_id: UUID
    device_id: UUID
    device: str
    device_name_zh: str
    device_name_en: str
    space: str
    point: str | None
    unit: str | None
    rule: str
    rule_version: int
    priority: Literal["critical", "high", "medium", "low"]
    name_zh: str
    name_en: str
    value: float | None
    threshold: float | None
    condition_began_at: datetime
    raised_at: datetime
    cleared_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    comment: str


class Failure(Answer):
    """Why there is no other answer: a sentence, and a reference for a bug."""

    error: str
    reference: str = ""
