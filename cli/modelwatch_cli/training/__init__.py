"""Training the example model, and registering any model so that it can be served and watched."""
