"""Keys that teams bring for providers, and how many requests a month are made with them."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Two tables."""

    dependencies = [("core", "0008_claims")]

    operations = [
        ops.CreateModel(
            name="ProviderKey",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=241)),
                ("team_id", fields.CharField(db_index=True, max_length=40)),
                ("provider", fields.CharField(max_length=200)),
                ("sealed", fields.TextField()),
                ("hint", fields.CharField(max_length=8)),
                ("always_use", fields.BooleanField()),
                ("created_at", fields.BigIntField()),
            ],
            options={"table": "provider_keys"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ProviderKeyUse",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=48)),
                ("requests", fields.BigIntField()),
            ],
            options={"table": "provider_key_uses"},
            bases=["Model"],
        ),
    ]
