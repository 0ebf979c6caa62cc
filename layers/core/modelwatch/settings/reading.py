"""The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self, cast, overload

from modelwatch.errors import InvalidInputError, SettingError


class Setting[T]:
    """One environment variable, named as the attribute is, in capitals.

    Parameters
    ----------
    default
        As it would be written. Empty: it may be left out, and its value is an empty text.
    kind
        Reads its value, or says what is wrong with it: see `kinds`.
    is_secret
        It is not shown.
    is_given
        A function has it from where it runs, and not from its deployment.
    """

    name: str
    blank: Any = ""

    def __init__(
        self,
        default: str,
        meaning: str,
        kind: Callable[[str], T],
        *,
        is_secret: bool = False,
        is_given: bool = False,
    ) -> None:
        self.default = default
        self.meaning = meaning
        self.kind = kind
        self.is_secret = is_secret
        self.is_given = is_given

    def default_in(self, environ: Mapping[str, str]) -> str:  # noqa: ARG002 - for those who need it
        """Return the default beside the other variables."""
        return self.default

    def __set_name__(self, group: type[Group], attribute: str) -> None:
        self.name = attribute.upper()

    @overload
    def __get__(self, group: None, kind: type[Group]) -> Self: ...
    @overload
    def __get__(self, group: Group, kind: type[Group]) -> T: ...
    def __get__(self, group: Group | None, kind: type[Group]) -> Self | T:
        return self if group is None else cast(T, group.read(self)[1])


def maybe[T](meaning: str, kind: Callable[[str], T]) -> Setting[T | None]:
    """Return a setting without a default, whose value is None where it is left out."""
    setting: Setting[T | None] = Setting("", meaning, kind)
    setting.blank = None
    return setting


class Group:
    """A read-only view of the environment through the settings of a class and its bases.

    Parameters
    ----------
    environ
        Where values come from; the process's environment by default.

    Examples
    --------
    >>> from modelwatch.settings import Settings
    >>> settings = Settings({"ANALYSIS_MIN_ROWS": "30"})
    >>> settings.analysis_min_rows, settings.model_alias
    (30, 'production')

    A value that is not of its kind raises a SettingError when it is read.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def changed(self, values: Mapping[str, str]) -> Self:
        """Return the same settings, but for those that ``values`` gives by name."""
        return type(self)({**self._environ, **values})

    @classmethod
    @cache
    def declared(cls) -> Mapping[str, Setting[Any]]:
        """Return the settings by name."""
        return {
            value.name: value
            for group in reversed(cls.__mro__)
            for value in vars(group).values()
            if isinstance(value, Setting)
        }

    def text(self, name: str) -> str:
        """Return the value of the variable ``name``, or its default, as it was written.

        Raises
        ------
        SettingError
            When it is not of its kind.
        KeyError
            When no such setting is declared: a mistake in the code.
        """
        return self.read(self.declared()[name])[0]

    def said(self) -> frozenset[str]:
        """Return the names of the settings that have a value of their own."""
        declared = self.declared()
        return frozenset(name for name in declared if self._environ.get(name, "").strip())

    def wrong(self) -> list[SettingError]:
        """Return what is wrong with any setting, in the order in which they are declared.

        A default may follow from another setting; where that is wrong, it alone is named.
        """
        errors: list[SettingError] = []
        said = self.said()
        for setting in sorted(self.declared().values(), key=lambda each: each.name not in said):
            if setting.name not in said and errors:
                break
            try:
                self.read(setting)
            except SettingError as error:
                errors.append(error)
        return errors

    def read(self, setting: Setting[Any]) -> tuple[str, Any]:
        """Return what was written and what it means; raises SettingError."""
        written = self._environ.get(setting.name, "").strip()
        written = written or setting.default_in(self._environ)
        if not written:
            return "", setting.blank
        try:
            return written, setting.kind(written)
        except InvalidInputError as error:
            raise SettingError(setting.name, error.problem) from None
        except ValueError as error:
            raise SettingError(setting.name, str(error)) from None
