"""MLflow's server in one process: ``python mlflow_server.py DATABASE ARTIFACTS HOST PORT``.

`mlflow server` makes the tables, then starts a second process that imports MLflow again, and waits
for it: 4 s of CPU and 240 MB more.
"""

from __future__ import annotations

import os
import sys

import uvicorn
from mlflow.server import constants, handlers


def main(database: str, artifacts: str, host: str, port: str) -> None:
    """Serve a registry until the process is stopped.

    Parameters
    ----------
    database
        Where MLflow keeps runs and versions, as SQLAlchemy writes it.
    artifacts
        Where clients write artifacts, which they do themselves, as on AWS.
    host, port
        Where it listens.
    """
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = database
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = database
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifacts
    handlers.initialize_backend_stores(database, database, artifacts)
    uvicorn.run("mlflow.server.fastapi_app:app", host=host, port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
