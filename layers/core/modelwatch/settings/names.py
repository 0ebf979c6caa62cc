"""Names that follow the stage, so that two deployments share none by accident."""

from collections.abc import Mapping

from modelwatch.errors import SettingError
from modelwatch.settings.reading import Setting
from modelwatch.settings.store import LOCAL_STAGE, StoreSettings

_OF_ALL_AWS = "-{ACCOUNT}-{REGION}"
_MOST_CHARACTERS = 63


class Named(Setting[str]):
    """A name whose default has the stage in it.

    All of AWS shares the names of buckets, so theirs end with account and region. Elsewhere they do
    not, and the stage that every stack on one machine has is left out.

    >>> from modelwatch.settings.kinds import bucket
    >>> each = Named("modelwatch-{STAGE}-captures-{ACCOUNT}-{REGION}", "", bucket)
    >>> each.default_in({}), each.default_in({"STAGE": "test"})
    ('modelwatch-captures', 'modelwatch-test-captures')
    >>> each.default_in({"STAGE": "prod", "AWS_ACCOUNT_ID": "123456789012"})
    'modelwatch-prod-captures-123456789012-us-east-1'
    """

    def default_in(self, environ: Mapping[str, str]) -> str:
        """Return the name beside the other variables.

        Raises SettingError when it needs the account and AWS does not say that, or it is too long.
        """
        name = self.default
        stage = environ.get("STAGE", "").strip() or LOCAL_STAGE
        if name.endswith(_OF_ALL_AWS):
            on_aws = not environ.get("AWS_ENDPOINT_URL", "").strip()
            account = StoreSettings(environ).aws_account_id if on_aws else ""
            if not account:
                name = name.removesuffix(_OF_ALL_AWS)
                if stage == LOCAL_STAGE:
                    name = name.replace("-{STAGE}", "")
            region = environ.get("AWS_DEFAULT_REGION", "").strip() or "us-east-1"
            name = name.replace("{ACCOUNT}", account).replace("{REGION}", region)
        whole = name.replace("{STAGE}", stage)
        if len(whole) > _MOST_CHARACTERS and self.default.endswith(_OF_ALL_AWS):
            raise SettingError(
                "STAGE",
                f"'{stage}' makes '{whole}', and a bucket's name has {_MOST_CHARACTERS} characters "
                f"at most: use a shorter one, or say {self.name}",
            )
        return whole
