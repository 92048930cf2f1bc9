"""Ingest, sentence by sentence, into a hypertable."""

from tests.integration.test_ingest_commit import *  # noqa: F403
