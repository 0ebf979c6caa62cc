"""Routes and triggers of the capture function; see `modelwatch.services.capture`."""

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, Response, SQSEvent

from chalicelib import wiring
from modelwatch.http import HttpResponse, body_of, close, handle_request
from modelwatch.openapi.routes import add_docs
from modelwatch.services.compaction import CompactionService
from modelwatch.services.contract import Accepted, AcceptedMany, Alive
from modelwatch.services.deliveries import delivered, failed_items

app = Chalice(app_name="modelwatch-capture")
close(app, lambda: wiring.metrics(), lambda: wiring.door())


@app.route("/health", methods=["GET"])
def health() -> Response:
    """Return that the function responds."""
    return handle_request(app, wiring.metrics(), lambda: HttpResponse(Alive(status="healthy")))


@app.route("/capture", methods=["POST"], content_types=["*/*"])
def capture() -> Response:
    """Accept one record of another application."""

    def run() -> HttpResponse:
        event_id = wiring.capture_service().accept(body_of(app))
        return HttpResponse(Accepted(event_id=event_id), status=202)

    return handle_request(app, wiring.metrics(), run)


@app.route("/capture/batch", methods=["POST"], content_types=["*/*"])
def capture_batch() -> Response:
    """Accept a list of records of another application, all or none."""

    def run() -> HttpResponse:
        event_ids = wiring.capture_service().accept_batch(body_of(app))
        return HttpResponse(AcceptedMany(accepted=len(event_ids), event_ids=event_ids), status=202)

    return handle_request(app, wiring.metrics(), run)


@app.route("/ground-truth", methods=["POST"], content_types=["*/*"])
def ground_truth() -> Response:
    """Accept labels of predictions: one label, or a list of them, all or none."""

    def run() -> HttpResponse:
        event_ids, sample = wiring.capture_service().accept_labels(body_of(app))
        body = AcceptedMany(accepted=len(event_ids), event_ids=event_ids)
        return HttpResponse(body, status=202, samples=[sample])

    return handle_request(app, wiring.metrics(), run)


def _document() -> dict[str, Any]:
    # no cold start needs it
    from modelwatch.openapi.capture import document

    return document()


add_docs(app, wiring.metrics, _document)


# the merge template puts the real queue here
@app.on_sqs_message(
    queue_arn="arn:aws:sqs:us-east-1:000000000000:set-by-the-merge-template", name="consume"
)
def consume(event: SQSEvent) -> dict[str, Any]:
    """Store the messages of the queue; return the ones that it must deliver again."""
    messages = delivered(event.to_dict())
    return failed_items(wiring.capture_service().store_messages(messages))


# the merge template puts the setting COMPACTION_SCHEDULE here
@app.schedule(Rate(1, unit=Rate.HOURS), name="compact")
def compact(_event: CloudWatchEvent) -> dict[str, Any]:
    """Merge the objects of the hours that are over, of captures and then of labels."""
    captures = _compacted(wiring.compaction_service())
    return {**captures, "labels": _compacted(wiring.label_compaction_service())}


def _compacted(service: CompactionService) -> dict[str, Any]:
    outcome = service.compact(service.due())
    wiring.metrics().emit(outcome.samples())
    return {
        "merged": len(outcome.merged),
        "objects": sum(hour.objects for hour in outcome.merged),
        "rows": sum(hour.rows for hour in outcome.merged),
        "waiting": outcome.waiting,
        "failures": outcome.failures,
    }
