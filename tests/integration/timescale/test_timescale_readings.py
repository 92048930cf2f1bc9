"""Readings, rollups and charts, sentence by sentence, out of a hypertable."""

from tests.integration.test_readings import *  # noqa: F403
