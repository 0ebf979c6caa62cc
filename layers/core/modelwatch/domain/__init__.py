"""Pure rules: what a record, a schema, a window and a verdict are. Nothing here does I/O."""
