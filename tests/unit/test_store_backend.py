"""Which back end the store has, by what the server says of itself, and what the doctor says about it."""

import pytest
from psycopg.errors import InternalError_, UndefinedFile, UniqueViolation

from deploy import doctor_servers
from hub.store.backend import Facts, Kind, broken, judge

HERE = {"loaded": True, "installed": "2.19.3", "available": "2.19.3"}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (Facts(hypertable=False), "plain"),
        (Facts(), "plain"),  # nothing migrated yet
        (Facts(licence="apache", hypertable=True, **HERE), "timescaledb apache (2.19.3)"),
        (Facts(licence="timescale", hypertable=True, **HERE), "timescaledb tsl (2.19.3)"),
        (Facts(citus="13.0-1", hypertable=False), "citus (13.0-1)"),
    ],
)
def test_a_back_end_is_named_by_what_the_server_has(facts: Facts, name: str) -> None:
    check = doctor_servers.store(judge(facts))
    assert (check.ok, check.found) == (True, name)


@pytest.mark.parametrize(
    ("facts", "what_to_do"),
    [
        (Facts(available="2.19.3", hypertable=False), "shared_preload_libraries = 'timescaledb'"),
        (Facts(loaded=True, available="2.19.3", hypertable=False), "'plantroom store convert'"),
        (Facts(loaded=True, available="2.19.3", hypertable=False, may_create=False), "CREATE EXTENSION timescaledb"),
        (Facts(licence="apache", hypertable=False, **HERE), "holds no readings: 'plantroom store convert'"),
    ],
)
def test_a_plain_store_says_how_it_could_have_a_hypertable(facts: Facts, what_to_do: str) -> None:
    found = judge(facts)
    assert (found.kind, found.usable) == (Kind.PLAIN, True)
    assert what_to_do in doctor_servers.store(found).sentence()


@pytest.mark.parametrize(
    ("facts", "compressed", "what_to_do"),
    [
        (Facts(installed="2.19.3", hypertable=True), 0, "shared_preload_libraries = 'timescaledb'"),
        (Facts(licence="apache", loaded=True, installed="2.9.0", hypertable=True), 0, "ALTER EXTENSION timescaledb"),
        (Facts(licence="apache", hypertable=True, **HERE), 7, "7 weeks of readings are compressed"),
    ],
)
def test_a_store_that_cannot_be_used_is_missing_to_the_doctor(facts: Facts, compressed: int, what_to_do: str) -> None:
    check = doctor_servers.store(judge(facts, compressed))
    assert not check.ok
    assert what_to_do in check.sentence()


def test_errors_of_the_extension_are_known_and_others_are_not() -> None:
    gone = broken(UndefinedFile('could not access file "$libdir/timescaledb-2.10.1": No such file or directory'))
    unloaded = broken(InternalError_('extension "timescaledb" must be preloaded'))
    assert gone is not None
    assert "no longer installed" in gone.problem
    assert unloaded is not None
    assert "shared_preload_libraries" in unloaded.advice
    assert broken(UniqueViolation("duplicate key")) is None
    assert broken(UndefinedFile('could not access file "other"')) is None
