"""Whether a drift moves an alias back, and to which version.

Only a drift of what serves counts, of a version that is new: if one that served for long drifts,
the data changed, and an older version knows the new data no better. The last good version is the
one before it whose newest known verdict is ok and that has no open episode. An alias moves once in
a while, and a version that it was moved back to stays: if that drifts as well, it is the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelwatch.adapters.registries.base import Registry
from modelwatch.domain.episodes.events import VerdictEvent
from modelwatch.domain.episodes.record import EpisodeRecord
from modelwatch.domain.verdict.results import ResultName
from modelwatch.errors import NoModelError, NotFoundError
from modelwatch.ports.analysis import EpisodeStore, ReportStore
from modelwatch_cli.rollback.record import Rollback, RollbackRecord, RollbackStore

_LOOKED_AT = 200
"""So many results of a version are looked at until one says more than unknown."""

_CUT_OFF = timedelta(hours=1)
"""So long the same event may finish a rollback whose alias did not move."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a drift asks for.

    Attributes
    ----------
    to
        Version that the alias moves to; empty: it stays.
    reason
        Why it stays.
    """

    model_name: str
    model_version: str
    episode: str
    alias: str
    to: str = ""
    reason: str = ""


class RollbackRule:
    """Moves an alias back.

    Parameters
    ----------
    stage
        The deployment whose drifts count.
    within
        How long a version counts as new, from its first result to the drift.
    cooldown
        How long an alias stays where a rollback put it, whatever drifts.
    """

    def __init__(
        self,
        registry: Registry,
        episodes: EpisodeStore,
        reports: ReportStore,
        rollbacks: RollbackStore,
        *,
        stage: str,
        alias: str,
        within: timedelta,
        cooldown: timedelta,
    ) -> None:
        self._registry = registry
        self._episodes = episodes
        self._reports = reports
        self._rollbacks = rollbacks
        self._stage = stage
        self._alias = alias
        self._within = within
        self._cooldown = cooldown

    def apply(self, event: VerdictEvent, now: datetime, *, dry_run: bool = False) -> Decision:
        """Move the alias when the event asks for it; the same event again moves nothing.

        The record is written first: two at once move it once, and a rollback that was cut off
        between record and registry is finished by the same event. Raises StoreError and
        RegistryError.
        """
        record, tag = self._rollbacks.load(event.model_name)
        done = next((each for each in record.rollbacks if self._is_of(each, event)), None)
        serves = self._serves(event.model_name)
        to, reason = "", self._why_not(event, serves, record, done, now)
        if not reason:
            to = done.to if done else self._last_good(event)
            reason = "" if to else "no version before it is known to be good"
        if to and not dry_run:
            if done is None:
                rollback = Rollback(
                    alias=self._alias,
                    of=event.model_version,
                    to=to,
                    episode=event.episode,
                    at=now,
                )
                self._rollbacks.add(record, rollback, tag)
            self._registry.promote(event.model_name, self._alias, to)
        return Decision(
            event.model_name, event.model_version, event.episode, self._alias, to, reason
        )

    def _why_not(
        self,
        event: VerdictEvent,
        serves: str,
        record: RollbackRecord,
        done: Rollback | None,
        now: datetime,
    ) -> str:
        """Return why the alias stays; empty when nothing holds it."""
        if event.stage != self._stage:
            return f"the event is of the stage '{event.stage}', this is '{self._stage}'"
        if event.change != "opened" or event.status != "open":
            return f"the event says {event.change}, {event.status}; only a drift that opens counts"
        if serves != event.model_version:
            return f"version {serves or 'none'} serves, not {event.model_version}"
        if done is not None and now - done.at < _CUT_OFF:
            return ""  # what it found holds
        if done is not None:
            return "it was moved back for this episode, and someone moved it again"
        status = self._status(event)
        if status != "open":
            return f"the episode is {status} by now"
        mine = [each for each in record.rollbacks if each.alias == self._alias]
        if mine and now - mine[-1].at < self._cooldown:
            return f"the alias was moved back at {mine[-1].at:%Y-%m-%d %H:%M} UTC; it stays a while"
        if any(each.to == event.model_version for each in mine[-1:]):
            return (
                f"version {event.model_version} was moved back to, and drifts as well: "
                "the data changed"
            )
        first = self._first_result(event)
        if first is not None and event.opened - first > self._within:
            return f"the version is no new one: it has results since {first:%Y-%m-%d %H:%M} UTC"
        return ""

    def _is_of(self, rollback: Rollback, event: VerdictEvent) -> bool:
        wanted = (self._alias, event.model_version, event.episode)
        return (rollback.alias, rollback.of, rollback.episode) == wanted

    def _serves(self, model_name: str) -> str:
        try:
            return self._registry.resolve(model_name, self._alias).version
        except NoModelError:
            return ""

    def _status(self, event: VerdictEvent) -> str:
        try:
            return self._episodes.load(event.model_name).find(event.episode).status
        except NotFoundError:
            return "not known"

    def _results(self, event: VerdictEvent) -> Iterator[tuple[str, ResultName]]:
        """Yield the schedule's results up to the drift, of all rows, the newest first."""
        # twice as long: whether there is one that is older than a new version's can be
        since = event.opened - 2 * self._within
        for name in reversed(self._reports.names(event.model_name, since, event.opened)):
            parts = ResultName.parse(name)
            if parts is not None and not parts.ad_hoc and not parts.variant:
                yield name, parts

    def _first_result(self, event: VerdictEvent) -> datetime | None:
        ends = [
            parts.window_end
            for _, parts in self._results(event)
            if parts.model_version == event.model_version
        ]
        return min(ends, default=None)

    def _last_good(self, event: VerdictEvent) -> str:
        """Return the version before that is known to be good; empty when there is none."""
        record: EpisodeRecord = self._episodes.load(event.model_name)
        drifting = {each.model_version for each in record.open_episodes()}
        by_version: dict[str, list[str]] = {}
        for name, parts in self._results(event):  # the version that served last comes first
            by_version.setdefault(parts.model_version, []).append(name)
        for version, names in by_version.items():
            if version == event.model_version or version in drifting:
                continue
            if self._is_good(names) and self._is_there(event.model_name, version):
                return version
        return ""

    def _is_good(self, names: list[str]) -> bool:
        for name in names[:_LOOKED_AT]:
            status = self._reports.result(name).status
            if status != "unknown":
                return status == "ok"
        return False

    def _is_there(self, model_name: str, version: str) -> bool:
        try:
            self._registry.version(model_name, version)
        except NoModelError:
            return False
        return True
