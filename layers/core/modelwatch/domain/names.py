"""Names of models, versions, variants and features, ids of events: one definition of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated

import msgspec

from modelwatch.domain.keys import RESULTS, dotless, escape
from modelwatch.errors import Fault, InvalidInputError

MOST_CHARACTERS = 250

MOST_IN_A_KEY = 280
"""Characters that a name may take in a key of 1,024 bytes, which a result has three of."""

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""What no name has: control characters, and what Unicode calls the end of a line or paragraph."""

# Python's `$` also stands before a line break at the end; a regex of JSON Schema has no `\Z`
NAME_PATTERN = rf"^(?!(\.{{1,2}}|__HIVE_DEFAULT_PARTITION__)$)[^/:={_CONTROL}]+$(?!\n)"
EVENT_ID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$(?!\n)"

FEATURE_PATTERN = rf"^[^{_CONTROL}]*[^ {_CONTROL}][^{_CONTROL}]*$(?!\n)"
"""Of a feature's name: no control character, and something else than blanks."""

ALIAS_PATTERN = r"^(?!(?i:latest)$)(?!(?i:v\d+)$)[\w-]{1,255}$(?!\n)"
"""Of an alias: MLflow's rule, which every registry keeps."""

STAGES = ("Staging", "Production", "Archived")
"""The stages that a version may be in."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS, pattern=NAME_PATTERN)]
"""A model's or version's name: it is a folder on S3 and part of `model_name=…`.

Some S3s take no key with a folder ``.`` or ``..``, and readers of Hive's folders take
``__HIVE_DEFAULT_PARTITION__`` for no name.
"""

VARIANT_PATTERN = rf"^[^/:={_CONTROL}]*$(?!\n)"
SOURCE_PATTERN = rf"^[^{_CONTROL}]*$(?!\n)"

VariantName = Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS, pattern=VARIANT_PATTERN)]
"""A variant's name: as a model's, or empty. It is part of the names of results."""

Source = Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS, pattern=SOURCE_PATTERN)]
"""Who sent a record or a label: an application's name, or empty."""

EventId = Annotated[str, msgspec.Meta(pattern=EVENT_ID_PATTERN)]
"""A UUID in its canonical form."""

EXPECTED = {
    NAME_PATTERN: "a name without '/', ':', '=', tabs, line breaks and other control characters "
    "that is none of '.', '..' and '__HIVE_DEFAULT_PARTITION__'",
    VARIANT_PATTERN: "a name without '/', ':', '=', tabs, line breaks and other control characters",
    SOURCE_PATTERN: "a text without tabs, line breaks and other control characters",
    EVENT_ID_PATTERN: "a UUID, such as 018bcfe5-6800-7000-8000-000000000000",
}
"""What is right, in words, by pattern."""

_model_name = re.compile(NAME_PATTERN)
_alias = re.compile(ALIAS_PATTERN)
_feature_name = re.compile(FEATURE_PATTERN)

_known: set[str] = set()
_MOST_KNOWN = 100_000


def check_model_name(name: str, field: str = "name") -> None:
    """Refuse what is no name of a model.

    Raises InvalidInputError when it is empty, too long, '.', '..' or Hive's word for no name, or
    has a slash, colon, equals sign or control character.

    Examples
    --------
    >>> check_model_name("churn model (v2)")
    >>> check_model_name("a=b")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: name: 'a=b' is no name of a model: it has 1 to 250 \
characters, none of them is a slash, a colon, an equals sign or a control character, and it is \
none of '.', '..' and '__HIVE_DEFAULT_PARTITION__'
    """
    _check_name(name, field, "name of a model")


def check_model_version(name: str, field: str = "version") -> None:
    """Refuse what is no version of a model: the same as what is no name of one.

    >>> check_model_version("2026-03")
    >>> check_model_version("1/2")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: version: '1/2' is no version of a model: it has 1 to 250 \
characters, none of them is a slash, a colon, an equals sign or a control character, and it is \
none of '.', '..' and '__HIVE_DEFAULT_PARTITION__'
    """
    _check_name(name, field, "version of a model")


def _check_name(name: str, field: str, what: str) -> None:
    if 0 < len(name) <= MOST_CHARACTERS and _model_name.match(name) and _is_text(name):
        if faults := list(key_faults(name, field)):
            raise InvalidInputError.of(faults)
        return
    raise InvalidInputError(
        field,
        f"{_shown(name)} is no {what}: it has 1 to {MOST_CHARACTERS} characters, none of "
        "them is a slash, a colon, an equals sign or a control character, and it is none of '.', "
        "'..' and '__HIVE_DEFAULT_PARTITION__'",
    )


def key_faults(name: str, field: str) -> Iterator[Fault]:
    """Yield a fault if a name of a model, version or variant is too long for the keys of S3.

    >>> [str(each) for each in key_faults("имя" * 16, "model_name")]
    ["model_name: 'имяимяимяимяимяимяимяимяимяимяимяимяимяимяимяимя' takes 288 characters in a \
key of S3, where a letter beyond ASCII takes 6 to 12; expected at most 280"]
    """
    length = _length_in_a_key(name)
    if length > MOST_IN_A_KEY:
        yield Fault(
            field,
            f"{_shown(name)} takes {length} characters in a key of S3, where a letter beyond ASCII "
            f"takes 6 to 12; expected at most {MOST_IN_A_KEY}",
        )


@lru_cache(1_000)
def _length_in_a_key(name: str) -> int:
    # as a variant has it, at the end of a result's key: no place takes more
    return len(escape(dotless(name), RESULTS))


def check_alias(name: str, field: str = "alias") -> None:
    """Refuse what is no alias of a version; raises InvalidInputError.

    >>> check_alias("champion")
    >>> check_alias("v2")
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: alias: 'v2' is not an alias: up to 255 letters, digits, \
_ and -, neither latest nor like v1
    """
    if not _alias.match(name):
        raise InvalidInputError(
            field,
            f"{_shown(name)} is not an alias: up to 255 letters, digits, _ and -, neither latest "
            "nor like v1",
        )
    # it is the variant of what it serves
    if faults := list(key_faults(name, field)):
        raise InvalidInputError.of(faults)


def stage_of(text: str, field: str = "stage") -> str:
    """Return the stage that ``text`` names, whose case does not count.

    >>> stage_of("production")
    'Production'
    """
    stage = text.capitalize()
    if stage not in STAGES:
        raise InvalidInputError(field, f"{_shown(text)} is not one of {', '.join(STAGES)}")
    return stage


def check_feature_names(names: Iterable[str], field: str = "features") -> None:
    """Refuse what is no name of a feature.

    Raises InvalidInputError for the first one that is blank, too long, or has a control character
    (a tab, a line's end).

    Examples
    --------
    >>> check_feature_names(["alcohol", "a=b", "0", "größe"])
    >>> check_feature_names(["alcohol", "a\\tb"])
    Traceback (most recent call last):
        ...
    modelwatch.errors.InvalidInputError: features: 'a\\tb' is no name of a feature: it has 1 to \
250 characters, is not blank, and has no control character such as a tab
    """
    faults = list(feature_name_faults(names, field))
    if faults:
        raise InvalidInputError.of(faults)


def feature_name_faults(names: Iterable[str], field: str = "features") -> Iterator[Fault]:
    """Yield what is wrong with names of features; see `check_feature_names`."""
    # a model's names come with every record: each is looked at once
    unknown = [name for name in names if name not in _known]
    for name in unknown:
        if _is_feature(name):
            if len(_known) < _MOST_KNOWN:
                _known.add(name)
        else:
            yield Fault(
                field,
                f"{_shown(name)} is no name of a feature: it has 1 to {MOST_CHARACTERS} "
                "characters, is not blank, and has no control character such as a tab",
            )


def _is_feature(name: str) -> bool:
    return len(name) <= MOST_CHARACTERS and bool(_feature_name.match(name)) and _is_text(name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no file and no JSON can hold it
        return False
    return True


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "…")


_MOST_NAMED = 10


def few_of(names: Sequence[str]) -> str:
    """Return what there is, for a message that what was asked for is not there.

    >>> few_of(["a", "b"]), few_of([str(number) for number in range(12)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    more = len(names) - _MOST_NAMED
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
