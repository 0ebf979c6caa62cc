"""All that is wrong with a JSON text, each with its path.

A good text is read by msgspec alone, which stops at the first thing that it does not like. Only a
text that was refused is read again here, by Python's json, and held against the same types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from modelwatch.domain.names import EXPECTED
from modelwatch.errors import Fault, InvalidInputError

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises when a text is not what is asked for."""

MOST_FAULTS = 100
"""So many are named in one response: a long list of wrong rows is not listed whole."""

Path = tuple[str | int, ...]
"""The way to a value: names and indexes."""


class Blame(NamedTuple):
    """What is wrong at a path."""

    path: Path
    problem: str

    def fault(self) -> Fault:
        """Return the same with the path written out."""
        return Fault(field_of(self.path), self.problem)


@dataclass(frozen=True, slots=True)
class _Repeating:
    """A JSON object that has a name twice: no type of ours fits it."""

    pairs: list[tuple[str, Any]]

    def blames(self, path: Path) -> Iterator[Blame]:
        """Yield each name that is there more than once."""
        for name in repeated(name for name, _ in self.pairs):
            yield Blame((*path, name), "is there twice; give it once")


@dataclass(frozen=True, slots=True)
class _NoNumber:
    """NaN, Infinity, or a number that no float holds: no type of ours fits it."""

    problem: str


def field_of(path: Path) -> str:
    """Write a path as the field of an error.

    Examples
    --------
    >>> field_of(("rows", 3, "alcohol"))
    'rows[3].alcohol'
    """
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return words.removeprefix(".")


_BEYOND_64_BITS = (f"Expected `int` <= {2**63 - 1}", f"Expected `int` >= {-(2**63)}")
"""How msgspec names a whole number that `modelwatch.domain.numbers` refuses."""


def invalid_json(error: Exception) -> InvalidInputError:
    """Turn msgspec's complaint into ours: the JSON path becomes the field.

    Examples
    --------
    >>> invalid_json(ValueError("Expected `str`, got `int` - at `$.features.alcohol`")).field
    'features.alcohol'
    >>> invalid_json(ValueError("Invalid RFC3339 encoded datetime - at `$.from`")).problem
    'is no time; expected one such as 2026-03-01T09:00:00Z'
    """
    if isinstance(error, UnicodeDecodeError):
        return InvalidInputError("", f"the text is not UTF-8: {error.reason}")
    if isinstance(error, RecursionError):
        return InvalidInputError("", "the text is nested too deeply")
    problem, _, path = str(error).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    if problem.endswith("with a timezone component"):
        problem = "has no time zone; end it with 'Z' for UTC"
    if problem == "Invalid RFC3339 encoded datetime":
        problem = "is no time; expected one such as 2026-03-01T09:00:00Z"
    for pattern, expected in EXPECTED.items():
        if problem.endswith(f"matching regex {pattern!r}"):
            problem = f"is not {expected}"
    if problem.startswith(_BEYOND_64_BITS):
        problem = "is not a finite number of 64 bits"
    return InvalidInputError("" if field.startswith("key") else field, problem.replace("`", "'"))


def refusal(
    body: bytes | str,
    kind: Any,
    error: Exception,
    further: Callable[[Any, Sequence[Blame]], Iterable[Fault]] = lambda _value, _found: (),
) -> InvalidInputError:
    """Return the error that names all faults of a JSON text which msgspec refused.

    Parameters
    ----------
    kind
        The type that it should be of.
    error
        What msgspec said; it stands where nothing more is found, as in a text that is cut off.
    further
        Finds what types alone cannot show, given what `lenient` read and what is blamed already.

    Examples
    --------
    >>> class Point(msgspec.Struct, forbid_unknown_fields=True):
    ...     x: float
    ...     y: float
    >>> for field, problem in refusal(b'{"x": "1", "z": 2}', Point, ValueError("")).faults:
    ...     print(f"{field}: {problem}")
    x: Expected 'float', got 'str'
    y: is missing; expected 'float'
    z: is no known field; those are x, y
    """
    value = lenient(body)
    found = list(islice(blames(value, kind), MOST_FAULTS)) if value is not None else []
    if found:
        if isinstance(value, _Repeating):
            value = dict(value.pairs)
        faults = [blame.fault() for blame in found]
        faults += islice(further(value, found), MOST_FAULTS - len(faults))
        return InvalidInputError.of(faults)
    plain = invalid_json(error)
    return InvalidInputError(plain.field.removesuffix("[...]"), plain.problem)


def beyond_types[T](
    value: dict[str, Any],
    wrong: Set[str | int],
    kind: type[T],
    stand_ins: Mapping[str, object],
    faults: Callable[[T], Iterable[Fault]],
) -> Iterator[Fault]:
    """Yield what types cannot say of the fields of an object that are of the right types.

    Parameters
    ----------
    value
        The object, as `lenient` read it.
    wrong
        The fields that are blamed already: nothing more is said of them.
    kind
        What the object should be.
    stand_ins
        What takes the place of a wrong field that must not be missing.
    faults
        Checks a ``kind``.
    """
    right = {name: value[name] for name in value.keys() - wrong}
    replaced = {name: each for name, each in stand_ins.items() if name in wrong}
    found = msgspec.convert({**right, **replaced}, kind)
    yield from (fault for fault in faults(found) if fault.field not in wrong)


def refuse_repeated_names(body: bytes, decoded: object) -> None:
    """Refuse a JSON text with an object that has a name twice: msgspec keeps the last, silently.

    Raises InvalidInputError with each such name.
    """
    # Every string has two quotation marks, and those of a repeated name are on top. No more marks
    # than in what was decoded, and none escaped: nothing is repeated.
    marks = body.count(b'"')
    if b"\\" in body or marks > msgspec.json.encode(decoded).count(b'"'):
        refuse_names_in(body)


def refuse_names_in(body: bytes) -> None:
    """Look for names that stand twice in an object of a JSON text; see `refuse_repeated_names`."""
    found = list(islice(_repeated_within(lenient(body), ()), MOST_FAULTS))
    if found:
        raise InvalidInputError.of([blame.fault() for blame in found])


def lenient(body: bytes | str) -> Any:
    """Read a JSON text with what is no JSON, for `blames` to name; None when it is no such text."""
    try:
        return json.loads(
            body if isinstance(body, str) else body.decode(),
            object_pairs_hook=_object,
            parse_constant=lambda name: _NoNumber(
                f"found {name}, which is not JSON; a missing number is null"
            ),
            parse_int=_whole,
            parse_float=_real,
        )
    except (ValueError, RecursionError):
        return None


def blames(value: Any, kind: Any, path: Path = ()) -> Iterator[Blame]:
    """Yield what is wrong with a value that `lenient` read, held against a type."""
    if isinstance(value, _NoNumber):
        yield Blame(path, value.problem)
        return
    if isinstance(value, _Repeating):
        yield from value.blames(path)
        value = dict(value.pairs)
    try:
        msgspec.convert(value, kind)
        return
    except msgspec.ValidationError as error:
        problem = invalid_json(error).problem
    except UnicodeEncodeError:
        problem = "holds half of a surrogate pair, which is no text"
    deeper = False
    for blame in _inside(value, kind, path):
        deeper = True
        yield blame
    if not deeper:
        yield Blame(path, _in_words(value, kind, problem))


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that are there more than once, each once.

    >>> repeated(["a", "b", "a", "a"])
    ['a']
    """
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name in names:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)


def _repeated_within(value: Any, path: Path) -> Iterator[Blame]:
    """Yield the blames of names that any object in a value has twice."""
    if isinstance(value, _Repeating):
        yield from value.blames(path)
        value = dict(value.pairs)
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _repeated_within(each, (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _repeated_within(each, (*path, index))


def _inside(value: Any, kind: Any, path: Path) -> Iterator[Blame]:
    """Yield the blames of what a list or an object holds."""
    for option in _options(kind):
        origin = get_origin(option) or option
        if isinstance(value, dict):
            if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
                yield from _fields(value, origin, path)
            elif origin is dict:
                for name, each in value.items():
                    yield from blames(each, get_args(option)[1], (*path, name))
        elif isinstance(value, list) and origin is list:
            for index, each in enumerate(value):
                yield from blames(each, get_args(option)[0], (*path, index))


def _fields(value: dict[str, Any], kind: type[msgspec.Struct], path: Path) -> Iterator[Blame]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name in value:
            yield from blames(value[name], field.type, (*path, name))
        elif field.required:
            yield Blame((*path, name), f"is missing; expected {_expected(field.type)}")
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in fields:
                yield Blame((*path, name), f"is no known field; those are {', '.join(fields)}")


def _in_words(value: Any, kind: Any, problem: str) -> str:
    """Add to msgspec's words what was found, or what would be right."""
    if problem.startswith("is ") and isinstance(value, str):
        return f"'{value[:60]}' {problem}"
    choices = [
        c for option in _options(kind) if get_origin(option) is Literal for c in get_args(option)
    ]
    if choices and "enum value" in problem:
        return f"'{value!s:.60}' is none of {', '.join(filter(None, choices))}"
    return problem


def _expected(kind: Any) -> str:
    """Say what a type asks for, in msgspec's words.

    >>> _expected(str | None), _expected(dict[str, float])
    ("'str | null'", "'object'")
    """
    try:
        msgspec.convert(_NoNumber(""), kind)
    except msgspec.ValidationError as error:
        return invalid_json(error).problem.removeprefix("Expected ").partition(", got")[0]
    return "a value"


def _options(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, without what is annotated."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Union or isinstance(kind, type(int | str)):
        return tuple(option for member in get_args(kind) for option in _options(member))
    return (kind,)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeating:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeating(pairs)


def _whole(text: str) -> int | _NoNumber:
    # the longest that a float holds has 309 digits; int() itself refuses texts of 4301 and more
    return int(text) if len(text) < 1000 else _NoNumber("the number is out of range")


def _real(text: str) -> float | _NoNumber:
    number = float(text)
    return number if math.isfinite(number) else _NoNumber("the number is out of range")
