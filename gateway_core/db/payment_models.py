"""The table of what payment services told (models.py has the others)."""
# ruff: noqa: D106  # a Meta is the table's name

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model


class PaymentEvent(Model):
    """An event that is done with: all that it told of is in the books."""

    id = fields.CharField(max_length=64, primary_key=True)  # a hash of the source and the event's id
    done_at = fields.BigIntField()

    class Meta:
        table = "payment_events"
        indexes = (Index(fields=("done_at",), name="payment_events_age"),)
