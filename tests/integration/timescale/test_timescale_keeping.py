"""The care of stored readings, sentence by sentence, on a hypertable."""

from tests.integration.test_keeping import *  # noqa: F403
