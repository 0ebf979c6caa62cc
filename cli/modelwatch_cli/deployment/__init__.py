"""`modelwatch deploy`: from sources to running functions, in the same way everywhere.

The plan is separate from its execution:

1. :mod:`.plan` makes the plan from the settings: what to build, and which stack needs which.
   :mod:`.parameters` makes a stack's parameters from settings and outputs. Both are pure.
2. :mod:`.layers`, :mod:`.packaging` and :mod:`.images` build. Each has a cache by the digest of its
   sources: what did not change is not built or published again.
3. :mod:`.packages` uploads to the S3 where CloudFormation looks.
4. :mod:`.stacks` creates or updates one stack, or says why it cannot.
5. :mod:`.deployer` runs a plan, and independent stacks at the same time. :mod:`.removal` deletes
   the stacks.
6. :mod:`.endpoints` returns the URLs; :mod:`.commands` has the commands.

Nothing here asks whether it deploys to this machine or to AWS. The endpoint is a setting, and so is
the image repository; the code that reads them handles the differences.
"""
