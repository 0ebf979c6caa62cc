"""Who may call the functions over HTTP."""

from typing import Literal, cast

from modelwatch.settings.kinds import HTTP, choice, several, text
from modelwatch.settings.reading import Group, Setting, maybe

Auth = Literal["none", "api_key", "iam", "jwt"]

OPEN = "none-anyone-may-call"
"""What has to be written for an API on AWS that anyone may call."""

CONTROL_PATHS = frozenset(
    {
        "/model/reload",
        "/analyze",
        "/analyze/{name}",
        "/reports",
        "/reports/{name}",
        "/models",
        "/models/{name}/results",
        "/models/{name}/model/reload",
        "/compare",
    }
)
"""Routes that steer, show results or cost much; all others are by API_AUTH. None is exempt."""

_AUTH = choice("iam", "api_key", "jwt", "none", OPEN)


class AccessSettings(Group):
    """How a caller shows who it is."""

    api_auth = Setting(
        "",
        "who may call: iam, api_key, jwt or none-anyone-may-call, to be chosen on AWS; "
        "locally also none, the default",
        _AUTH,
    )
    api_auth_control = Setting(
        "", "the same for reload, analyze, compare and results; empty: as API_AUTH", _AUTH
    )
    api_jwt_issuer = Setting(
        "", "with API_AUTH=jwt: the OpenID Connect issuer of the tokens, as they name it", HTTP
    )
    api_jwt_audience = maybe(
        "with API_AUTH=jwt: whom the tokens are for, with commas: aud, or client_id of Cognito's",
        several(text),
    )

    def auth_of(self, path: str) -> Auth:
        """Return what a request for ``path`` needs, as the app declares it.

        >>> settings = AccessSettings({"API_AUTH": "api_key", "API_AUTH_CONTROL": "iam"})
        >>> settings.auth_of("/predict"), settings.auth_of("/model/reload")
        ('api_key', 'iam')
        >>> AccessSettings({}).auth_of("/predict")
        'none'
        """
        chosen = (path in CONTROL_PATHS and self.api_auth_control) or self.api_auth
        return "none" if chosen in ("", OPEN) else cast(Auth, chosen)
