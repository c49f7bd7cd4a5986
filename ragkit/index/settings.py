"""What a generation is written with, and what the next one takes over from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.encoders.passport import Passport
from ragkit.index.manifest import Manifest, Promise
from ragkit.index.recipe import AUTO, Choice, choose

if TYPE_CHECKING:
    from ragkit.corpus.splitting import Splitting


@dataclass(frozen=True)
class Settings:
    """What an index is made with."""

    passport: Passport
    splitting: "Splitting | None"
    index: str
    lexical: bool
    fusion: dict[str, Any] | None = None
    promise: Promise | None = None
    search: dict[str, int] | None = None
    """FAISS search parameters where they were planned, with `index` a factory string; None: the recipe's."""

    def choice(self, passages: int) -> Choice:
        """What an engine for so many passages is made from."""
        if self.search is not None:
            return Choice(self.index, self.search)
        return choose(self.index, passages, self.passport.dimension)


def settings_of(manifest: Manifest) -> Settings:
    """Those that a generation was written with. A planned engine that needs more passages for its training
    than are left is given up for "auto", and its promise with it."""
    from ragkit.corpus.splitting import Splitting

    splitting = None if manifest.splitting is None else Splitting(**manifest.splitting)
    index, promise = manifest.index, manifest.promise
    if promise is not None:
        from ragkit.index.faiss_index import needed_rows

        if manifest.counts.passages < needed_rows(manifest.factory):
            index, promise = AUTO, None
    return Settings(
        passport=manifest.passport,
        splitting=splitting,
        index=index,
        lexical=manifest.lexical,
        fusion=manifest.fusion,
        promise=promise,
        search=None if promise is None else manifest.search,
    )
