"""`modelwatch deploy`: from sources to running functions, in the same way everywhere.

The plan is separate from its execution. Three rooms, each of which knows only those above it:

1. :mod:`.cloudformation` has the plan (which stacks, which needs which), reads templates, makes a
   stack's parameters from settings and outputs, and creates or updates one stack, or says why not.
2. :mod:`.building` makes layers, packages and images, and uploads them.
3. :mod:`.additions` has what settings add to the templates: alarms, keys, tables, who may call.

And here is what uses them:

- :mod:`.commands` and :mod:`.release_commands` are the commands.
- :mod:`.checks` and :mod:`.preflight` look for errors before anything is made.
- :mod:`.deployer` runs a plan, and independent stacks at the same time. :mod:`.rollback` brings a
  release back, and :mod:`.removal` deletes the stacks.

Nothing here asks whether it deploys to this machine or to AWS. The endpoint is a setting, and so is
the image repository; the code that reads them handles the differences.
"""
