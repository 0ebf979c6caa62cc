"""How many examples a property test draws: few in `make test`, many in `make test-long`."""

import os


def examples(few: int) -> int:
    """Return ``few`` times what the variable ``EXAMPLES_FACTOR`` says, by default 1."""
    return few * int(os.environ.get("EXAMPLES_FACTOR", "1"))
