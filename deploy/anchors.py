"""Where the anchors of the audit record are."""

from deploy.settings import Settings
from hub.audit.anchor import AnchorFile


def anchor_file(settings: Settings) -> AnchorFile:
    """Give the file, PLANTROOM_ANCHOR_FILE or one in the data directory, and its key, which stays in that directory."""
    path = settings.anchor_file or settings.data / "anchors" / "audit-anchors.jsonl"
    return AnchorFile(path.expanduser().absolute(), settings.data / "anchor-key")
