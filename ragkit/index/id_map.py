"""Which id stands at which position of an engine."""

from functools import cached_property

import numpy as np

from ragkit.index.vector_index import Ids

REMOVED = -1


class IdMap:
    """Ids by position, in the order of their adding; `REMOVED` where there is none any more."""

    def __init__(self, ids: Ids):
        self.ids = ids

    @cached_property
    def live(self) -> Ids:
        """Positions with an id, ascending."""
        return np.flatnonzero(self.ids != REMOVED)

    def positions(self, ids: Ids) -> Ids:
        """Positions of those of `ids` that are there, ascending."""
        order, known = self._by_id
        if not len(known):
            return order
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.unique(order[at[known[at] == ids]])

    @cached_property
    def _by_id(self) -> tuple[Ids, Ids]:
        """Live positions in the order of their ids, and these ids. Sorted only when ids are looked up, and
        only where they did not come in ascending."""
        ids = self.ids[self.live]
        if len(ids) < 2 or (ids[1:] > ids[:-1]).all():
            return self.live, ids
        order = np.argsort(ids, kind="stable")
        return self.live[order], ids[order]
