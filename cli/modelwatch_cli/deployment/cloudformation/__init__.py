"""CloudFormation: the plan of a stage's stacks and names, their templates, parameters and changes.

Nothing here knows what modelwatch deploys; `building` and `additions` stand on it.
"""
