"""The rule book: all alarm rules of a hub, in all their versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from rules.detect.rule import Rule, Stale


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Rules by which a hub judges."""

    rules: tuple[Rule, ...]

    def in_force(self, day: date) -> tuple[Rule, ...]:
        """Give, per code, the version in force on ``day``; a rule that only starts later is left out."""
        chosen: dict[str, Rule] = {}
        for rule in sorted(self.rules, key=lambda r: (r.valid_from, r.version)):
            if rule.valid_from <= day:
                chosen[rule.code] = rule
        return tuple(chosen.values())

    def about_values(self, day: date) -> tuple[Rule, ...]:
        """Give the rules in force that look at values."""
        return tuple(rule for rule in self.in_force(day) if not isinstance(rule.condition, Stale))

    def about_silence(self, day: date) -> tuple[Rule, ...]:
        """Give the rules in force that look for silent devices."""
        return tuple(rule for rule in self.in_force(day) if isinstance(rule.condition, Stale))

    def version(self, code: str, version: int) -> Rule | None:
        """Give one version of a rule, or its newest where that version is no longer in the book."""
        versions = sorted((r for r in self.rules if r.code == code), key=lambda r: r.version)
        same = [rule for rule in versions if rule.version == version]
        found = same or versions
        return found[-1] if found else None


def merge(*files: Sequence[Rule]) -> RuleBook:
    """Join rule files; a later file replaces every version of a rule that it names."""
    codes: dict[str, list[Rule]] = {}
    for rules in files:
        codes |= {code: [] for code in _codes(rules)}
        for rule in rules:
            codes[rule.code].append(rule)
    return RuleBook(tuple(rule for versions in codes.values() for rule in versions))


def _codes(rules: Iterable[Rule]) -> list[str]:
    return list(dict.fromkeys(rule.code for rule in rules))
