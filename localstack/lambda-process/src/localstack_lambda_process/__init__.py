"""LocalStack plugin: Lambda functions as local processes.

`executor` says how it works; start reading there.
"""
