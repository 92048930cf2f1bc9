"""Every named query prepares against a schema with a hypertable too."""

from tests.contract.test_queries import *  # noqa: F403
