"""What settings add to the templates: rights to call, alarms, keys, limits, tables, versions."""
