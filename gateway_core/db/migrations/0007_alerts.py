"""Alerts that wait to be told, until somebody has heard them."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """What stands there already was told."""

    dependencies = [("core", "0006_payments")]

    operations = [
        ops.AddField("LimitAlert", "alert", fields.TextField(null=True)),
        ops.AddField("LimitAlert", "due_at", fields.BigIntField(null=True)),
        ops.AddField("LimitAlert", "tries", fields.BigIntField(null=True)),
        ops.AddIndex("LimitAlert", Index(fields=("due_at",), name="limit_alerts_due")),
    ]
