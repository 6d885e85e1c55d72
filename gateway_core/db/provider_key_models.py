"""The tables of the keys that teams bring for providers (models.py has the others)."""
# ruff: noqa: D106  # a Meta is the table's name

from tortoise import fields
from tortoise.models import Model

from gateway_core.db.models import ID, NAME


class ProviderKey(Model):
    """A key of a team's own for a provider, sealed (db/sealing.py). `hint` is its last characters."""

    id = fields.CharField(max_length=ID + NAME + 1, primary_key=True)  # the team and the provider
    team_id = fields.CharField(max_length=ID, db_index=True)
    provider = fields.CharField(max_length=NAME)
    sealed = fields.TextField()
    hint = fields.CharField(max_length=8)
    always_use = fields.BooleanField()
    created_at = fields.BigIntField()

    class Meta:
        table = "provider_keys"


class ProviderKeyUse(Model):
    """How many requests a team made with keys of its own in a month."""

    id = fields.CharField(max_length=ID + 8, primary_key=True)  # the team and the month, as <team>:2026-01
    requests = fields.BigIntField()

    class Meta:
        table = "provider_key_uses"
