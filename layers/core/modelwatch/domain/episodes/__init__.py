"""Episodes: a drift that lasts is one thing, with an id, from its opening to its closing.

::

    scheduled results ──▶ Slot ──▶ Series ──▶ Span ──▶ Episode ◀── notes of people
                          a time    a length   drift of   drift of a version,
                          of it     of window  a length   seen by any length

`slots` has the small part that is kept of results. Slots merge in any order, and the same
result again changes nothing: runs that come late, twice, at once or after an aborted one make the
same document. `series` finds the spans of one length of window: a span opens with ``drift``, and
closes at an ``ok`` window that ends one hold (two lengths, two days at most) after the last one
that drifted. By the rule a ``warning`` is ``ok``: it opens none, and keeps none open. ``unknown``
neither opens nor closes. `joining` makes one episode of the spans of all lengths that look at the
same time of a version. `notes` are what people say of episodes, and `record` is the document of a
model. `events` says what other systems have to hear of it.

Results that someone asked for, and those of a single variant, have no part in it.
"""
