"""The catalogue in force (a `Catalog`): bundled rows, the settings' own hosts, overlay files.

Two files lie in the data directory, `catalog/fetched.json` (what `ymera catalog update` applied)
and `catalog/learned.json` (what `ymera models test --live` saw); the user's own lie in `catalog/`
beside the user's configuration. Nothing here goes online.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from ymera.app.overlay import with_own_hosts
from ymera.catalog.catalog import Catalog
from ymera.catalog.layers import Layers, layered
from ymera.catalog.load import load as load_catalog
from ymera.catalog.overlay import (
    Answered,
    Fetched,
    Learned,
    Row,
    decode_fetched,
    decode_learned,
    decode_own,
    encode_fetched,
    encode_learned,
)
from ymera.config.files import FileStamp, file_stamp, read_table
from ymera.config.load import Loaded
from ymera.config.paths import DataPaths
from ymera.config.schema import ProviderSettings
from ymera.config.sources import Layer as ConfigLayer
from ymera.core.errors import CatalogError, YmeraError
from ymera.security.private_files import locked, private_directory, read_private, replace_private

__all__ = ["CatalogFiles"]

_log = logging.getLogger(__name__)
_SUFFIXES = frozenset({".json", ".toml"})

Overlay = TypeVar("Overlay", Fetched, Learned, dict[str, Row])


class CatalogFiles:
    """Loads the catalogue with everything that lies over it, and writes the two data files.

    A broken overlay file is reported with file, entry and field, and changes nothing: the other
    layers are used, and of the broken one what was read last.

    Args:
        folder: `catalog` in the data directory; need not exist.
        own_folder: `catalog` beside the user's configuration; need not exist.
        now: returns the current time (UTC).

    Attributes:
        now: the clock, as given.
        problems: what is wrong with overlay files, as of the last `load`.
    """

    def __init__(self, folder: Path, own_folder: Path, *, now: Callable[[], datetime]) -> None:
        self.fetched_path = folder / "fetched.json"
        self.learned_path = folder / "learned.json"
        self.problems: tuple[YmeraError, ...] = ()
        self._folder = folder
        self._own_folder = own_folder
        self.now = now
        self._seen: Mapping[Path, FileStamp | None] = {}
        self._good: dict[Path, Fetched | Learned | dict[str, Row]] = {}

    @classmethod
    def of(cls, loaded: Loaded, paths: DataPaths, *, now: Callable[[], datetime]) -> Self:
        """Return the catalogue of these settings' places.

        Args:
            loaded: tells where the user's configuration is.
            paths: of the data directory.
            now: returns the current time (UTC).
        """
        user = next(file.path for file in loaded.files if file.layer is ConfigLayer.USER)
        return cls(paths.root / "catalog", user.parent / "catalog", now=now)

    def load(self, hosts: Mapping[str, ProviderSettings]) -> Catalog:
        """Return the catalogue in force.

        Args:
            hosts: of the settings.

        Raises:
            CatalogError: the bundled snapshot is damaged.
            ConfigError: the settings describe a host that cannot be.
        """
        base = with_own_hosts(load_catalog(), hosts)
        self._seen = self._stamps()
        problems: list[YmeraError] = []
        fetched = self._read(self.fetched_path, _fetched, Fetched(), problems)
        learned = self._read(self.learned_path, _learned, Learned(), problems)
        own: dict[str, Row] = {}
        nothing: dict[str, Row] = {}
        for path in self._own_files():
            rows = self._read(path, self._own, nothing, problems)
            for model_id, row in rows.items():
                if model_id.partition("/")[0] not in base.providers:
                    problems.append(_no_provider(path, model_id))
                elif model_id in own:
                    problems.append(_twice(path, model_id))
                else:
                    own[model_id] = row
        for problem in problems:
            if problem.message not in {each.message for each in self.problems}:
                _log.error("%s %s", problem.message, problem.hint or "")
        self.problems = tuple(problems)
        layers = Layers(fetched=fetched, learned=learned, own=own)
        return layered(base, layers, self.now().date())

    def changed(self) -> bool:
        """Return whether an overlay file is another than the one read last; some `stat` calls."""
        return self._stamps() != self._seen

    def fetched(self) -> Fetched:
        """Return what model lists said, as it stands on disk.

        Raises:
            CatalogError: the file is broken: it must not be written over unseen.
            MachineError: it cannot be read, or others may.
        """
        return _fetched(self.fetched_path) or Fetched()

    @contextmanager
    def updating(self) -> Iterator[Callable[[Fetched], None]]:
        """Keep others from writing; gives what replaces the fetched layer whole.

        Raises:
            MachineError: it cannot be written; the older one stays.
        """
        private_directory(self._folder)
        with locked(self._folder):
            yield lambda layer: replace_private(self.fetched_path, encode_fetched(layer))

    def learn(self, outcomes: Mapping[str, Mapping[str, Answered]]) -> None:
        """Keep how live tests went, over what was known of the same model and key.

        Args:
            outcomes: by model id, then key id.

        Raises:
            CatalogError: the file is broken.
            MachineError: it cannot be written; the older one stays.
        """
        private_directory(self._folder)
        with locked(self._folder):
            answers = dict((_learned(self.learned_path) or Learned()).answers)
            for model_id, keys in outcomes.items():
                answers[model_id] = {**answers.get(model_id, {}), **keys}
            replace_private(self.learned_path, encode_learned(Learned(answers=answers)))

    def _read(
        self,
        path: Path,
        read: Callable[[Path], Overlay | None],
        empty: Overlay,
        problems: list[YmeraError],
    ) -> Overlay:
        try:
            found = read(path) or empty
        except YmeraError as error:
            problems.append(error)
            good = self._good.get(path)
            return good if isinstance(good, type(empty)) else empty
        self._good[path] = found
        return found

    def _own(self, path: Path) -> dict[str, Row] | None:
        tree = read_table(path)
        stamp = file_stamp(path)
        at = datetime.fromtimestamp(stamp.modified_ns / 1e9, UTC) if stamp else self.now()
        return None if tree is None else decode_own(str(path), tree, at.date().isoformat())

    def _own_files(self) -> list[Path]:
        try:
            return sorted(path for path in self._own_folder.iterdir() if path.suffix in _SUFFIXES)
        except OSError:
            return []

    def _stamps(self) -> Mapping[Path, FileStamp | None]:
        paths = (self.fetched_path, self.learned_path, *self._own_files())
        return {path: file_stamp(path) for path in paths}


def _fetched(path: Path) -> Fetched | None:
    data = read_private(path)
    return None if data is None else decode_fetched(str(path), data)


def _learned(path: Path) -> Learned | None:
    data = read_private(path)
    return None if data is None else decode_learned(str(path), data)


def _no_provider(path: Path, model_id: str) -> CatalogError:
    provider = model_id.partition("/")[0]
    return CatalogError(
        f"The catalogue file {path} is broken: entry '{model_id}': there is no provider "
        f"'{provider}'.",
        hint="Correct the id, or add the host to the settings; see `ymera providers list --all`.",
        param=str(path),
    )


def _twice(path: Path, model_id: str) -> CatalogError:
    return CatalogError(
        f"The catalogue file {path} is broken: entry '{model_id}' stands in another file too.",
        hint="Keep one of the two.",
        param=str(path),
    )
