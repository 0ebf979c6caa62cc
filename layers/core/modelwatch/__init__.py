"""modelwatch: serverless monitoring of machine-learning models.

`domain` is pure, `services` are verbs over the roles in `ports`, `adapters` each hold one heavy
library. Importing this package imports none of them.
"""

__version__ = "0.1.0"
