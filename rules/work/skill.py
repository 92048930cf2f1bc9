"""Skills that a job asks for, by code, with the words of the screens."""

SKILLS = {
    "electrical": ("强电", "electrical"),
    "hvac": ("暖通", "HVAC"),
    "plumbing": ("给排水", "plumbing"),
}


def named(code: str) -> tuple[str, str]:
    """Give the Chinese and the English word; a code that a site made up stands for itself."""
    return SKILLS.get(code, (code, code))
