"""What the functions say about themselves: an OpenAPI document each, and a page that shows it.

A document is made from the types that validate the requests; `document` holds what all of them
have, `predict`, `capture` and `analyze` hold what is theirs. A cold start imports none of them:
see `routes`.
"""
