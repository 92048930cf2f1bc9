"""Flows as the text that people write and read: one flow with one version, every problem with its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode
from yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
)

from rules.flow.definition import Flow
from rules.model.definition import sentence
from rules.model.part import Code

CHARACTERS_MAX = 40_000
DEPTH_MAX = 12

_OPENING = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)
_ONE = TypeAdapter(dict[Code, Flow])


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a text; ``line`` counts from 1."""

    line: int
    said: str


class InvalidFlowTextError(ValueError):
    """The text is no flow; ``problems`` holds every reason that was found, in the order of lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(f"Line {one.line}: {one.said}" for one in problems))
        self.problems = tuple(sorted(problems, key=lambda one: one.line))


def read(text: str) -> tuple[str, Flow]:
    """Give the kind of subject and the flow, which has just one version; raises InvalidFlowTextError."""
    if len(text) > CHARACTERS_MAX:
        raise _one(1, f"The text is longer than {CHARACTERS_MAX} characters; shorten it.")
    try:
        _refuse_tricks(text)
        root = yaml.compose(text, yaml.BaseLoader)
        _refuse_twins(root)
        data = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes nothing but text, lists and mappings
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _one(mark.line + 1 if mark else 1, "This is not YAML; check indentation, colons and quotes.") from None
    if not isinstance(data, dict) or len(data) != 1:
        raise _one(1, "Begin with the kind of subject and a colon; what belongs to it stands below, indented.")
    try:
        kind, flow = next(iter(_ONE.validate_python(data).items()))
    except ValidationError as error:
        raise InvalidFlowTextError(_problems(root, [dict(one) for one in error.errors()])) from None
    if len(flow.versions) != 1:
        raise _one(1, "Write just one version; those that were in force stay as they are.")
    return kind, flow


def write(kind: str, flow: Flow) -> str:
    """Give the text of a flow, which ``read`` takes back."""
    data = flow.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump({kind: data}, allow_unicode=True, sort_keys=False, width=120)


def _one(line: int, said: str) -> InvalidFlowTextError:
    return InvalidFlowTextError([Problem(line, said)])


def _refuse_tricks(text: str) -> None:
    """Refuse what makes a short text huge, or deeper than anybody writes."""
    depth = 0
    for token in yaml.scan(text, yaml.BaseLoader):
        depth += isinstance(token, _OPENING)
        depth -= isinstance(token, _CLOSING)
        if isinstance(token, AliasToken | AnchorToken):
            raise _one(token.start_mark.line + 1, "Write it out; '&' and '*' are not used here.")
        if depth > DEPTH_MAX:
            raise _one(token.start_mark.line + 1, "This is nested too deeply for a flow.")


def _refuse_twins(node: Node | None) -> None:
    """Refuse a key that stands twice in one place: YAML would silently take the last."""
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, held in node.value:
            if str(key.value) in seen:
                raise _one(key.start_mark.line + 1, f"'{key.value}' stands twice here; keep one.")
            seen.add(str(key.value))
            _refuse_twins(held)
    elif isinstance(node, SequenceNode):
        for held in node.value:
            _refuse_twins(held)


def _problems(root: Node | None, errors: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Give each error with its line; a list that is only empty because its entries are wrong is not worth a word."""
    places = [tuple(error["loc"]) for error in errors]
    found = []
    for error, place in zip(errors, places, strict=True):
        inner = any(len(other) > len(place) and other[: len(place)] == place for other in places)
        if inner and error["type"] == "too_short":
            continue
        named = max((step for step, name in enumerate(place) if isinstance(name, str)), default=0)
        found.append(Problem(_line(root, place), sentence({**error, "loc": place[named:]}, str(place[0]))))
    return found


def _line(root: Node | None, path: Sequence[int | str]) -> int:
    """Give the line of what ``path`` names, or of the nearest thing around it."""
    line, node = (root.start_mark.line + 1 if root else 1), root
    for name in path:
        if isinstance(node, SequenceNode) and isinstance(name, int) and name < len(node.value):
            node = node.value[name]
        elif isinstance(node, MappingNode):
            found = next(((key, held) for key, held in node.value if str(key.value) == str(name)), None)
            if found is None:
                continue  # a branch of a union, or what is missing
            line, node = found[0].start_mark.line + 1, found[1]
            continue
        else:
            continue
        line = node.start_mark.line + 1
    return line
