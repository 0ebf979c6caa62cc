"""A small server that takes data sources and dashboards as Grafana 12's HTTP API documents it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stand_in import Request, stand_in

USER, PASSWORD = "admin", "local"  # the test's own
_READ_ONLY = {"id", "orgId", "typeLogoUrl", "readOnly"}
_ACCESS = ("proxy", "direct")

Answer = tuple[int, Any]


class Grafana:
    """What has been stored: data sources and dashboards by uid."""

    def __init__(self) -> None:
        self.sources: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}

    def respond(self, method: str, path: str, body: Any) -> Answer:
        """Return status and body of the response to a request."""
        uid = path.rpartition("/")[2]
        match method, path.rpartition("/uid/")[0] or path:
            case "POST", "/api/datasources":
                return self._add_source(body)
            case "GET", "/api/datasources":
                source = self.sources.get(uid)
                return (200, source) if source else (404, {"message": "Data source not found"})
            case "PUT", "/api/datasources":
                return self._change_source(uid, body)
            case "POST", "/api/dashboards/db":
                return self._save(body)
            case "POST", "/api/dashboards/import":
                return self._import(body)
            case "GET", "/api/dashboards":
                board = self.dashboards.get(uid)
                return (200, _described(board)) if board else (404, {"message": "not found"})
        return 404, {"message": "Not found"}

    def _add_source(self, body: dict[str, Any]) -> Answer:
        if problem := _source_problem(body):
            return 400, {"message": problem}
        if body["name"] in {source["name"] for source in self.sources.values()}:
            return 409, {"message": "data source with the same name already exists"}
        if body["uid"] in self.sources:
            return 409, {"message": "data source with the same uid already exists"}
        return 200, self._stored_source(body, "Datasource added")

    def _change_source(self, uid: str, body: dict[str, Any]) -> Answer:
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        if problem := _source_problem(body):
            return 400, {"message": problem}
        return 200, self._stored_source(body, "Datasource updated")

    def _stored_source(self, body: dict[str, Any], message: str) -> dict[str, Any]:
        number = self.sources.get(body["uid"], {}).get("id", len(self.sources) + 1)
        if body.get("isDefault"):
            for source in self.sources.values():
                source["isDefault"] = False
        self.sources[body["uid"]] = {**body, "id": number, "orgId": 1, "readOnly": False}
        stored = self.sources[body["uid"]]
        return {"datasource": stored, "id": number, "message": message, "name": body["name"]}

    def _save(self, body: dict[str, Any]) -> Answer:
        board = body.get("dashboard")
        if not isinstance(board, dict) or not board.get("title"):
            return 400, {"message": "Dashboard title cannot be empty"}
        uid = board.get("uid") or f"made{len(self.dashboards)}"
        if len(uid) > 40 or not re.fullmatch("[a-zA-Z0-9_-]+", uid):
            return 400, {"message": "uid contains illegal characters or is too long"}
        known = self.dashboards.get(uid)
        if board.get("id") is not None and known is None:
            return 404, {"status": "not-found", "message": "Dashboard not found"}
        overwrite = body.get("overwrite", False)
        if known and not overwrite and board.get("version", 0) != known["version"]:
            message = "The dashboard has been changed by someone else"
            return 412, {"status": "version-mismatch", "message": message}
        number = known["id"] if known else len(self.dashboards) + 1
        version = known["version"] + 1 if known else 1
        self.dashboards[uid] = {**board, "uid": uid, "id": number, "version": version}
        slug = _slug(board["title"])
        address = f"/d/{uid}/{slug}"
        about = {"id": number, "uid": uid, "url": address, "slug": slug, "folderUid": ""}
        return 200, {**about, "status": "success", "version": version}

    def _import(self, body: dict[str, Any]) -> Answer:
        given = {one["name"] for one in body.get("inputs", ())}
        asked = {one["name"] for one in body.get("dashboard", {}).get("__inputs", ())}
        if asked - given:
            return 400, {"message": f"missing inputs {sorted(asked - given)}"}
        status, saved = self._save(body)
        if status != 200:
            return status, saved
        title = body["dashboard"]["title"]
        about = {"uid": saved["uid"], "title": title, "imported": True, "slug": saved["slug"]}
        return 200, {**about, "importedUrl": saved["url"], "dashboardId": saved["id"]}


def _source_problem(body: dict[str, Any]) -> str:
    for name in ("name", "type", "access"):
        if not body.get(name):
            return f"bad request data: {name} is required"
    if body["access"] not in _ACCESS:
        return "bad request data: access is proxy or direct"
    if body["access"] == "proxy" and not re.match("https?://", body.get("url", "")):
        return "Validation error, url is not a URL"
    if unknown := _READ_ONLY & body.keys():
        return f"bad request data: {sorted(unknown)}"
    return ""


def _slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")


def _described(board: dict[str, Any]) -> dict[str, Any]:
    return {"dashboard": board, "meta": {"slug": _slug(board["title"]), "provisioned": False}}


@contextmanager
def served(grafana: Grafana) -> Iterator[str]:
    """Serve it on this machine; give the address. Who has not the password is refused."""
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def respond(request: Request) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Basic {secret}":
            return 401, {"message": "Invalid username or password"}
        if request.body and request.headers.get("Content-Type", "") != "application/json":
            return 415, {"message": "Unsupported Media Type"}
        try:
            asked = json.loads(request.body) if request.body else None
        except json.JSONDecodeError:
            return 400, {"message": "bad request data"}
        return grafana.respond(request.method, request.path, asked)

    with stand_in(respond) as address:
        yield address
