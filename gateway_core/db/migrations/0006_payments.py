"""A payment from outside is booked once, whichever wallet it is for; what corrects a transaction is found."""

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Two indexes that cost charges nothing."""

    dependencies = [("core", "0004_corrections"), ("core", "0005_limits")]

    operations = [
        ops.RunSQL(
            "CREATE UNIQUE INDEX corrections_payment ON corrections (reference)"
            " WHERE kind IN ('top_up', 'reversal', 'reinstatement')",
            reverse_sql="DROP INDEX corrections_payment",
        ),
        ops.RunSQL(
            "CREATE INDEX ledger_corrects ON ledger_transactions (corrects) WHERE corrects IS NOT NULL",
            reverse_sql="DROP INDEX ledger_corrects",
        ),
    ]
