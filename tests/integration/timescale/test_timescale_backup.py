"""A backup of a hypertable comes back into a plain server."""

from tests.integration.test_backup import (  # noqa: F401
    full,
    place,
    run,
    second,
    test_everything_comes_back_into_another_server,
)
