"""`catalog update`: lists are fetched, compared with what is known, and applied when told to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from ymera.app.availability import provider_problem
from ymera.app.model_lists import ModelList, fetch_lists
from ymera.catalog.listing import Listed
from ymera.catalog.load import load as load_catalog
from ymera.catalog.overlay import Fetched, Origin
from ymera.catalog.update import Diff, applied, compare, present_of
from ymera.core.errors import InvalidRequest
from ymera.core.model import Provider, ProviderKind

if TYPE_CHECKING:
    from ymera.app.app import App

__all__ = ["Update", "apply_update", "askable", "fetch_update"]

_ON_LISTS = frozenset({ProviderKind.HOSTED, ProviderKind.AGGREGATOR, ProviderKind.LOCAL})


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What providers' lists say, and what they would change.

    Attributes:
        lists: one for each provider that was asked, failed ones included.
        diffs: one for each that answered.
    """

    lists: tuple[ModelList, ...]
    diffs: tuple[Diff, ...]


def askable(app: App, names: Collection[str] = ()) -> tuple[Provider, ...]:
    """Return the providers that can be asked for their lists now.

    Args:
        app: the app.
        names: only these; a name that cannot be asked is an error.

    Raises:
        InvalidRequest: a name is unknown, or its provider cannot be called.
    """
    providers = app.catalog.providers
    for name in names:
        if name not in providers or providers[name].kind not in _ON_LISTS:
            raise InvalidRequest(
                f"No provider {name!r} has a model list.",
                hint="`ymera providers list --all` names them.",
                param="provider",
            )
        if problem := provider_problem(providers[name], app.settings, app.credentials):
            raise InvalidRequest(
                f"{providers[name].name} cannot be asked.", hint=problem[1], param="provider"
            )
    return tuple(
        provider
        for provider in providers.values()
        if provider.kind in _ON_LISTS
        and (not names or provider.id in names)
        and provider_problem(provider, app.settings, app.credentials) is None
    )


async def fetch_update(app: App, providers: Iterable[Provider]) -> Update:
    """Ask providers for their lists and compare them with the catalogue; changes nothing.

    Raises:
        CatalogError: the fetched layer is broken.
    """
    fetched = app.catalog_files.fetched()
    lists = await fetch_lists(providers, app.credentials, app.catalog.provider_entries)
    return Update(lists=lists, diffs=_diffs(app, lists, fetched))


def apply_update(app: App, update: Update, accepted: Collection[str] = ()) -> Update:
    """Write what the lists say into the fetched layer; return what was compared at that moment.

    Args:
        app: the app.
        update: what was fetched.
        accepted: ids of models whose dangerous changes may be applied, too.

    Raises:
        CatalogError: the fetched layer is broken.
        MachineError: it cannot be written; the older one stays.
    """
    today = app.catalog_files.now().date().isoformat()
    with app.catalog_files.updating() as write:
        fetched = app.catalog_files.fetched()  # another process may have written since
        diffs = _diffs(app, update.lists, fetched)
        sources = {each.provider: each.source for each in update.lists}
        for diff in diffs:
            origin = Origin(source=sources[diff.provider], as_of=today)
            fetched = applied(fetched, diff, origin, accepted=accepted)
        write(fetched)
    return Update(lists=update.lists, diffs=diffs)


def _diffs(app: App, lists: Iterable[ModelList], fetched: Fetched) -> tuple[Diff, ...]:
    entries = load_catalog().model_entries
    return tuple(
        compare(
            app.catalog.providers[each.provider],
            _not_defined(app, each, entries),
            present_of(entries.values(), fetched, each.provider),
            fetched.missed,
        )
        for each in lists
        if each.error is None
    )


def _not_defined(app: App, listing: ModelList, entries: Mapping[str, object]) -> tuple[Listed, ...]:
    """Return the rows but for models that the settings define: those are the user's to describe."""
    own = {
        model.upstream_id
        for model in app.catalog.models
        if model.provider == listing.provider
        and model.id not in entries
        and model.id not in app.catalog.model_entries
    }
    return tuple(row for row in listing.rows if row.id not in own)
