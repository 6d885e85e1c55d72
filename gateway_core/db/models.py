"""Every table of the product. Money is BIGINT nanos, times are BIGINT ms since 1970, ids are ULIDs.

No foreign keys in SQL: the ledger writes its rows in batches, each whole in one transaction, and
`ledger verify` proves them.
"""
# ruff: noqa: D106  # a Meta is the table's name and what the database itself must check

from typing import Final

from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint
from tortoise.models import Model

ID: Final = 40  # characters: a ULID has 26, `G-` before it 28, `:test` behind it 31
NAME: Final = 200


class Team(Model):
    """Who pays."""

    id = fields.CharField(max_length=ID, primary_key=True)
    name = fields.CharField(max_length=NAME, unique=True)
    created_at = fields.BigIntField()

    class Meta:
        table = "teams"


class Wallet(Model):
    """The credit of a team. `balance` is the sum of its entries, of which `leased` and `held` are set aside.

    `sequence` and `head` are the number and the hash of its last ledger transaction.
    """

    id = fields.CharField(max_length=ID, primary_key=True)
    team_id = fields.CharField(max_length=ID)
    kind = fields.CharField(max_length=8)  # live | test
    currency = fields.CharField(max_length=8, default="USD")
    balance = fields.BigIntField(default=0)
    leased = fields.BigIntField(default=0)
    held = fields.BigIntField(default=0)
    sequence = fields.BigIntField(default=0)
    head = fields.CharField(max_length=64, default="")
    created_at = fields.BigIntField()

    class Meta:
        table = "wallets"
        constraints = (
            CheckConstraint(
                check="leased >= 0 AND held >= 0 AND balance >= leased + held", name="wallets_covered"
            ),
        )


class Key(Model):
    """An API key, without its secret (contract 2.4). A limit of 0 is no limit."""

    id = fields.CharField(max_length=ID, primary_key=True)
    team_id = fields.CharField(max_length=ID, db_index=True)
    name = fields.CharField(max_length=NAME)
    mode = fields.CharField(max_length=16)  # live | test | management
    kid = fields.CharField(max_length=64, unique=True)
    hash = fields.CharField(max_length=64, unique=True)
    prefix = fields.CharField(max_length=16)
    status = fields.CharField(max_length=16, default="active")  # active | disabled | revoked
    scopes = fields.TextField(default="[]")  # a JSON list
    created_by = fields.CharField(max_length=NAME, null=True)
    created_at = fields.BigIntField()
    updated_at = fields.BigIntField()
    last_used_at = fields.BigIntField(null=True)
    expires_at = fields.BigIntField(null=True)
    soft_blocked = fields.BooleanField(default=False)
    daily_limit_requests = fields.BigIntField(default=0)
    weekly_limit_requests = fields.BigIntField(default=0)
    monthly_limit_requests = fields.BigIntField(default=0)
    daily_limit_cost_nanos = fields.BigIntField(default=0)
    weekly_limit_cost_nanos = fields.BigIntField(default=0)
    monthly_limit_cost_nanos = fields.BigIntField(default=0)
    revision = fields.BigIntField(default=1)  # + 1 with every change of the key

    class Meta:
        table = "keys"


class Revision(Model):
    """A counter that goes up when anything of its kind changes, so that other processes notice."""

    name = fields.CharField(max_length=ID, primary_key=True)
    value = fields.BigIntField(default=0)

    class Meta:
        table = "revisions"


class Instance(Model):
    """One gateway process. It is dead when its heartbeat is old, or its process is gone from its own host."""

    id = fields.CharField(max_length=ID, primary_key=True)
    epoch = fields.BigIntField(default=1)  # + 1 when it comes back after others had declared it dead
    host = fields.CharField(max_length=NAME)
    pid = fields.BigIntField()
    process_started = fields.BigIntField()  # clock ticks after boot: tells a reused pid
    started_at = fields.BigIntField()
    heartbeat_at = fields.BigIntField()
    ended_at = fields.BigIntField(null=True)

    class Meta:
        table = "instances"


class Lease(Model):
    """A slice of a wallet that one instance may spend without asking. Settlements take charges out of it."""

    id = fields.CharField(max_length=ID, primary_key=True)
    wallet_id = fields.CharField(max_length=ID)
    instance_id = fields.CharField(max_length=ID)
    epoch = fields.BigIntField()
    amount = fields.BigIntField()
    recalled_at = fields.BigIntField(null=True)  # another instance asks for what is not in use
    created_at = fields.BigIntField()

    class Meta:
        table = "leases"
        indexes = (
            Index(fields=("wallet_id",), name="leases_wallet"),
            Index(fields=("instance_id",), name="leases_instance"),
        )
        constraints = (CheckConstraint(check="amount >= 0", name="leases_positive"),)


class DurableHold(Model):
    """Credit set aside in the database itself: that of a job, which outlives the instance that made it."""

    id = fields.CharField(max_length=ID, primary_key=True)
    wallet_id = fields.CharField(max_length=ID)
    instance_id = fields.CharField(max_length=ID, null=True)
    job_id = fields.CharField(max_length=ID, null=True)
    generation_id = fields.CharField(max_length=ID, null=True)
    amount = fields.BigIntField()
    created_at = fields.BigIntField()

    class Meta:
        table = "holds"
        indexes = (Index(fields=("wallet_id",), name="holds_wallet"),)
        constraints = (CheckConstraint(check="amount >= 0", name="holds_positive"),)


class LedgerTransaction(Model):
    """Entries that sum to zero. Never updated: a correction is another one, which names it in `corrects`.

    The charge of a generation has its id. `hash` covers the one before it in its wallet (db/chain.py).
    """

    id = fields.CharField(max_length=ID, primary_key=True)
    kind = fields.CharField(max_length=16)  # charge | top_up | refund | adjustment
    wallet_id = fields.CharField(max_length=ID, null=True)
    sequence = fields.BigIntField(null=True)
    hash = fields.CharField(max_length=64, null=True)
    generation_id = fields.CharField(max_length=ID, null=True)
    corrects = fields.CharField(max_length=ID, null=True)
    created_at = fields.BigIntField()

    class Meta:
        table = "ledger_transactions"
        unique_together = (("wallet_id", "sequence"),)


class LedgerEntry(Model):
    """One account in a transaction: wallet:<id>, revenue, cost_of_sales, loss, top_up:<source> ..."""

    id = fields.BigIntField(primary_key=True)
    transaction_id = fields.CharField(max_length=ID, db_index=True)
    account = fields.CharField(max_length=NAME)
    amount = fields.BigIntField()

    class Meta:
        table = "ledger_entries"


class Correction(Model):
    """Why a refund or an adjustment was made: the id is that of its transaction, made of all this.

    A reference is used once in a wallet: to ask again for the same changes nothing. `amount` is what the
    wallet got, below zero where it lost.
    """

    id = fields.CharField(max_length=ID, primary_key=True)
    kind = fields.CharField(max_length=16)  # refund | adjustment
    wallet_id = fields.CharField(max_length=ID)
    reference = fields.CharField(max_length=NAME)
    generation_id = fields.CharField(max_length=ID, null=True)
    amount = fields.BigIntField()
    reason = fields.TextField()
    created_at = fields.BigIntField()

    class Meta:
        table = "corrections"
        unique_together = (("wallet_id", "reference"),)
        indexes = (Index(fields=("generation_id",), name="corrections_generation"),)


class Settlement(Model):
    """How a generation ended, once. `charge` left the wallet; `price` takes no notice of the hold."""

    generation_id = fields.CharField(max_length=ID, primary_key=True)
    outcome = fields.CharField(max_length=16)  # charged | released | abandoned
    wallet_id = fields.CharField(max_length=ID, null=True)
    instance_id = fields.CharField(max_length=ID)
    hold = fields.BigIntField()
    charge = fields.BigIntField()
    price = fields.BigIntField()
    lost = fields.BigIntField()
    transaction_id = fields.CharField(max_length=ID, null=True)
    upstream_finished_at = fields.BigIntField(null=True)
    settled_at = fields.BigIntField()
    delivered_at = fields.BigIntField(null=True)  # null: not known

    class Meta:
        table = "settlements"


class Generation(Model):
    """The record of a request (contract 4.4). `state`: begun, then finished or, after a crash, abandoned."""

    id = fields.CharField(max_length=ID, primary_key=True)
    state = fields.CharField(max_length=16)
    instance_id = fields.CharField(max_length=ID)
    created_at = fields.BigIntField()
    team_id = fields.CharField(max_length=ID)
    key_id = fields.CharField(max_length=NAME)  # "kid_" and the kid
    app_title = fields.TextField(null=True)
    app_referer = fields.TextField(null=True)
    endpoint = fields.CharField(max_length=NAME)
    operation = fields.CharField(max_length=NAME)
    protocol = fields.CharField(max_length=NAME)
    model_id = fields.TextField()
    provider = fields.CharField(max_length=NAME, null=True)
    upstream_model = fields.TextField(null=True)
    native_response_id = fields.TextField(null=True)
    stream = fields.BooleanField()
    byok = fields.BooleanField()
    status_code = fields.BigIntField(null=True)
    success = fields.BooleanField(null=True)
    error_code = fields.TextField(null=True)
    error_message = fields.TextField(null=True)
    finish_reason = fields.TextField(null=True)
    latency_ms = fields.BigIntField(null=True)
    generation_ms = fields.BigIntField(null=True)
    usage = fields.TextField()  # JSON
    cost_nanos = fields.BigIntField()
    currency = fields.CharField(max_length=8)
    pricing_lines = fields.TextField()  # JSON
    card_id = fields.CharField(max_length=ID, null=True)
    estimated = fields.BooleanField()
    unpriced = fields.TextField()  # a JSON list of meters
    fidelity = fields.TextField(null=True)
    suppressed = fields.CharField(max_length=NAME, null=True)
    hold_nanos = fields.BigIntField()
    terms = fields.TextField(null=True)  # JSON: what else the price depended on; null: on nothing

    class Meta:
        table = "generations"


class TeamLimit(Model):
    """What all keys of a team may use together; as those of a key, a limit of 0 is no limit."""

    team_id = fields.CharField(max_length=ID, primary_key=True)
    daily_limit_requests = fields.BigIntField(default=0)
    weekly_limit_requests = fields.BigIntField(default=0)
    monthly_limit_requests = fields.BigIntField(default=0)
    daily_limit_cost_nanos = fields.BigIntField(default=0)
    weekly_limit_cost_nanos = fields.BigIntField(default=0)
    monthly_limit_cost_nanos = fields.BigIntField(default=0)
    updated_at = fields.BigIntField()

    class Meta:
        table = "team_limits"


class LimitCounter(Model):
    """What a limited key or team has used: the start of each window, and the sums since then.

    `subject` is key:<kid> or team:<id>. At `recount_at` the sums are taken from the generations.
    """

    subject = fields.CharField(max_length=ID + 40, primary_key=True)
    day = fields.BigIntField()
    day_requests = fields.BigIntField()
    day_cost = fields.BigIntField()
    week = fields.BigIntField()
    week_requests = fields.BigIntField()
    week_cost = fields.BigIntField()
    month = fields.BigIntField()
    month_requests = fields.BigIntField()
    month_cost = fields.BigIntField()
    recount_at = fields.BigIntField(null=True)

    class Meta:
        table = "limit_counters"


class LimitReservation(Model):
    """What a request that runs may add to one counter. `released`: given up, unless its record comes yet."""

    id = fields.CharField(max_length=ID + 8, primary_key=True)  # <generation>/<key or team>
    generation_id = fields.CharField(max_length=ID)
    subject = fields.CharField(max_length=ID + 40)
    instance_id = fields.CharField(max_length=ID)
    at = fields.BigIntField()
    cost = fields.BigIntField()
    released = fields.BooleanField()

    class Meta:
        table = "limit_reservations"
        indexes = (
            Index(fields=("generation_id",), name="limit_reservations_generation"),
            Index(fields=("subject",), name="limit_reservations_subject"),
        )


class LimitAlert(Model):
    """An alert: the limit, its window and the percentage are its id. `due_at`: it has to be told then."""

    id = fields.CharField(max_length=NAME, primary_key=True)
    told_at = fields.BigIntField()  # 0: nobody has heard it yet
    alert = fields.TextField(null=True)  # JSON
    due_at = fields.BigIntField(null=True)
    tries = fields.BigIntField(null=True)

    class Meta:
        table = "limit_alerts"
        indexes = (Index(fields=("due_at",), name="limit_alerts_due"),)


class Attempt(Model):
    """One upstream call of a generation, and what it cost us."""

    id = fields.CharField(max_length=ID + 8, primary_key=True)  # <generation>.<number>
    generation_id = fields.CharField(max_length=ID)
    number = fields.BigIntField()
    provider = fields.CharField(max_length=NAME)
    upstream_model = fields.TextField()
    status = fields.BigIntField(null=True)
    error_code = fields.TextField(null=True)
    started_at = fields.BigIntField()
    latency_ms = fields.BigIntField(null=True)
    native_id = fields.TextField(null=True)
    cost_nanos = fields.BigIntField()
    usage = fields.TextField(null=True)  # JSON

    class Meta:
        table = "attempts"


class PriceCard(Model):
    """A price card as it was when something was charged by it: the id is a hash of the content."""

    id = fields.CharField(max_length=ID, primary_key=True)
    card = fields.TextField()  # JSON
    created_at = fields.BigIntField()

    class Meta:
        table = "price_cards"


class Recovery(Model):
    """What was released for an instance that died: its leases, the time it lived, what it left unfinished."""

    id = fields.CharField(max_length=ID, primary_key=True)
    kind = fields.CharField(max_length=32)  # lease_recovered
    instance_id = fields.CharField(max_length=ID)
    epoch = fields.BigIntField()
    since = fields.BigIntField()
    until = fields.BigIntField()
    amount = fields.BigIntField()
    abandoned = fields.BigIntField()  # generations
    details = fields.TextField()  # JSON: wallet id -> nanos
    created_at = fields.BigIntField()

    class Meta:
        table = "recoveries"


class IdempotentAnswer(Model):
    """The answer to a request with an idempotency key, for a day. `state`: begun, kept or too_large."""

    id = fields.CharField(max_length=128, primary_key=True)  # the team and a hash of its key
    digest = fields.CharField(max_length=64)  # of the route and the body
    generation_id = fields.CharField(max_length=ID)
    state = fields.CharField(max_length=16)
    content_type = fields.CharField(max_length=NAME, null=True)
    body = fields.BinaryField(null=True)
    created_at = fields.BigIntField()
    instance_id = fields.CharField(max_length=ID, null=True)  # which process answers it

    class Meta:
        table = "idempotent_answers"
        indexes = (Index(fields=("created_at",), name="idempotent_answers_age"),)
