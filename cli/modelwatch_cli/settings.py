"""All settings there are: those of the functions, the deployment, the stack and the bridge."""

import sys

from modelwatch import settings as functions
from modelwatch_bridge.settings import BridgeSettings
from modelwatch_cli.deployment.settings import DeploymentSettings
from modelwatch_cli.stack.settings import StackSettings


class Settings(functions.Settings, BridgeSettings, DeploymentSettings, StackSettings):
    """What a command may read."""


def env_example() -> str:
    """Return the text of `.env.example`: every setting with its meaning and default."""
    lines = [
        "# Every setting of modelwatch with its default. Copy to .env and change what you need;",
        "# real environment variables win over .env. Written by `make env-example`.",
    ]
    for group in reversed(Settings.__mro__):
        own = [each for each in vars(group).values() if isinstance(each, functions.Setting)]
        for setting in own:
            lines += ["", f"# {setting.meaning}", f"#{setting.name}={setting.default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())
