"""Which examples a property test tries: few and always the same in `make test`, so that a failure
comes from what was changed; many and new ones in `make test-long`."""

import os

_FACTOR = int(os.environ.get("EXAMPLES_FACTOR", "1"))

ALWAYS_THE_SAME = _FACTOR == 1


def examples(few: int) -> int:
    """Return ``few`` times what the variable ``EXAMPLES_FACTOR`` says, by default 1."""
    return few * _FACTOR
