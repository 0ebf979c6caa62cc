"""Lambda's entry point: the app, and after each response the work for which no caller waits.

Lambda takes an extension's registration only while the process starts, which is when it imports
this module (`Handler` in `templates/chalice/predict.yaml`). `app.py` itself still imports with no
environment and no network, for `chalice local`, for packaging and for the tests.
"""

from app import app
from chalicelib import wiring
from modelwatch.adapters.aws.snapshots import on_snapshot

on_snapshot(wiring.prepare, wiring.renew)
handler = wiring.after_response().around(app)
