"""Reads back what a model's windows are compared with."""

from __future__ import annotations

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.results.reports import S3ReportStore
from modelwatch.domain.profiles import Profile
from modelwatch.domain.verdict.evidence import decode_reference
from modelwatch.errors import NotFoundError
from modelwatch.settings import Settings

_MOST_RESULTS = 20
"""So many of the newest results are looked at for one that had a reference."""


def reference(model: str, *, version: str = "", settings: Settings | None = None) -> Profile:
    """Return the profile that the newest window of a model was compared with.

    It is kept beside the result, to the bit: of training data, a baseline or a window of captures.
    It comes from the bucket of results, for which it needs the rights to list and read.

    Parameters
    ----------
    model
        Its name.
    version
        Of this version's newest window; by default of the newest of any version.
    settings
        Where the bucket is; None: what the environment variables say, such as REPORT_BUCKET and
        AWS_ENDPOINT_URL_S3.

    Raises
    ------
    NotFoundError
        When there is no result of that name, or none of the newest 20 had a reference.
    EvidenceError
        When what was kept is missing or damaged.
    StoreError
        When the bucket cannot be read.

    Examples
    --------
    ::

        found = modelwatch.captures("wine", version="3")
        found.plot("alcohol", modelwatch.reference("wine", version="3"))
    """
    settings = settings or Settings()
    store = S3ReportStore(s3_client(settings), settings.report_bucket)
    versions = [each for each in store.versions(model) if version in ("", each[1])]
    of = f"'{model}'" + (f" version '{version}'" if version else "")
    names = store.newest(versions, None, None, _MOST_RESULTS) if versions else []
    for each in names:
        result = store.result(str(each.name))
        if not result.manifest:
            continue
        evidence = store.evidence(result)
        if read := evidence.manifest.reference:
            return decode_reference(evidence.reference, read).profile
    why = "none of its newest results had a reference" if names else "there is no result"
    raise NotFoundError(f"there is no reference of {of} in '{settings.report_bucket}': {why}")
