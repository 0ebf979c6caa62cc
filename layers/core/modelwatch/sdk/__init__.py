"""Logs predictions of models that are served elsewhere; the way in is `modelwatch.Client`.

`values` makes what Python programs hold into what a record holds. `logged` makes records and labels
of it, `tables` reads them from columns. `sender` sends them from a thread of its own, `model_log`
has the calls of the client. `middleware`, `functions` and `pyfunc` log what a program serves
without a change of its own code.
"""
