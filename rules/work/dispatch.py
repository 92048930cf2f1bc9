"""Who goes: the technician with the skill, in charge of the building, with the least open work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rules.work.skill import named


@dataclass(frozen=True, slots=True)
class Candidate:
    """A technician; ``zones`` are codes of buildings, ``load`` is the number of his open work orders."""

    login: str
    skills: frozenset[str]
    zones: frozenset[str]
    load: int
    name: str = ""  # as people call him; the login where none is known


@dataclass(frozen=True, slots=True)
class Choice:
    """Who goes (None: nobody can) and why, in a sentence of each language of the screens."""

    login: str | None
    why_zh: str
    why_en: str


def choose(candidates: Sequence[Candidate], skill: str, zone: str, without: Collection[str] = ()) -> Choice:
    """Pick a technician with ``skill`` for building ``zone``, not one of ``without``.

    The lowest load wins; on equal load the login that sorts first, so that the same question always has
    the same answer.
    """
    skill_zh, skill_en = named(skill)
    skilled = [c for c in candidates if skill in c.skills]
    near = [c for c in skilled if zone in c.zones]
    free = [c for c in near if c.login not in without]
    if not skilled:
        return _nobody(f"没有技工具备技能“{skill_zh}”", f"no technician has the skill '{skill_en}'")
    if not near:
        return _nobody(
            f"{len(skilled)} 名具备“{skill_zh}”技能的技工都不负责“{zone}”楼",
            f"none of the {len(skilled)} with the skill '{skill_en}' serves building '{zone}'",
        )
    if not free:
        return _nobody(
            f"负责“{zone}”楼且具备“{skill_zh}”技能的技工都已退回此单",
            f"everyone with the skill '{skill_en}' for building '{zone}' has given it back",
        )
    best = min(free, key=lambda c: (c.load, c.login))
    return Choice(
        best.login,
        f"{best.name or best.login} 具备“{skill_zh}”技能并负责“{zone}”楼，在办 {best.load} 单，{len(free)} 人中最少。",
        f"{best.name or best.login} has the skill '{skill_en}', serves building '{zone}' and has the least open work "
        f"({best.load}) of {len(free)}.",
    )


def _nobody(why_zh: str, why_en: str) -> Choice:
    return Choice(None, f"未派单：{why_zh}；请人工指派。", f"Unassigned: {why_en}; assign it by hand.")
