"""What is refused before anything starts, and that a gateway without top-ups needs no package."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway_core.config.load import ConfigError
from gateway_core.host.snapshot import build
from plugin_sdk.testing import MemoryServices
from plugins.policies.stripe_topup import StripeTopUp
from tests.plugins.stripe_topup.conftest import configured
from tests.plugins.stripe_topup.stripe_like import API_KEY, SECRET

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api_key": ""}, "begins with sk_ or rk_"),
        ({"api_key": "   "}, "empty or cut"),
        ({"api_key": "pk_test_0123456789abcdefghij"}, "begins with sk_ or rk_"),
        ({"api_key": "sk_short"}, "16 characters"),
        ({"webhook_secret": ""}, "begins with whsec_"),
        ({"webhook_secret": "whsec_"}, "16 characters"),
        ({"webhook_secret": SECRET + "\n"}, "empty or cut"),
        ({"webhook_secret": "none"}, "both api_key and webhook_secret"),
        ({"api_key": "none"}, "both api_key and webhook_secret"),
        ({"minimum": "50", "maximum": "20"}, "minimum is more than maximum"),
        ({"minimum": "0.10"}, "greater than or equal to"),
        ({"minimum": "10.001"}, "at most 2 decimal places"),
        ({"fee_percent": 5.5}, "in quotes"),
        ({"fee_percent": "100"}, "less than 100"),
        ({"fee_percent": "-1"}, "greater than or equal to 0"),
        ({"success_url": "javascript:alert(1)"}, "URL"),
        ({"automatic": [{"team_id": "T"}]}, "Field required"),
    ],
)
def test_a_block_that_cannot_be_right_is_refused_and_no_secret_repeated(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        configured(**options)
    shown = " ".join(str(error["msg"]) for error in refused.value.errors())  # what the loader shows
    assert said in shown
    assert API_KEY not in shown
    assert SECRET not in shown


def test_a_team_has_one_rule() -> None:
    rule = {"team_id": "T", "below": "1", "amount": "5", "customer": "cus_1", "payment_method": "pm_1"}
    with pytest.raises(ValidationError, match="one rule"):
        configured(automatic=[rule, {**rule, "amount": "6"}])
    wrongs = ({"customer": "cus_1/../x"}, {"payment_method": "4242"}, {"amount": "5.001"}, {"below": "0"})
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            configured(automatic=[{**rule, **wrong}])


async def test_without_credentials_there_is_no_webhook_and_nothing_starts() -> None:
    plugin = StripeTopUp("stripe_topup", configured(api_key="none", webhook_secret="none"))
    assert plugin.register_routes() == []
    await plugin.startup(MemoryServices().lent())
    await plugin.shutdown()


def test_two_accounts_have_routes_of_their_own() -> None:
    paths = [
        route.path
        for name in ("stripe_topup", "stripe_eu")
        for route in StripeTopUp(name, configured()).register_routes()
    ]
    assert len(set(paths)) == 4


def test_the_webhook_needs_no_key_and_the_checkout_a_management_key() -> None:
    routes = StripeTopUp("stripe_topup", configured()).register_routes()
    assert {route.path: route.key for route in routes} == {
        "/stripe_topup/checkout": "management",
        "/stripe_topup/webhook": "none",
    }


def test_an_empty_secret_of_the_environment_is_an_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "include: standard\nplugins:\n  stripe_topup:\n"
        f"    api_key: {API_KEY}\n    webhook_secret: ''\n"
        "    success_url: https://a.example\n    cancel_url: https://a.example\n"
    )
    with pytest.raises(ConfigError) as refused:
        build(file)
    (error,) = refused.value.errors
    assert "gateway.yaml:5: plugins.stripe_topup.webhook_secret: " in error
    assert "whsec_" in error


WITHOUT = """
import sys
sys.modules["stripe"] = None  # as if it were not installed
from pathlib import Path
from gateway_core.host.snapshot import build
from gateway_core.config.load import ConfigError
try:
    found = build(Path(sys.argv[1]))
    print(len(found.plugins))
except ConfigError as error:
    print(error)
"""


def without_the_package(file: Path) -> str:
    done = subprocess.run([sys.executable, "-c", WITHOUT, file], capture_output=True, text=True, check=True)
    return done.stdout


def test_without_the_package_only_who_takes_payments_is_told_what_to_install(tmp_path: Path) -> None:
    assert int(without_the_package(ROOT / "config" / "full.yaml")) > 20
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "include: standard\nplugins:\n  stripe_topup:\n"
        f"    api_key: {API_KEY}\n    webhook_secret: {SECRET}\n"
        "    success_url: https://a.example\n    cancel_url: https://a.example\n"
    )
    assert "pip install 'ai-stats-gateway[stripe]'" in without_the_package(file)
