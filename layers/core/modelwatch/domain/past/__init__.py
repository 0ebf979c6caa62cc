"""What windows of the past say of a window: how far a quiet one goes, in many ways of being far.

Traffic is no sequence of independent draws: days differ from nights, and seasons from each other.
So a score counts as large when it is larger than the scores of real windows of the same length.

    scores.py       a column of a window -> a row of numbers: distance, missing share, deciles, ...
                    a `Score` reads it, by itself or beside the windows just before: `SCORES`

    history.py      the rows of past windows, oldest first: a document of bounded size

    phases.py       all windows just before, those at the same time of day, or of the week

    choice.py       which phase columns follow, and their critical scores by it

    growth.py       columns that only grow: how far they are from the reference is no news

    words.py        what a score beyond its critical one says: "looks like x 1.8 + 32"

    chance.py       how likely a rate is by chance: of few rows

    calibration.py  rows -> by column and score the critical score; with it `domain/verdict`
                    evaluates, and it is kept as evidence: nothing else of the past
                    influences the verdict

A window joins the past a week after its end, so that a change that lasts keeps its alarm for a
week, and a season that comes slowly moves the critical scores. A score of twice its critical score
never joins. Until there are four weeks, critical scores are higher, never lower: knowing less makes
no louder alarm. Without any past the verdict is that of independent draws (`domain/statistics`).
"""
