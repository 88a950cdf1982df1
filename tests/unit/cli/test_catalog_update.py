"""`ymera catalog update` and `why`, against vendors on loopback that change their lists."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.command_line import CommandLine, Result
from tests.support.vendors import changed, playing, pointed_at
from ymera.core.model import Model
from ymera.core.usage import Price

ROUTER = "openrouter"
GEMMA = "google/gemma-4-31b-it:free"
FREE = f"{ROUTER}/{GEMMA}"
NEW_FREE = "acme/rocket-1:free"
NEW_PAID = "acme/rocket-1"


@pytest.fixture
def updated(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> Callable[..., Result]:
    """Run `catalog update` while openrouter lists what `changed` makes of the catalogue."""

    def run(*args: str, provider: str = ROUTER, **changes: Any) -> Result:
        with playing(provider, catalog=changed(provider, **changes)) as vendors:
            pointed_at(vendors, monkeypatch, clean_environment)
            return bare("catalog", "update", *args)

    return run


def told(result: Result) -> dict[str, Any]:
    return msgspec.json.decode(result.out, type=dict[str, Any])


def truths(bare: CommandLine, model: str) -> dict[str, Any]:
    found: dict[str, Any] = told(bare("catalog", "why", model, "--json"))["truths"]
    return found


def priced(input_usd: str, output_usd: str, *, only: str) -> Callable[[Model], Model]:
    price = Price(input_usd_per_mtok=Decimal(input_usd), output_usd_per_mtok=Decimal(output_usd))

    def change(model: Model) -> Model:
        if model.upstream_id != only:
            return model
        free = msgspec.structs.replace(model.free, may_auto_route=False)
        return msgspec.structs.replace(model, price=price, free=free)

    return change


def fetched_file(folder: Path) -> Path:
    return folder.parent / "data" / "catalog" / "fetched.json"


@pytest.mark.proves("catalog.update", "catalog.layers")
def test_a_dry_run_shows_what_has_changed_and_writes_nothing(
    updated: Callable[..., Result], clean_environment: Path
) -> None:
    result = updated("--dry-run", like={NEW_FREE: GEMMA})
    assert result.code == 0
    assert f"new       {ROUTER}/{NEW_FREE}" in result.out
    assert "Nothing was written" in result.err
    assert not fetched_file(clean_environment).exists()


@pytest.mark.proves("catalog.update", "catalog.three-truths")
def test_a_new_id_is_listed_and_not_routed_to(
    updated: Callable[..., Result], bare: CommandLine, clean_environment: Path
) -> None:
    assert updated("--yes", like={NEW_FREE: GEMMA, NEW_PAID: GEMMA}).code == 0
    assert fetched_file(clean_environment).stat().st_mode & 0o077 == 0
    listed = bare("models", "list", "--listed")
    assert f"{ROUTER}/{NEW_FREE}  would be free\n" in listed.out
    assert f"{ROUTER}/{NEW_PAID}\n" in listed.out
    assert NEW_PAID not in bare("models", "list", "--all").out
    assert bare("ask", "--model", f"{ROUTER}/{NEW_FREE}", "hi").code == 2
    about = truths(bare, f"{ROUTER}/{NEW_FREE}")
    assert (about["is_listed"], about["has_answered"]) == (True, None)
    assert about["may_auto_route"] is False
    assert "models test" in about["reason"]
    known = truths(bare, FREE)
    assert (known["is_listed"], known["may_auto_route"]) == (True, True)
    facts = told(bare("catalog", "why", f"{ROUTER}/{NEW_FREE}", "--json"))["facts"]
    context = next(fact for fact in facts if fact["field"] == "context_window")
    assert context["layer"] == "fetched"
    assert context["source"].startswith("http://127.0.0.1")
    assert context["source"].endswith("/models")
    assert context["date"]


@pytest.mark.proves("catalog.no-silent-free")
def test_what_turns_from_free_to_paid_is_not_routed_to_though_its_price_waits_for_a_yes(
    updated: Callable[..., Result], bare: CommandLine
) -> None:
    model = f"{ROUTER}/{ROUTER}/free"
    assert truths(bare, model)["may_auto_route"] is True
    result = updated("--yes", change=priced("3", "15", only=f"{ROUTER}/free"))
    assert result.code == 0
    assert f"changed   {model} free_now True -> False\n" in result.out
    about = truths(bare, model)
    assert about["may_auto_route"] is False
    assert "charges for this model" in about["reason"]
    again = updated("--yes")  # the list says 0 once more, which no list is believed alone
    assert again.code == 0
    assert truths(bare, model)["may_auto_route"] is False


def price_of(bare: CommandLine, model: str) -> str:
    facts = told(bare("catalog", "why", model, "--json"))["facts"]
    return next(str(f["value"]) for f in facts if f["field"] == "input_usd_per_mtok")


@pytest.mark.proves("catalog.no-silent-free", "catalog.update")
@pytest.mark.parametrize(
    ("price", "danger"),
    [("0", "from paid ($3) into free"), ("0.3", "tenfold or more"), ("30", "tenfold or more")],
)
def test_paid_does_not_become_free_nor_a_price_tenfold_without_an_explicit_yes(
    updated: Callable[..., Result], bare: CommandLine, price: str, danger: str
) -> None:
    model = f"{ROUTER}/{NEW_PAID}"
    new = {NEW_PAID: GEMMA}
    updated("--yes", like=new, change=priced("3", "15", only=NEW_PAID))
    assert price_of(bare, model) == "3"
    changes = {"like": new, "change": priced(price, price, only=NEW_PAID)}
    shown = updated("--yes", **changes)
    assert shown.code == 0
    assert danger in shown.out
    assert "dangerous changes were left out" in shown.err
    assert price_of(bare, model) == "3"
    accepted = updated("--yes", "--accept", model, **changes)
    assert accepted.code == 0
    assert price_of(bare, model) == price
    assert truths(bare, model)["may_auto_route"] is False  # a price of 0 is no proof


@pytest.mark.proves("catalog.update")
def test_a_price_that_moves_a_little_is_applied(
    updated: Callable[..., Result], bare: CommandLine
) -> None:
    new = {NEW_PAID: GEMMA}
    updated("--yes", like=new, change=priced("3", "15", only=NEW_PAID))
    result = updated("--yes", like=new, change=priced("2.5", "15", only=NEW_PAID))
    assert "input_usd_per_mtok 3 -> 2.5" in result.out
    assert price_of(bare, f"{ROUTER}/{NEW_PAID}") == "2.5"


@pytest.mark.proves("catalog.benched")
def test_an_id_that_vanishes_twice_is_benched_and_one_that_returns_is_not(
    updated: Callable[..., Result], bare: CommandLine
) -> None:
    once = updated("--yes", without=(GEMMA,))
    assert f"missing   {FREE}" in once.out
    assert truths(bare, FREE)["may_auto_route"] is True
    looked = updated("--dry-run", without=(GEMMA,))
    assert f"benched   {FREE}" in looked.out
    assert truths(bare, FREE)["may_auto_route"] is True
    updated("--yes", without=(GEMMA,))
    benched = truths(bare, FREE)
    assert (benched["is_listed"], benched["may_auto_route"]) == (False, False)
    assert "no longer lists it" in benched["reason"]
    assert "no longer lists it" in bare("models", "list", "--all").out
    assert "nothing has changed" in updated("--yes", without=(GEMMA,)).err
    back = updated("--yes")
    assert f"returned  {FREE}" in back.out
    assert truths(bare, FREE)["may_auto_route"] is True
    updated("--yes", without=(GEMMA,))
    assert truths(bare, FREE)["may_auto_route"] is True  # it counts from the start again


@pytest.mark.proves("catalog.update")
def test_a_provider_that_fails_is_reported_and_the_others_go_on(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    with playing(ROUTER, "groq") as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        monkeypatch.setenv("WRONG_KEY", "sk-" + "never-shown-1234")
        monkeypatch.setenv("YMERA_PROVIDERS__GROQ__KEY_ENV", "WRONG_KEY")
        result = bare("catalog", "update", "--yes")
        alone = bare("catalog", "update", "--yes", "--provider", "groq", "--json")
        dead = bare("catalog", "update", "--yes", "--provider", "acme")
    assert result.code == 0
    assert "groq: failed. It answered with status 401: the key was refused." in result.err
    assert "openrouter: " in result.err
    assert "Applied." in result.err
    assert (alone.code, told(alone)["applied"]) == (4, False)
    assert "never-shown" not in result.out + result.err + alone.out + alone.err
    assert (dead.code, "acme" in dead.err) == (2, True)


@pytest.mark.proves("catalog.update")
def test_an_update_that_nobody_can_confirm_or_answer_says_so(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    unconfirmed = bare("catalog", "update")
    assert (unconfirmed.code, unconfirmed.out) == (2, "")
    assert "--dry-run" in unconfirmed.err
    assert bare("catalog", "update", "--yes").code == 5
    unasked = bare("catalog", "update", "--yes", "--provider", "groq")
    assert unasked.code == 2
    assert "GROQ_API_KEY" in unasked.err


@pytest.mark.proves("catalog.update")
def test_accepting_what_is_not_dangerous_is_refused(updated: Callable[..., Result]) -> None:
    result = updated("--yes", "--accept", FREE)
    assert result.code == 2
    assert "no dangerous change" in result.err


@pytest.mark.proves("catalog.update")
@pytest.mark.parametrize("provider", ["groq", "google", "anthropic", "ollama-cloud", "cohere"])
def test_every_dialect_of_lists_is_read(updated: Callable[..., Result], provider: str) -> None:
    result = updated("--yes", "--json", provider=provider)
    assert result.code == 0
    (row,) = told(result)["providers"]
    assert (row["error"], row["models"] > 0) == (None, True)
    assert not [each for each in told(result)["changes"] if each["what"] == "missing"]


@pytest.mark.proves("catalog.layers")
def test_the_users_own_file_wins_over_what_was_fetched(
    updated: Callable[..., Result], bare: CommandLine, clean_environment: Path
) -> None:
    updated("--yes")
    folder = clean_environment.parent / "home" / "xdg_config_home" / "ymera" / "catalog"
    folder.mkdir(parents=True)
    own = folder / "mine.toml"
    own.write_text(f'[models."{FREE}"]\ncontext_window = 4096\nfree_now = false\n')
    shown = told(bare("catalog", "why", FREE, "--json"))
    context = next(fact for fact in shown["facts"] if fact["field"] == "context_window")
    assert (context["value"], context["layer"]) == ("4096", "user")
    assert context["source"] == str(own)
    assert shown["truths"]["may_auto_route"] is False
    assert "  user\n" in bare("catalog", "why", FREE).out

    own.write_text(f'[models."{FREE}"]\ncontext_window = "much"\n')
    wrong = bare("catalog", "check")
    assert wrong.code == 1
    assert str(own) in wrong.out
    assert f"entry '{FREE}', field 'context_window'" in wrong.out
    assert truths(bare, FREE)["may_auto_route"] is True  # the other layers are used


@pytest.mark.proves("catalog.layers")
def test_a_broken_fetched_file_is_not_written_over(
    updated: Callable[..., Result], bare: CommandLine, clean_environment: Path
) -> None:
    updated("--yes")
    file = fetched_file(clean_environment)
    file.write_bytes(b'{"version":1,"models":{"groq/x":{"context_window":{"value":-1,')
    broken = updated("--yes")
    assert broken.code == 2
    assert str(file) in broken.err
    assert file.read_bytes().startswith(b'{"version":1,"models":{"groq/x"')
    assert bare("models").code == 0
