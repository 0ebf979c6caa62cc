"""Replay: an answer of the past, made again from what was kept beside it."""

from __future__ import annotations

import msgspec

from modelwatch.domain.differences import Difference, differences
from modelwatch.domain.evidence import CodeVersion, Manifest
from modelwatch.ports import ReportStore
from modelwatch.services.evidence import answered_again


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes
    ----------
    result
        Name of the result.
    same
        Whether every number and word is the same, to the last bit.
    differences
        Where it is not.
    given_by, replayed_by
        The code that gave the answer, and the code that was asked now.
    manifest
        What the answer was made of.
    """

    result: str
    same: bool
    differences: tuple[Difference, ...]
    given_by: CodeVersion
    replayed_by: CodeVersion
    manifest: Manifest


class Replayer:
    """Makes answers of the past again: no capture, registry or baseline is asked.

    Parameters
    ----------
    reports
        Where results are, and what they were made of.
    code
        This code.
    """

    def __init__(self, reports: ReportStore, code: CodeVersion) -> None:
        self._reports = reports
        self._code = code

    def replay(self, name: str) -> Replay:
        """Make the result ``name`` again, and say what is different.

        Raises
        ------
        NotFoundError
            When there is no such result.
        EvidenceError
            When what it was made of was not kept, or is missing or damaged.
        """
        given = self._reports.result(name)
        evidence = self._reports.evidence(given)
        found = differences(given, answered_again(given, evidence))
        return Replay(
            result=name,
            same=not found,
            differences=found,
            given_by=evidence.manifest.code,
            replayed_by=self._code,
            manifest=evidence.manifest,
        )
