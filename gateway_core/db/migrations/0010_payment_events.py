"""Which events of payment services are done with, so that one told again is known by any process."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """A table."""

    dependencies = [("core", "0009_provider_keys")]

    operations = [
        ops.CreateModel(
            name="PaymentEvent",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=64)),
                ("done_at", fields.BigIntField()),
            ],
            options={"table": "payment_events"},
            bases=["Model"],
        ),
        ops.AddIndex("PaymentEvent", Index(fields=("done_at",), name="payment_events_age")),
    ]
