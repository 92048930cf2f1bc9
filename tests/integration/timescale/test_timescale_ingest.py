"""Ingest, sentence by sentence, into a hypertable."""

from tests.integration.test_ingest_commit import *  # noqa: F403

del test_two_hundred_thousand_historical_readings_go_in_fast  # noqa: F821  speed is looked at once
