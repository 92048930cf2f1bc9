"""What a browser calls itself, as a person would: "Chrome 131 · Linux"."""

import re

# The first that it names: most browsers name those before them as well.
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Version": "Safari"}
SYSTEMS = {
    "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Macintosh": "macOS",
    "Linux": "Linux",
}  # fmt: skip


def browser(user_agent: str) -> str:
    """Give name, version and system of a browser; what it says itself where it is none of the known ones."""
    for short, name in BROWSERS.items():
        if found := re.search(rf"{short}/(\d+)", user_agent):
            system = next((known for word, known in SYSTEMS.items() if word in user_agent), "")
            return f"{name} {found[1]}" + (f" · {system}" if system else "")
    return user_agent
