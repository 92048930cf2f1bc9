"""The database: pool, transactions in the name of an organisation, named SQL, migrations."""
