"""The command `gateway`. Every command imports what it needs when it runs: `--help` costs nothing."""

from gateway_core.cli import accounting as _accounting  # noqa: F401  # its commands are of `ledger`
from gateway_core.cli import rerating as _rerating  # noqa: F401  # and so is its own
from gateway_core.cli.accounts import keys, teams, wallet
from gateway_core.cli.books import ledger, migrate
from gateway_core.cli.catalogue import catalogue
from gateway_core.cli.describe import check, plugins, schema
from gateway_core.cli.group import main
from gateway_core.cli.limits import limit_key, limit_team
from gateway_core.cli.provider_keys import provider_keys
from gateway_core.cli.serve import serve

for _command in (
    serve,
    check,
    schema,
    plugins,
    catalogue,
    migrate,
    teams,
    keys,
    provider_keys,
    wallet,
    ledger,
):
    main.add_command(_command)
keys.add_command(limit_key)
teams.add_command(limit_team)

__all__ = ["main"]
