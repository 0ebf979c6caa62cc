"""The current metrics: from the bridge's page, and from Prometheus if it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

from modelwatch.errors import ModelwatchError
from modelwatch_bridge.settings import BridgeSettings

TIMEOUT_SECONDS = 10.0


class Sample(NamedTuple):
    """One value of a series."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class LiveMetrics:
    """The content of a /metrics page."""

    samples: tuple[Sample, ...]

    @classmethod
    def parse(cls, text: str) -> LiveMetrics:
        """Read a page in Prometheus's text format.

        >>> page = LiveMetrics.parse('runs_total{status="ok"} 2\\nruns_total{status="drift"} 1\\n')
        >>> page.total("runs_total"), page.total("runs_total", status="ok")
        (3.0, 2.0)
        """
        return cls(
            tuple(
                Sample(each.name, each.labels, each.value)
                for family in text_string_to_metric_families(text)
                for each in family.samples
            )
        )

    def of(self, name: str, **labels: str) -> list[Sample]:
        """Return the series of a metric that have ``labels``."""
        return [
            each
            for each in self.samples
            if each.name == name and labels.items() <= each.labels.items()
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of these series; 0 without any."""
        return math.fsum(each.value for each in self.of(name, **labels))


class ActiveAlert(NamedTuple):
    """A ``pending`` or ``firing`` alert of a rule."""

    labels: Mapping[str, str]
    state: str


class Alert(NamedTuple):
    """An alerting rule of Prometheus.

    Attributes
    ----------
    state
        ``inactive``; ``pending``: its condition is true for less than ``hold_seconds``; ``firing``.
    evaluated_at
        The last evaluation of its group, as RFC 3339 text.
    active
        The pending or firing alerts.
    """

    name: str
    state: str
    hold_seconds: float
    evaluated_at: str
    active: tuple[ActiveAlert, ...]


class Prometheus:
    """A Prometheus server at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # one for all requests: making one takes longer than a request
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)

    def query(self, expression: str) -> list[Sample]:
        """Return the current value of an expression.

        Raises ModelwatchError when Prometheus does not respond, or refuses the expression.
        """
        data = self._get("query", {"query": expression})
        if data["resultType"] in ("scalar", "string"):
            return [Sample("", {}, float(data["result"][1]))]
        return [
            Sample(each["metric"].get("__name__", ""), each["metric"], float(each["value"][1]))
            for each in data["result"]
        ]

    def alerts(self) -> dict[str, Alert]:
        """Return every alerting rule by its name; raises as `query` does."""
        return {
            rule["name"]: Alert(
                rule["name"],
                rule["state"],
                float(rule["duration"]),
                rule["lastEvaluation"],
                tuple(ActiveAlert(each["labels"], each["state"]) for each in rule["alerts"]),
            )
            for group in self._get("rules", {"type": "alert"})["groups"]
            for rule in group["rules"]
        }

    def rule_errors(self) -> dict[str, str]:
        """Return every rule by its name, with its error, empty if there is none.

        Raises as `query` does.
        """
        return {
            rule["name"]: rule.get("lastError", "") if rule["health"] == "err" else ""
            for group in self._get("rules", {})["groups"]
            for rule in group["rules"]
        }

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{path}"
        try:
            response = self._client.get(url, params=dict(parameters))
            body = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ModelwatchError(f"Prometheus at {self.url} does not respond: {error}") from error
        if body.get("status") != "success":
            raise ModelwatchError(f"Prometheus refuses {dict(parameters)}: {body.get('error')}")
        return body["data"]


def read_bridge(url: str) -> LiveMetrics:
    """Return the bridge's metrics, asked for with BRIDGE_TOKEN where that is said.

    Raises ModelwatchError when it does not respond.

    Parameters
    ----------
    url
        Address of its page, such as ``http://127.0.0.1:9108/metrics``.
    """
    token = BridgeSettings().bridge_token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = httpx.get(url, headers=headers, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return LiveMetrics.parse(response.text)
    except (httpx.HTTPError, ValueError) as error:
        raise ModelwatchError(f"the bridge at {url} does not show metrics: {error}") from error


def stack_addresses(names: Iterable[str] = ("bridge", "prometheus")) -> dict[str, str]:
    """Return the addresses of the running parts of this machine's stack, by name.

    The bridge's address is that of its /metrics page.
    """
    from modelwatch_cli.stack.supervisor import Supervisor

    wanted = set(names)
    return {
        part.name: part.address
        for part in Supervisor().status()
        if part.name in wanted and part.state == "up"
    }
