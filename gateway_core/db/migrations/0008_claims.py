"""Which process answers a request with an idempotency key: when it dies, the key is free again."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """A column; what was claimed before has none."""

    dependencies = [("core", "0007_alerts")]

    operations = [
        ops.AddField("IdempotentAnswer", "instance_id", fields.CharField(null=True, max_length=40)),
    ]
