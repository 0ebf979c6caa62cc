"""The files of a table: one, a folder of them, or a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from modelwatch.adapters.aws.clients import s3_client
from modelwatch.adapters.aws.objects import S3Objects
from modelwatch.domain.optional import optional_part
from modelwatch.errors import InvalidInputError, ModelwatchError
from modelwatch_cli.settings import Settings

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""Format by the ending of a file's name."""

COMPRESSED = (".gz", ".bz2", ".zst")
"""Further endings of text files."""

_S3 = "s3://"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call a partition without a value."""


class TableFile(NamedTuple):
    """A file of a table.

    ``name`` is how it is shown; ``form`` one of `FORMATS`; ``partitions`` are the columns in the
    names of its folders, such as ``date=2026-01-11``.
    """

    path: Path
    name: str
    form: str
    partitions: dict[str, str | None]


def form_of(name: str) -> str | None:
    """Return the format of a file by its name; None for what is no table.

    >>> [form_of(name) for name in ("a.CSV", "a.tsv.gz", "a.parquet", "a.parquet.gz", "a.txt")]
    ['csv', 'tsv', 'parquet', None, None]
    """
    path = PurePosixPath(name.lower())
    packed = path.suffix in COMPRESSED
    form = FORMATS.get(path.with_suffix("").suffix if packed else path.suffix)
    return None if packed and form == "parquet" else form


def is_table(source: str, settings: Settings) -> bool:
    """Return whether a source has what SageMaker's has not: its files end in ``.jsonl``.

    Without SageMaker's part of the program, everything is a table.
    """
    if not optional_part("modelwatch_cli.capture.sagemaker"):
        return True
    names = [PurePosixPath(name).name for name, _ in _listed(source, settings)]
    others = [name for name in names if not name.endswith(".jsonl")]
    return any(map(form_of, others)) or (others == names != [])


def fetch(
    source: str, settings: Settings, folder: Path, advance: Callable[[int], None]
) -> list[TableFile]:
    """Return the files of a table, in order; those of a bucket are downloaded into ``folder``.

    Files and folders whose names begin with ``_`` or ``.`` are none of it, such as ``_SUCCESS``.

    Raises InvalidInputError when there is none, or one is of another format.

    Parameters
    ----------
    advance
        Called with the bytes of each file that was downloaded.
    """
    found = list(_listed(source, settings))
    if not found:
        raise InvalidInputError(source, f"has no files; {_EXPECTED}")
    forms = [form_of(name) for name, _ in found]
    if None in forms:
        name = found[forms.index(None)][0]
        raise InvalidInputError(name, f"is no table: {_EXPECTED}")
    if len(set(forms)) > 1:
        kinds = ", ".join(sorted(set(map(str, forms))))
        raise InvalidInputError(
            source, f"has files of several formats ({kinds}); import each alone"
        )
    return [
        TableFile(path, name, str(form), partitions_of(name))
        for form, (name, path) in zip(
            forms, _local(source, settings, folder, found, advance), strict=True
        )
    ]


_EXPECTED = (
    f"expected a file that ends in one of {', '.join(FORMATS)}; "
    f"text files may also end in {', '.join(COMPRESSED)}"
)


def partitions_of(name: str) -> dict[str, str | None]:
    """Return the columns in the names of a file's folders.

    >>> partitions_of("scores/date=2026-01-11/city=K%C3%B6ln/part-0.parquet")
    {'date': '2026-01-11', 'city': 'Köln'}
    """
    pairs = [part.partition("=") for part in PurePosixPath(name).parts[:-1]]
    return {
        unquote(column): None if value == _NO_VALUE else unquote(value)
        for column, equals, value in pairs
        if equals and column
    }


def _listed(source: str, settings: Settings) -> Iterator[tuple[str, int]]:
    """Yield name and size of each file; the name begins with the source."""
    if source.startswith(_S3):
        bucket, prefix = _bucket_and_prefix(source)
        for key, size in keys_of_table(S3Objects(s3_client(settings), bucket), prefix):
            yield f"{_S3}{bucket}/{key}", size
        return
    path = Path(source)
    if path.is_file():
        yield source, path.stat().st_size
        return
    if not path.is_dir():
        raise InvalidInputError(source, "is no file and no folder")
    for file in sorted(path.rglob("*")):
        if file.is_file() and _counts(file.relative_to(path).as_posix()):
            yield str(file), file.stat().st_size


def keys_of_table(objects: S3Objects, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield key and size of each object that ``prefix`` names, or that is in the folder it names.

    So ``scores`` is no start of ``scores-old/``, nor ``scores.csv`` of ``scores.csv.gz``.
    """
    for key, size in objects.keys(prefix):
        rest = key.removeprefix(prefix)
        is_in_it = not rest or not prefix or prefix.endswith("/") or rest.startswith("/")
        if is_in_it and not key.endswith("/") and _counts(rest):
            yield key, size


def _counts(name: str) -> bool:
    return not any(part.startswith(("_", ".")) for part in PurePosixPath(name).parts)


def _bucket_and_prefix(source: str) -> tuple[str, str]:
    bucket, _, prefix = source.removeprefix(_S3).partition("/")
    if not bucket:
        raise InvalidInputError(source, "names no bucket, as in s3://bucket/prefix")
    return bucket, prefix


def _local(
    source: str,
    settings: Settings,
    folder: Path,
    found: list[tuple[str, int]],
    advance: Callable[[int], None],
) -> Iterator[tuple[str, Path]]:
    if not source.startswith(_S3):
        yield from ((name, Path(name)) for name, _ in found)
        return
    bucket, _ = _bucket_and_prefix(source)
    objects = S3Objects(s3_client(settings), bucket)
    for number, (name, size) in enumerate(found):
        path = folder / f"{number:06}"
        try:
            objects.download(name.removeprefix(f"{_S3}{bucket}/"), path)
        except OSError as error:
            raise ModelwatchError(f"cannot keep {name} for the import: {error}") from error
        advance(size)
        yield name, path
