"""What can go wrong, as types, and the one table from an error to an HTTP status."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

_IN_THE_LOG = "the function's log says why"


class ModelwatchError(Exception):
    """Base of every error that modelwatch raises on purpose; `str()` is a sentence for the user.

    Attributes
    ----------
    public
        What a caller of an API reads instead, where `str()` may quote AWS or another server: such
        a text can name accounts, roles, buckets and addresses. Empty: `str()` itself.
    """

    public: str = ""


class SettingError(ModelwatchError):
    """A setting is missing or cannot be read."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"setting {name}: {problem}")


class WrongSettingsError(ModelwatchError):
    """Settings are wrong: each of ``errors`` says one of them."""

    def __init__(self, errors: Sequence[SettingError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in errors))


def writable(text: str) -> str:
    """Return ``text`` with half of a surrogate pair as an escape: no response can hold it."""
    return text.encode(errors="backslashreplace").decode()


class Fault(NamedTuple):
    """One thing that is wrong with an input.

    Attributes
    ----------
    field
        The place, as a path such as ``features.alcohol``; empty for the whole input.
    problem
        What was found and what would be right.
    """

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


class InvalidInputError(ModelwatchError):
    """A request or record is not what its contract asks for.

    Parameters
    ----------
    field, problem
        The first thing that is wrong: see `Fault`.
    others
        What else is wrong.

    Examples
    --------
    >>> print(InvalidInputError("a", "is missing", [Fault("b", "is null"), Fault("c", "is null")]))
    a: is missing (and 2 more errors, at b, c)
    """

    def __init__(self, field: str, problem: str, others: Sequence[Fault] = ()) -> None:
        self.faults = tuple(
            Fault(writable(each.field), writable(each.problem))
            for each in (Fault(field, problem), *others)
        )
        self.field, self.problem = self.faults[0]
        places = ", ".join(dict.fromkeys(each.field for each in self.faults[1:6] if each.field))
        plural = "" if len(others) == 1 else "s"
        more = f" (and {len(others)} more error{plural}" if others else ""
        more += (f", at {places}" if places else "") + (")" if more else "")
        super().__init__(f"{self.faults[0]}{more}")

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """Return the error of one or more ``faults``."""
        return cls(*faults[0], faults[1:])

    def within(self, place: str) -> Self:
        """Return the same with paths that begin at ``place``, such as ``rows[3]``.

        >>> InvalidInputError("alcohol", "is missing").within("[3]").field
        '[3].alcohol'
        """
        return self.of(
            [Fault(f"{place}.{field}" if field else place, each) for field, each in self.faults]
        )


class UnsupportedMediaTypeError(ModelwatchError):
    """A body is not said to be JSON."""


class PayloadTooLargeError(ModelwatchError):
    """A body is larger than what is taken."""


class RecordTooLargeError(PayloadTooLargeError):
    """Records are larger than a message of the capture queue.

    Parameters
    ----------
    sizes
        Bytes as JSON by event id, of those that are too large.
    """

    def __init__(self, sizes: Mapping[str, int], limit_bytes: int) -> None:
        self.event_ids = frozenset(sizes)
        event_id, size = next(iter(sizes.items()))
        more = f", and {len(sizes) - 1} more are too large" if len(sizes) > 1 else ""
        super().__init__(
            f"record {event_id} has {size} bytes; at most {limit_bytes} are taken{more}"
        )


class ModelRefusalError(ModelwatchError):
    """The model does not take values that its signature allows."""


class PredictionError(ModelwatchError):
    """What the model gave for a row is no prediction: NaN, an infinity, null."""


class NoModelError(ModelwatchError):
    """No version of the model can be served: none is registered, or the alias points nowhere."""


class ModelLoadError(ModelwatchError):
    """A model version exists and cannot be loaded here.

    Parameters
    ----------
    public
        The same for a caller, where ``problem`` quotes what the model's own code said.
    """

    def __init__(self, problem: str, public: str = "") -> None:
        super().__init__(problem)
        self.public = public


class RegistryError(ModelwatchError):
    """The model registry does not respond, or its response is not understood."""

    public = f"the model registry cannot be used now; {_IN_THE_LOG}"


class StoreError(ModelwatchError):
    """The object store refuses a read or a write, or does not respond."""

    public = f"the object store cannot be used now; {_IN_THE_LOG}"


class DamagedError(StoreError):
    """A stored document cannot be read: it is damaged, or of another release."""

    public = ""

    def __init__(self, what: str, why: object) -> None:
        super().__init__(f"{what} cannot be read: {why}")


class ProfileFormatError(StoreError):
    """A stored profile is damaged, or of another version of the format."""


class EvidenceError(ModelwatchError):
    """What was kept of an analysis is missing or damaged."""


class MonitorError(ModelwatchError):
    """A monitor cannot be applied, or the rules of an applied one cannot be read."""


class QueueError(ModelwatchError):
    """The capture queue did not take a record."""

    public = f"the capture queue takes no records now; {_IN_THE_LOG}"


class EventBusError(ModelwatchError):
    """The event bus did not take a verdict event."""


class StartError(ModelwatchError):
    """An analysis that was asked for cannot be started."""

    public = f"no analysis can be started now; {_IN_THE_LOG}"


class AskedRunError(ModelwatchError):
    """An analysis that was asked for failed, with the ``status`` that a response would have had."""

    status = 500

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class CallerError(ModelwatchError):
    """A request does not show that its sender may call."""


class IssuerError(ModelwatchError):
    """The issuer of tokens does not respond, or its response is not understood."""

    public = f"no caller can be recognized now; {_IN_THE_LOG}"


class NotFoundError(ModelwatchError):
    """Something that was asked for by name is not there."""


HTTP_STATUS: dict[type[ModelwatchError], int] = {
    InvalidInputError: 400,
    CallerError: 401,
    IssuerError: 503,
    UnsupportedMediaTypeError: 415,
    PayloadTooLargeError: 413,
    ModelRefusalError: 422,
    NotFoundError: 404,
    PredictionError: 500,
    NoModelError: 503,
    ModelLoadError: 503,
    MonitorError: 409,
    RegistryError: 503,
    StoreError: 503,
    QueueError: 503,
    StartError: 503,
    SettingError: 500,
}


def public_text(error: ModelwatchError) -> str:
    """Return what a caller of an API reads of ``error``.

    >>> public_text(StoreError("cannot read a: User arn:aws:iam::123456789012:user/x is not ..."))
    "the object store cannot be used now; the function's log says why"
    """
    return error.public or writable(str(error))


def http_status(error: ModelwatchError) -> int:
    """Return the HTTP status that stands for ``error``.

    >>> http_status(NoModelError("none"))
    503
    """
    if isinstance(error, AskedRunError):
        return error.status
    for kind in type(error).__mro__:
        if kind in HTTP_STATUS:
            return HTTP_STATUS[kind]
    return 500


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return ``error``, what led to it, and so on; the last one is the root."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def stack_of(error: BaseException) -> str:
    """Return where ``error`` was raised, and its type, without its message.

    A foreign message may quote the values it stumbled over, and features never go to a log.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{frames}{type(error).__name__}"
