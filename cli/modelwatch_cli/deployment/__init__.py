"""`modelwatch deploy`: from sources to running functions, the same way everywhere.

Planning is apart from doing:

1. :mod:`.plan` derives from the settings alone what there is to build and which stacks need which
   (pure; so is :mod:`.parameters`, from settings and outputs to a stack's parameters);
2. :mod:`.layers`, :mod:`.packaging` and :mod:`.images` build, each caching by a digest of what goes
   in, so that what did not change is neither built nor published again;
3. :mod:`.packages` uploads to the S3 where CloudFormation looks;
4. :mod:`.stacks` brings one stack to where its template says, or says why it could not;
5. :mod:`.deployer` runs a plan, side by side where stacks do not wait for one another, and
   :mod:`.removal` deletes what it made;
6. :mod:`.endpoints` knows the URLs afterwards; :mod:`.commands` is what a user types.

Nothing here asks whether it deploys to this machine or to AWS: the endpoint is a setting, and what
follows from an endpoint or from an image repository is handled where that setting is read.
"""
