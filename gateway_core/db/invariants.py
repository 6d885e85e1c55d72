"""What must hold of the stored ledger, as queries: each gives the rows that cannot be true, the first first.

The first column is the row at fault; `{0}`, `{1}` ... in the message are the columns. What a query cannot
say (the chain, the lines of a record, the words of a correction) is in verify.py.
"""

from typing import Final, NamedTuple


class Query(NamedTuple):
    """`check` is the invariant of money.md, `table` that of the row at fault."""

    check: str
    table: str
    message: str
    sql: str


BOOKS: Final = (
    Query(
        "2 double entry", "ledger_transactions", "the entries of transaction {0} sum to {1}, not to 0",
        "SELECT transaction_id, SUM(amount) FROM ledger_entries GROUP BY transaction_id"
        " HAVING SUM(amount) <> 0 ORDER BY transaction_id",
    ),
    Query(
        "2 double entry", "ledger_transactions", "transaction {0} has no entries",
        "SELECT t.id FROM ledger_transactions t WHERE NOT EXISTS"
        " (SELECT 1 FROM ledger_entries e WHERE e.transaction_id = t.id) ORDER BY t.id",
    ),
    Query(
        "2 double entry", "ledger_entries", "entry {0} belongs to transaction {1}, which does not exist",
        "SELECT e.id, e.transaction_id FROM ledger_entries e LEFT JOIN ledger_transactions t"
        " ON t.id = e.transaction_id WHERE t.id IS NULL ORDER BY e.id",
    ),
    Query(
        "2 balance", "wallets", "wallet {0} says {1} nanos, its entries sum to {2}",
        "SELECT w.id, w.balance, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT account, SUM(amount) AS total FROM ledger_entries GROUP BY account) s"
        " ON s.account = 'wallet:' || w.id WHERE w.balance <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    Query(
        "2 balance", "ledger_entries", "entry {0} is of account {1}, whose wallet does not exist",
        "SELECT e.id, e.account FROM (SELECT MIN(id) AS id, account FROM ledger_entries GROUP BY account) e"
        " LEFT JOIN wallets w ON e.account = 'wallet:' || w.id"
        " WHERE e.account LIKE 'wallet:%' AND w.id IS NULL ORDER BY e.id",
    ),
    Query(
        "6 leases", "wallets", "wallet {0} has {1} nanos leased, its leases sum to {2}",
        "SELECT w.id, w.leased, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT wallet_id, SUM(amount) AS total FROM leases GROUP BY wallet_id) s ON s.wallet_id = w.id"
        " WHERE w.leased <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    Query(
        "6 holds", "wallets", "wallet {0} has {1} nanos held, its holds sum to {2}",
        "SELECT w.id, w.held, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT wallet_id, SUM(amount) AS total FROM holds GROUP BY wallet_id) s ON s.wallet_id = w.id"
        " WHERE w.held <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    Query(
        "6 covered", "wallets", "wallet {0} has {1} nanos, of which {2} leased and {3} held",
        "SELECT id, balance, leased, held FROM wallets"
        " WHERE leased < 0 OR held < 0 OR balance < leased + held ORDER BY id",
    ),
)  # fmt: skip
# Looked at once the chain is known to be whole.
RECORDS: Final = (
    Query(
        "4 settled once", "generations", "generation {0} is {1} and has no settlement",
        "SELECT g.id, g.state FROM generations g LEFT JOIN settlements s ON s.generation_id = g.id"
        " WHERE (g.state <> 'begun' AND s.generation_id IS NULL)"
        " OR g.state NOT IN ('begun', 'finished', 'abandoned') ORDER BY g.id",
    ),
    Query(
        "4 settled once", "settlements", "settlement {0} has no generation that ended",
        "SELECT s.generation_id FROM settlements s LEFT JOIN generations g ON g.id = s.generation_id"
        " WHERE g.id IS NULL OR g.state = 'begun' ORDER BY s.generation_id",
    ),
    Query(
        "4 settled once", "settlements",
        "settlement {0} says charge {1}, price {2} and lost {3}; its transaction took {4} of {5},"
        " revenue {6}, loss {7}, cost {8}",
        "SELECT s.generation_id, s.charge, s.price, s.lost, -COALESCE(e.taken, 0), e.account,"
        " COALESCE(e.revenue, 0), COALESCE(e.loss, 0), COALESCE(e.cost, 0) FROM settlements s LEFT JOIN"
        " (SELECT transaction_id, SUM(CASE WHEN account LIKE 'wallet:%' THEN amount ELSE 0 END) AS taken,"
        "  MAX(CASE WHEN account LIKE 'wallet:%' THEN account END) AS account,"
        "  SUM(CASE WHEN account = 'revenue' THEN amount ELSE 0 END) AS revenue,"
        "  -SUM(CASE WHEN account = 'loss' THEN amount ELSE 0 END) AS loss,"
        "  SUM(CASE WHEN account LIKE 'provider:%' THEN amount ELSE 0 END) AS cost"
        "  FROM ledger_entries GROUP BY transaction_id) e ON e.transaction_id = s.transaction_id"
        " WHERE s.charge <> -COALESCE(e.taken, 0)"
        " OR (s.charge <> 0 AND (s.wallet_id IS NULL OR e.account <> 'wallet:' || s.wallet_id))"
        " OR s.price <> COALESCE(e.revenue, 0) OR s.price - s.charge + s.lost <> COALESCE(e.loss, 0)"
        " OR s.lost > COALESCE(e.cost, 0) OR s.lost < 0 ORDER BY s.generation_id",
    ),
    Query(
        "4 settled once", "ledger_transactions", "the settlement of {1} does not name its charge {0}",
        "SELECT t.id, t.generation_id FROM ledger_transactions t LEFT JOIN settlements s"
        " ON s.generation_id = t.generation_id AND s.transaction_id = t.id AND s.settled_at = t.created_at"
        " WHERE t.kind = 'charge' AND s.generation_id IS NULL ORDER BY t.id",
    ),
    Query(
        "4 settled once", "settlements", "settlement {0} is {1} and yet took {2} nanos",
        "SELECT generation_id, outcome, charge FROM settlements"
        " WHERE charge < 0 OR (outcome <> 'charged' AND charge <> 0)"
        " OR outcome NOT IN ('charged', 'released', 'abandoned') ORDER BY generation_id",
    ),
    Query(
        "4 settled once", "generations",
        "generation {0} is {1}, held {2} nanos and cost {3}; its settlement is {4}, held {5} and took {6}",
        "SELECT g.id, g.state, g.hold_nanos, g.cost_nanos, s.outcome, s.hold, s.charge FROM generations g"
        " JOIN settlements s ON s.generation_id = g.id WHERE g.cost_nanos <> s.charge"
        " OR g.hold_nanos <> s.hold OR (g.state = 'abandoned') <> (s.outcome = 'abandoned') ORDER BY g.id",
    ),
    Query(
        "9 priced", "generations", "generation {0} was priced by card {1}, which is not on record",
        "SELECT g.id, g.card_id FROM generations g LEFT JOIN price_cards c ON c.id = g.card_id"
        " WHERE g.card_id IS NOT NULL AND c.id IS NULL ORDER BY g.id",
    ),
    Query(
        "4 attempts", "attempts", "{0}: the attempts at {1} cost {2} nanos, its transaction says {3}",
        "SELECT a.generation_id, a.provider, a.cost, COALESCE(e.cost, 0) FROM"
        " (SELECT generation_id, provider, SUM(cost_nanos) AS cost FROM attempts"
        "  GROUP BY generation_id, provider) a LEFT JOIN (SELECT transaction_id, account, SUM(amount) AS cost"
        "  FROM ledger_entries WHERE account LIKE 'provider:%' GROUP BY transaction_id, account) e"
        " ON e.transaction_id = a.generation_id AND e.account = 'provider:' || a.provider"
        " WHERE a.cost <> COALESCE(e.cost, 0) ORDER BY a.generation_id",
    ),
    Query(
        "4 attempts", "ledger_entries", "entry {0} is of {1}, whom no attempt of {2} called",
        "SELECT e.id, e.account, e.transaction_id FROM ledger_entries e LEFT JOIN"
        " (SELECT DISTINCT generation_id, provider FROM attempts) a"
        " ON a.generation_id = e.transaction_id AND e.account = 'provider:' || a.provider"
        " WHERE e.account LIKE 'provider:%' AND a.provider IS NULL ORDER BY e.id",
    ),
    Query(
        "4 attempts", "attempts", "attempt {0} is of generation {1}, which has no settlement",
        "SELECT a.id, a.generation_id FROM attempts a LEFT JOIN settlements s"
        " ON s.generation_id = a.generation_id WHERE s.generation_id IS NULL ORDER BY a.id",
    ),
    Query(
        "4 settled once", "settlements", "the generation {0} of team {1} was paid by wallet {2} of team {3}",
        "SELECT s.generation_id, g.team_id, s.wallet_id, w.team_id FROM settlements s"
        " JOIN generations g ON g.id = s.generation_id LEFT JOIN wallets w ON w.id = s.wallet_id"
        " WHERE s.wallet_id IS NOT NULL AND (w.id IS NULL OR w.team_id <> g.team_id)"
        " ORDER BY s.generation_id",
    ),
    Query(
        "3 chain", "ledger_transactions", "transaction {0} ({1}) stands outside of every chain",
        "SELECT t.id, t.kind FROM ledger_transactions t LEFT JOIN wallets w ON w.id = t.wallet_id"
        " WHERE (t.wallet_id IS NULL AND (t.kind <> 'charge' OR t.sequence IS NOT NULL"
        " OR t.hash IS NOT NULL OR t.corrects IS NOT NULL OR t.generation_id <> t.id))"
        " OR (t.wallet_id IS NOT NULL AND (w.id IS NULL OR t.sequence IS NULL OR t.sequence < 1"
        " OR t.sequence > w.sequence)) ORDER BY t.id",
    ),
    Query(
        "2 corrections", "ledger_transactions", "the {1} {0} has no reason on record",
        "SELECT t.id, t.kind FROM ledger_transactions t LEFT JOIN corrections c ON c.id = t.id"
        " AND c.kind = t.kind AND c.wallet_id = t.wallet_id"
        " AND COALESCE(c.generation_id, '') = COALESCE(t.generation_id, '')"
        " WHERE (t.kind IN ('refund', 'adjustment', 'reversal', 'reinstatement')"
        " OR (t.kind = 'top_up' AND t.id LIKE 'C-%')) AND c.id IS NULL ORDER BY t.id",
    ),
    Query(
        "2 payments", "ledger_transactions", "{1} nanos went back of the payment {0}, which was {2}",
        "SELECT r.corrects, r.total, COALESCE(p.total, 0) FROM (SELECT t.corrects, SUM(e.amount) AS total"
        "  FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id"
        "  WHERE t.kind IN ('reversal', 'reinstatement') AND e.account LIKE 'top_up:%' GROUP BY t.corrects) r"
        " LEFT JOIN (SELECT t.id, -SUM(e.amount) AS total FROM ledger_transactions t"
        "  JOIN ledger_entries e ON e.transaction_id = t.id"
        "  WHERE t.kind = 'top_up' AND e.account LIKE 'top_up:%' GROUP BY t.id) p ON p.id = r.corrects"
        " WHERE r.total > COALESCE(p.total, 0) OR r.total < 0 ORDER BY r.corrects",
    ),
    Query(
        "2 corrections", "corrections", "correction {0} says {1} nanos, its transaction {2}",
        "SELECT f.id, f.amount, f.found FROM (SELECT c.id, c.amount, (SELECT COALESCE(SUM(e.amount), 0)"
        "  FROM ledger_entries e WHERE e.transaction_id = c.id AND e.account = 'wallet:' || c.wallet_id)"
        "  AS found FROM corrections c) f WHERE f.amount <> f.found ORDER BY f.id",
    ),
    Query(
        "2 corrections", "corrections", "{1} nanos went back of the charge of {0}, which was {2}",
        "SELECT c.generation_id, SUM(c.amount), COALESCE(s.charge, 0) FROM corrections c"
        " LEFT JOIN settlements s ON s.generation_id = c.generation_id AND s.wallet_id = c.wallet_id"
        " WHERE c.generation_id IS NOT NULL GROUP BY c.generation_id, s.charge"
        " HAVING SUM(c.amount) > COALESCE(s.charge, 0) ORDER BY c.generation_id",
    ),
)  # fmt: skip
