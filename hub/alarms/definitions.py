"""The rule book of this hub: the shipped rules and the rule files of its sites."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rules.detect.book import RuleBook, merge
from rules.detect.rule import InvalidRulesError, Rule, parse

SHIPPED = "definitions/alarms.yaml"


def load(site_files: Sequence[Path] = ()) -> RuleBook:
    """Read the shipped rules and then ``site_files``, each of which replaces the rules that it names.

    Raises InvalidRulesError with the file and a sentence for every problem.
    """
    shipped = parse(files("rules").joinpath(SHIPPED).read_text("utf-8"))
    return merge(shipped, *(_read(path) for path in site_files))


def _read(path: Path) -> tuple[Rule, ...]:
    try:
        return parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InvalidRulesError([f"{path}: the rule file cannot be read; check path and permissions."]) from None
    except InvalidRulesError as error:
        raise InvalidRulesError([f"{path}: {problem}" for problem in error.problems]) from None
