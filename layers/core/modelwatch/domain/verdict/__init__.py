r"""The verdict on a window of one model version. Read the modules in this order.

    rules.py        methods and thresholds, fewest rows, budget of false alarms -> level of a run

    sides.py        profile of the window        profile of the reference
                               \                        /
    time_columns.py             dates as texts?                no verdict
                                    |
    columns.py                  distance of each column        how far?       (domain/statistics)
                                    |
    features.py                 p-value                        more than chance?
                                    |
                                threshold                      does it matter?
                                    |
                                critical score                 more than ever?  (domain/past)
                                    |
                                false-discovery control        at one level for all features
                                    |
                                ok, drift or unknown           by feature
                                    |
    status.py                   those that matter, by the rule -> ok, drift or unknown, of all rows

    segments.py     the same for each declared segment, with half of the budget

    window.py       too few rows, stale, lost, no reference?   -> unknown, with the reason
                    else features + outputs + data quality + segments -> status, reason, headline

    onset.py        of a drift: since when, what changed first, in which segment

    results.py      what it says: FeatureDrift < Verdict < WindowVerdict < AnalysisResult
    evidence.py     what it was made of, as documents that give the same verdict again

Nothing here reads a store: `services/analyze.py` brings the two sides and stores the result, and
`services/replay.py` evaluates it again. How well a version predicts is another verdict, by labels:
`modelwatch.domain.performance`.
"""
