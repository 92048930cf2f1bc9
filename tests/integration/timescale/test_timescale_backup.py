"""A backup of a hypertable is restored into a plain server, sentence by sentence."""

from tests.integration.test_backup import *  # noqa: F403
