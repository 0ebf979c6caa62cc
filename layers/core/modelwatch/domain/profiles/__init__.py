"""Profiles: what is kept of captured rows so that windows of any length need no row.

A `Profile` holds a `ColumnProfile` for each feature and output. Profiles of parts merge into the
profile of the whole, within the stated errors of their sketches.
"""

from modelwatch.domain.profiles.columns import (
    FREQUENT_TEXTS,
    ColumnKind,
    ColumnProfile,
    merge_columns,
    number_column,
    text_column,
)
from modelwatch.domain.profiles.encoding import (
    FORMAT,
    decode_profile,
    decode_slices,
    encode_profile,
    encode_slices,
    head_of,
)
from modelwatch.domain.profiles.profile import (
    FAILURES,
    MINUTE_MS,
    Profile,
    Slice,
    WindowProfile,
    merge_profiles,
    merge_segments,
    merge_slices,
)
from modelwatch.domain.profiles.quantiles import QuantileSketch
from modelwatch.domain.profiles.sample import MOST_ROWS, RowSample
from modelwatch.domain.profiles.together import number_columns

__all__ = [
    "FAILURES",
    "FORMAT",
    "FREQUENT_TEXTS",
    "MINUTE_MS",
    "MOST_ROWS",
    "ColumnKind",
    "ColumnProfile",
    "Profile",
    "QuantileSketch",
    "RowSample",
    "Slice",
    "WindowProfile",
    "decode_profile",
    "decode_slices",
    "encode_profile",
    "encode_slices",
    "head_of",
    "merge_columns",
    "merge_profiles",
    "merge_segments",
    "merge_slices",
    "number_column",
    "number_columns",
    "text_column",
]
