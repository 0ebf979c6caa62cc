"""Baselines on S3.

``baselines/<model>/<name>/baseline.json`` says what there is; it is written last and once.
``…/<name>/<digest>/profile`` is the profile with those of its segments,
``…/<name>/<digest>/constraints-000001.json`` and so on are its constraints: the newest hold, the
older ones say what held before.
``baselines/<model>/.in-use/000001.json`` and so on say what is in use, likewise.

Nothing is ever overwritten: two concurrent writers cannot undo each other's work unseen.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec

from modelwatch.adapters.aws.objects import S3Store
from modelwatch.domain.baselines import FORMAT, TRAINING, Baseline, check_name
from modelwatch.domain.constraints import Constraints, decode_constraints, encode_constraints
from modelwatch.domain.faults import UNREADABLE
from modelwatch.domain.keys import escape
from modelwatch.domain.past.relations import strongest
from modelwatch.domain.profiles import Profile, Slice, decode_slices, encode_slices
from modelwatch.domain.segments import EVERYTHING, SegmentKey
from modelwatch.errors import DamagedError, InvalidInputError, NotFoundError

_LOG = logging.getLogger(__name__)

_BASELINES = "baselines/"
_IN_USE = ".in-use"
_JSON = "application/json"


class _Use(msgspec.Struct, frozen=True):
    """``name`` is in use for the model, and those of ``versions`` in its place for these."""

    name: str
    versions: dict[str, str] = {}


_decode = msgspec.json.Decoder(Baseline).decode
_decode_use = msgspec.json.Decoder(_Use).decode


class S3BaselineStore(S3Store):
    """Baselines in ``bucket``; see `modelwatch.ports.analysis.BaselineStore`."""

    def __init__(self, client: Any, bucket: str) -> None:
        super().__init__(client, bucket)
        self._known: dict[str, list[Slice]] = {}
        """The profiles of the baseline that was read last."""

    def create(
        self,
        baseline: Baseline,
        profile: Profile,
        constraints: Constraints,
        segments: Mapping[SegmentKey, Profile] = MappingProxyType({}),
    ) -> Baseline:
        """Keep a new baseline; return it with the digest of its profile and its segments."""
        key = f"{_folder(baseline.model_name, check_name(baseline.name))}baseline.json"
        taken = InvalidInputError(
            "name", f"{baseline.model_name} has a baseline '{baseline.name}' already"
        )
        if any(found == key for found, _ in self._objects.keys(key)):
            raise taken
        # relations are kept, and no sample of rows: an erasure does not reach baselines
        slices = [Slice("", 0, replace(profile, sample=None))]
        slices += [Slice("", 0, each, key) for key, each in segments.items()]
        payload = encode_slices(slices)
        digest = hashlib.sha256(payload).hexdigest()
        pairs = strongest(profile.sample)
        baseline = msgspec.structs.replace(baseline, profile_sha256=digest, pairs=pairs)
        # the same key means the same content: another writer's object is right too
        self._objects.write_once(f"{_content(baseline)}profile", payload, "application/msgpack")
        # what a deletion that did not finish left must not hold
        self.replace_constraints(baseline, constraints)
        if not self._objects.write_once(key, msgspec.json.encode(baseline), _JSON):
            raise taken
        return baseline

    def baselines(self, model_name: str) -> list[Baseline]:
        """Return a model's baselines, by name."""
        names = self._objects.folders(_model(model_name))
        found = []
        for name in sorted(name for name in names if name != _IN_USE):
            try:
                found.append(self.baseline(model_name, name))
            except NotFoundError:
                continue  # half made, or half deleted
            except DamagedError as error:
                _LOG.error("%s; it is not among the baselines", error)
        return found

    def baseline(self, model_name: str, name: str) -> Baseline:
        """Return a baseline; raises NotFoundError when there is none of that name."""
        try:
            payload = self._objects.read(f"{_folder(model_name, check_name(name))}baseline.json")
        except NotFoundError:
            raise NotFoundError(f"{model_name} has no baseline '{name}'") from None
        try:
            baseline = _decode(payload)
        except UNREADABLE as error:
            raise DamagedError(f"baseline '{name}' of {model_name}", error) from error
        if baseline.format != FORMAT:
            why = f"it has format {baseline.format}; this code reads {FORMAT}"
            raise DamagedError(f"baseline '{name}' of {model_name}", why)
        return baseline

    def profile(self, baseline: Baseline) -> Profile:
        """Return the profile of a baseline."""
        return next(each.profile for each in self._slices(baseline) if each.segment == EVERYTHING)

    def segments(self, baseline: Baseline) -> dict[SegmentKey, Profile]:
        """Return the profiles of a baseline's segments."""
        slices = self._slices(baseline)
        return {each.segment: each.profile for each in slices if each.segment != EVERYTHING}

    def constraints(self, baseline: Baseline) -> Constraints:
        """Return the constraints that hold now."""
        prefix = f"{_content(baseline)}constraints-"
        number = self._newest(prefix)
        if not number:
            raise NotFoundError(f"baseline '{baseline.name}' has no constraints")
        return decode_constraints(self._version(prefix, number))

    def replace_constraints(self, baseline: Baseline, constraints: Constraints) -> None:
        """Replace the constraints in use."""
        prefix = f"{_content(baseline)}constraints-"
        name, model = baseline.name, baseline.model_name
        self._append(
            prefix,
            encode_constraints(constraints),
            self._newest(prefix),
            f"the constraints of baseline '{name}' of {model}",
            f"modelwatch baseline constraints {name} --model {model}",
        )

    def delete(self, model_name: str, name: str) -> None:
        """Delete a baseline that is not in use."""
        self.baseline(model_name, name)
        use, _ = self._use(model_name)
        if name in (use.name, *use.versions.values()):
            raise InvalidInputError(
                "name", f"'{name}' is in use; first `modelwatch baseline use` another one"
            )
        folder = _folder(model_name, name)
        # what names the rest goes first: half a deletion is one
        self._objects.delete([f"{folder}baseline.json"])
        self._objects.delete([key for key, _ in self._objects.keys(folder)])

    def in_use(self, model_name: str, model_version: str = "") -> str:
        """Return the name of the baseline in use for a version; `TRAINING` by default."""
        use, _ = self._use(model_name)
        return use.versions.get(model_version, use.name)

    def of_versions(self, model_name: str) -> dict[str, str]:
        """Return the names of the baselines that are in use for single versions."""
        use, _ = self._use(model_name)
        return use.versions

    def use(self, model_name: str, name: str) -> None:
        """Compare windows of the model with this baseline from now on, or with `TRAINING`.

        It holds for all versions again.
        """
        self._change(model_name, lambda _: _Use(name))

    def use_for(self, model_name: str, model_version: str, name: str) -> None:
        """Compare windows of one version with this baseline; empty: with the model's again."""

        def change(use: _Use) -> _Use:
            others = {each: used for each, used in use.versions.items() if each != model_version}
            return _Use(use.name, others | ({model_version: name} if name else {}))

        self._change(model_name, change)

    def _use(self, model_name: str) -> tuple[_Use, int]:
        """Return what is in use, and the number of the version that says so."""
        prefix = _in_use(model_name)
        number = self._newest(prefix)
        return (_decode_use(self._version(prefix, number)) if number else _Use(TRAINING)), number

    def _change(self, model_name: str, change: Callable[[_Use], _Use]) -> None:
        before, number = self._use(model_name)
        after = change(before)
        for each in {after.name, *after.versions.values()} - {TRAINING}:
            self.baseline(model_name, each)
        if after != before:
            self._append(
                _in_use(model_name),
                msgspec.json.encode(after),
                number,
                f"which baseline {model_name} uses",
                f"modelwatch baseline list --model {model_name}",
            )

    def _slices(self, baseline: Baseline) -> list[Slice]:
        key = f"{_content(baseline)}profile"
        if key not in self._known:  # a digest is part of it: its content is always the same
            self._known = {key: decode_slices(self._objects.read(key))}
        return self._known[key]


def _model(model_name: str) -> str:
    return f"{_BASELINES}{escape(model_name)}/"


def _in_use(model_name: str) -> str:
    return f"{_model(model_name)}{_IN_USE}/"


def _folder(model_name: str, name: str) -> str:
    return f"{_model(model_name)}{name}/"


def _content(baseline: Baseline) -> str:
    return f"{_folder(baseline.model_name, baseline.name)}{baseline.profile_sha256[:20]}/"
