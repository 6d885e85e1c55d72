"""The database: models, migrations, and the two raw stores that the ledger writes through."""
