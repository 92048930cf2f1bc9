"""What a device said to one block read."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.modbus.blocks import Request, Span


@dataclass(frozen=True, slots=True)
class Raw:
    """What a device said for one span: its registers, or None and the reason."""

    span: Span
    words: tuple[int, ...] | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One word for every address of a request.

    What stands under the spans of ``failed``, by span with the reason, is no answer; nor is what stands in gaps.
    """

    request: Request
    words: tuple[int, ...]
    failed: Mapping[Span, str]

    def raw(self, span: Span) -> Raw:
        """Give what was said for one span of the request."""
        if span in self.failed:
            return Raw(span, None, self.failed[span])
        start = span.start - self.request.start
        return Raw(span, self.words[start : start + span.count])

    @property
    def raws(self) -> list[Raw]:
        """What was said, span by span."""
        return [self.raw(span) for span in self.request.spans]


def none(request: Request, reason: str) -> Answer:
    """Give an answer that has nothing."""
    return Answer(request, (0,) * request.count, dict.fromkeys(request.spans, reason))


def joined(request: Request, parts: list[Answer]) -> Answer:
    """Put the answers to the parts of a request together."""
    words = [0] * request.count
    failed: dict[Span, str] = {}
    for part in parts:
        start = part.request.start - request.start
        words[start : start + part.request.count] = part.words
        failed.update(part.failed)
    return Answer(request, tuple(words), failed)
