"""Whether every transaction that changed something left an entry in the record, told by triggers that only tests have.

Each row that the programs write under the roles of people (plantroom_app) and of the door notes its transaction and
table.  A transaction that is noted for a table of business without being noted for ``audit_entries`` acted unrecorded.
"""

from typing import Any

import psycopg

WATCH = """
CREATE UNLOGGED TABLE plantroom.written (
    transaction bigint, entry text, role text, PRIMARY KEY (transaction, entry, role)
);
CREATE FUNCTION plantroom.note_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = plantroom AS $$
BEGIN
    INSERT INTO plantroom.written
    VALUES (txid_current(), lower(TG_OP) || ' ' || TG_TABLE_NAME, current_setting('role')) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
          AND (has_any_column_privilege('plantroom_app', c.oid, 'INSERT, UPDATE')
               OR has_any_column_privilege('plantroom_door', c.oid, 'INSERT, UPDATE')
               OR has_table_privilege('plantroom_app', c.oid, 'DELETE')
               OR has_table_privilege('plantroom_door', c.oid, 'DELETE'))
    LOOP
        EXECUTE format('CREATE TRIGGER zz_written AFTER INSERT OR UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION plantroom.note_write()', target);
    END LOOP;
END
$$;
"""

UNRECORDED = """
SELECT w.transaction, array_agg(DISTINCT w.entry ORDER BY w.entry) FROM plantroom.written w
WHERE w.role IN ('plantroom_app', 'plantroom_door') AND NOT w.entry = ANY(%s)
  AND NOT EXISTS (SELECT FROM plantroom.written a
                  WHERE a.transaction = w.transaction AND a.entry = 'insert audit_entries')
GROUP BY 1 ORDER BY 1
"""


def watch(owner: str) -> None:
    """Put the triggers on a migrated database."""
    with psycopg.connect(owner) as connection:
        connection.execute(WATCH.encode())


def unrecorded(owner: str, harmless: frozenset[str] = frozenset()) -> list[tuple[Any, ...]]:
    """Give every transaction that changed something and left no entry, with what it did."""
    with psycopg.connect(owner) as connection:
        return connection.execute(UNRECORDED.encode(), [sorted(harmless)]).fetchall()
