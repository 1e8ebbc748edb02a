"""What each provider's documents become, as its own words and shapes have it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.helpers import NOW
from webhook_receiver import (
    BearerJWT,
    Changes,
    ConfigurationError,
    Event,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    MemoryInbox,
    Receipt,
    ResponseStatuses,
    Sender,
    UnknownEvent,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.runtime.poller import Poller
from webhook_receiver.senders.catalogue import (
    airbus_radar,
    amigocloud,
    arlula,
    copernicus,
    eoepca,
    esri,
    geopera,
    geospan,
    iceye,
    liveeo,
    maxar,
    maxar_sns,
    nasa_cmr,
    ogc_processes,
    planet_orders,
    planet_subscriptions,
    pygeoapi_pubsub,
    skyfi,
    skyfi_archive,
    skywatch,
)
from webhook_receiver.senders.catalogue.examples import RSA_KEY
from webhook_receiver.senders.imagery.events import DocumentPlaces, Reading
from webhook_receiver.senders.imagery.platforms import EsriSignature
from webhook_receiver.senders.imagery.schemes import EXAMPLE
from webhook_receiver.senders.imagery.statuses import Statuses
from webhook_receiver.senders.profile import profile_of
from webhook_receiver.senders.registry import presets
from webhook_receiver.signatures.jwks import JWKS

READY, PARTLY, FAILED, PROGRESS = ImageryReady, ImageryPartlyReady, ImageryFailed, ImageryProgress
WITH_WORDS = [
    name
    for name, preset in presets().items()
    if isinstance(preset.sender(preset.example).decode or preset.sender(preset.example).envelope, Reading)
]


def receiver(sender: Sender, **options: Any) -> WebhookReceiver:
    return WebhookReceiver(sender=sender, clock=lambda: NOW, **options)


def told(sender: Sender, document: Any, headers: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
    """Return what the events in a body tell: the kind, the order, the items and the status."""
    hooks = receiver(sender)
    head = RequestHead.of(headers or {})
    found = hooks.parse_all(json.dumps(document).encode(), head.headers)
    return [_told(each) for each in found]


def _told(event: Event | Exception) -> tuple[Any, ...]:
    if not isinstance(event, ImageryEvent):
        assert isinstance(event, Event)
        return (UnknownEvent, event.event)
    kinds = [kind for kind in (READY, PARTLY, FAILED, PROGRESS) if isinstance(event, kind)]
    return (*kinds, event.order_id, event.items, event.status)


async def post(hooks: WebhookReceiver, document: Any, target: str = "/webhooks") -> Receipt:
    """Deliver a document as its sender does."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = hooks.sender.scheme.sign(RequestHead.of({"content-type": "application/json"}, target=target), body, NOW)
    return await hooks.receive(head.headers, body, method=head.method, target=head.target)


# all


@pytest.mark.parametrize("name", WITH_WORDS)
def test_each_word_of_a_provider_has_a_class_of_the_providers_and_any_other_word_too(name: str) -> None:
    sender = presets()[name].sender(presets()[name].example)
    reading = sender.decode or sender.envelope
    assert isinstance(reading, Reading)
    classes = {cls.model_fields["event"].annotation.__args__[0] for cls in sender.events}  # type: ignore
    for word in [*(word for word, _ in reading.statuses.words()), "A WORD OF TOMORROW", ""]:
        outcome = reading.statuses.outcome(word)
        assert f"{reading.event}.{outcome}" in classes or name == "skyfi-archive"  # which has no word but its own


@pytest.mark.parametrize("name", WITH_WORDS)
def test_a_provider_is_the_beginning_of_its_senders_name(name: str) -> None:
    sender = presets()[name].sender(presets()[name].example)
    reading = sender.decode or sender.envelope
    assert isinstance(reading, Reading)
    assert reading.event.partition(".")[0] == name.partition("-")[0]


@pytest.mark.parametrize("name", [name for name in WITH_WORDS if presets()[name].samples])
def test_a_sample_of_a_provider_is_an_image_that_is_ready(name: str) -> None:
    preset = presets()[name]
    for event, sample in preset.samples.items():
        (found,) = receiver(preset.sender(preset.example)).parse_all(json.dumps(sample).encode())
        assert isinstance(found, ImageryReady)
        assert found.event == event
        assert found.status
        assert found.order_id or found.items


# planet

ITEM = {
    "name": "scene.tif",
    "delivery": "success",
    "location": "https://api.planet.com/?token=t",
    "expires_at": "2026-01-02T00:00:00Z",
}


def test_planet_tells_each_item_of_an_order() -> None:
    items = [ITEM, {**ITEM, "name": "b.tif", "delivery": "failed"}, {**ITEM, "name": "c.tif", "delivery": "thawing"}]
    assert told(planet_orders("secret"), {"order_id": "o-1", "items": items}) == [
        (READY, "o-1", ("scene.tif",), "success"),
        (FAILED, "o-1", ("b.tif",), "failed"),
        (PROGRESS, "o-1", ("c.tif",), "thawing"),
    ]


@pytest.mark.parametrize(
    ("state", "kind"),
    [("success", PROGRESS), ("partial", PARTLY), ("failed", FAILED), ("cancelled", PROGRESS), ("queued", PROGRESS)],
)
def test_planet_tells_an_order_without_items_by_its_state(state: str, kind: type[Event]) -> None:
    assert told(planet_orders("secret"), {"id": "o-1", "state": state}) == [(kind, "o-1", (), state)]
    assert told(planet_orders("secret"), {"order_id": "o-1", "items": [], "state": state}) == [(kind, "o-1", (), state)]


def test_planets_links_end_when_it_says() -> None:
    (event,) = receiver(planet_orders("secret")).parse_all(json.dumps({"order_id": "o-1", "items": [ITEM]}).encode())
    assert isinstance(event, ImageryReady)
    assert event.expires_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert event.document == {"order_id": "o-1", **ITEM}
    assert event.provider == "planet"


async def test_planets_calls_for_each_item_and_for_the_whole_order_give_each_item_once() -> None:
    names = ["a.tif", "b.tif", "c.tif"]
    items = [{**ITEM, "name": name} for name in names]
    renewed = [{**each, "location": "https://api.planet.com/?token=another"} for each in items]
    calls = [[items[0]], [items[1]], renewed, [renewed[1]]]
    hooks = receiver(planet_orders("secret"), inbox=MemoryInbox(), work=False)
    async with hooks:
        statuses = [(await post(hooks, {"order_id": "o-1", "items": call})).response.status for call in calls]
        other = await post(hooks, {"order_id": "o-2", "items": [items[0]]})
    assert statuses == [202, 202, 202, 200]
    assert other.response.status == 202


async def test_planets_credentials_are_those_of_the_url_or_a_secret_path() -> None:
    head = RequestHead.of({"authorization": "Basic " + b64encode(b"webhooks:secret").decode()})
    by_basic = receiver(planet_orders("secret"))
    assert (await by_basic.receive(head.headers, b"{}")).response.status == 204
    assert (await by_basic.receive([], b"{}")).response.status == 401
    by_path = receiver(planet_orders(EXAMPLE, username=None))
    assert (await by_path.receive([], b"{}", target=f"/webhooks/{EXAMPLE}")).response.status == 204
    assert (await by_path.receive([], b"{}", target=f"/webhooks/{EXAMPLE[:-1]}x")).response.status == 401


# skyfi


def order(status: str, **info: Any) -> dict[str, Any]:
    event = {"status": status, "timestamp": "2026-01-01T00:00:00Z", "message": None}
    return {"orderInfo": {"id": "o-1", "status": status, **info}, "event": event}


@pytest.mark.parametrize(
    ("status", "driver", "kind"),
    [
        ("DELIVERY_COMPLETED", "S3", READY),
        ("PROCESSING_COMPLETE", "S3", PROGRESS),
        ("PROCESSING_COMPLETE", "NONE", READY),
        ("PROCESSING_COMPLETE", None, READY),
        ("PROCESSING_FAILED", None, FAILED),
        ("PROVIDER_PENDING", None, PROGRESS),
        ("BEAMED_UP", "S3", PROGRESS),
    ],
)
def test_skyfi_is_ready_when_it_has_delivered_or_without_a_bucket_when_it_has_processed(
    status: str, driver: str | None, kind: type[Event]
) -> None:
    document = order(status, deliveryDriver=driver, itemId="i-1")
    assert told(skyfi(EXAMPLE), document) == [(kind, "o-1", ("i-1",), status)]


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_the_calendar_leaves_an_event_what_it_is(timestamp: str) -> None:
    document = order("DELIVERY_COMPLETED")
    document["event"]["timestamp"] = timestamp
    assert told(skyfi(EXAMPLE), document) == [(READY, "o-1", (), "DELIVERY_COMPLETED")]


def test_a_document_of_skyfi_that_does_not_say_whether_there_is_a_bucket_tells_no_end() -> None:
    assert told(skyfi(EXAMPLE), order("PROCESSING_COMPLETE")) == [(PROGRESS, "o-1", (), "PROCESSING_COMPLETE")]


def test_skyfis_prose_and_its_schema_are_both_read() -> None:
    document = {"order_info": {"id": "o-1"}, "event": {"status": "DELIVERY_FAILED"}}
    assert told(skyfi(EXAMPLE), document) == [(FAILED, "o-1", (), "DELIVERY_FAILED")]


@pytest.mark.parametrize(
    ("sender", "document"),
    [(skyfi(EXAMPLE), order("CREATED")), (skyfi_archive(EXAMPLE), {"archiveId": "a-1"}), (nasa_cmr(EXAMPLE), {})],
)
async def test_who_takes_200_alone_for_success_gets_it(sender: Sender, document: Any) -> None:
    hooks = receiver(sender, inbox=MemoryInbox(), work=False)
    async with hooks:
        first, again = await post(hooks, document), await post(hooks, document)
    assert (first.response.status, again.response.status) == (200, 200)
    assert first.delivery is not None


async def test_skyfis_retries_are_one_delivery_and_its_next_status_is_another() -> None:
    hooks = receiver(skyfi(EXAMPLE), inbox=MemoryInbox(), work=False)
    retried = order("CREATED") | {"attempt": 2}
    async with hooks:
        found = [await post(hooks, each) for each in (order("CREATED"), retried, order("STARTED"))]
    assert [each.duplicate_of is not None for each in found] == [False, True, False]


def test_an_image_in_skyfis_archive_is_ready_and_has_no_order() -> None:
    assert told(skyfi_archive(EXAMPLE), {"archiveId": "a-1"}) == [(READY, None, ("a-1",), "new")]


async def test_an_image_that_fits_two_of_skyfis_notifications_is_news_twice() -> None:
    hooks = receiver(skyfi_archive(EXAMPLE), inbox=MemoryInbox(), work=False)
    async with hooks:
        targets = [f"/webhooks?notification={each}" for each in ("n-1", "n-2", "n-1")]
        found = [await post(hooks, {"archiveId": "a-1"}, target) for target in targets]
    assert [each.duplicate_of is not None for each in found] == [False, False, True]


# airbus


def feature(item: str, status: str, at: str = "2026-01-01T00:00:00Z", **more: str) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"orderItemId": item, "status": status, "lastUpdateTime": at, **more}}


def test_airbus_tells_each_item_that_it_groups() -> None:
    features = [
        feature("i-1", "completed", orderId="12345"),
        feature("i-2", "approvalRejected", orderId="12345"),
        feature("i-3", "waitingForOrbit", basketId="b-1"),
        feature("i-4", "beamedUp"),
    ]
    document = {"type": "FeatureCollection", "features": features}
    assert told(airbus_radar("secret"), document) == [
        (READY, "12345", ("i-1",), "completed"),
        (FAILED, "12345", ("i-2",), "approvalRejected"),
        (PROGRESS, "b-1", ("i-3",), "waitingForOrbit"),
        (PROGRESS, None, ("i-4",), "beamedUp"),
    ]
    of_collection = document | {"properties": {"orderId": "777"}, "features": [feature("i-1", "failed")]}
    assert told(airbus_radar("secret"), of_collection) == [(FAILED, "777", ("i-1",), "failed")]


async def test_an_item_that_airbus_groups_once_more_is_known_and_its_next_update_is_not() -> None:
    hooks = receiver(airbus_radar("secret"), inbox=MemoryInbox(), work=False)
    one, two, later = (
        feature("i-1", "completed"),
        feature("i-2", "planned"),
        feature("i-2", "planned", "2026-01-01T00:00:01Z"),
    )
    async with hooks:
        calls: Sequence[list[Any]] = ([one], [two, one], [one, two], [later])
        found = [await post(hooks, {"type": "FeatureCollection", "features": call}) for call in calls]
    assert [each.response.status for each in found] == [202, 202, 200, 202]


# copernicus

NOTIFICATION = {
    "SubscriptionEvent": "created",
    "SubscriptionId": "s-1",
    "ProductId": "p-1",
    "ProductName": "S2A_X.SAFE",
    "NotificationDate": "2026-01-01T00:00:00Z",
    "value": {"S3Path": "/eodata/S2A_X.SAFE"},
}


def test_copernicus_sends_a_notification_alone_or_in_an_array() -> None:
    created = (READY, None, ("p-1",), "created")
    assert told(copernicus("secret"), NOTIFICATION) == [created]
    others = [{**NOTIFICATION, "SubscriptionEvent": event} for event in ("modified", "deleted", "moved")]
    assert told(copernicus("secret"), [NOTIFICATION, *others]) == [
        created,
        (PROGRESS, None, ("p-1",), "modified"),
        (PROGRESS, None, ("p-1",), "deleted"),
        (PROGRESS, None, ("p-1",), "moved"),
    ]
    assert told(copernicus("secret"), []) == []


async def test_a_product_that_copernicus_tells_again_is_known_by_itself() -> None:
    hooks = receiver(copernicus("secret"), inbox=MemoryInbox(), work=False)
    later = NOTIFICATION | {"SubscriptionEvent": "modified", "NotificationDate": "2026-01-02T00:00:00Z"}
    queued = NOTIFICATION | {"AckId": "of the queue"}
    async with hooks:
        found = [await post(hooks, each) for each in (NOTIFICATION, [queued], [NOTIFICATION, later])]
    assert [each.response.status for each in found] == [202, 200, 202]


@pytest.mark.parametrize("is_pushed", [False, True])
async def test_a_product_that_is_modified_at_two_times_is_news_twice_by_push_and_by_poll(
    is_pushed: bool, tmp_path: Path
) -> None:
    dates = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000Z")  # the last two are one time
    told = [NOTIFICATION | {"SubscriptionEvent": "modified", "NotificationDate": date} for date in dates]
    hooks = receiver(copernicus("secret"), inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0", work=False)

    async def queue(cursor: str | None) -> Changes:
        return Changes([json.dumps(each).encode() for each in told], "1")

    async with hooks:
        if is_pushed:
            assert (await post(hooks, told[0])).response.status == 202
        polled = await Poller(hooks.runtime, queue, 300, 1_000_000).poll(early=True)
    assert polled is not None
    assert (polled.stored, polled.known) == ((1, 2) if is_pushed else (2, 1))


# geopera


def test_geopera_tells_orders_in_the_words_of_all_and_others_by_their_own() -> None:
    document = {"event_id": "e-1", "event_type": "order.fulfilled", "entity_type": "order", "entity_id": "o-1"}
    sender = geopera("secret")
    assert told(sender, document) == [(READY, "o-1", (), "order.fulfilled")]
    assert told(sender, document | {"event_type": "order.lost"}) == [(PROGRESS, "o-1", (), "order.lost")]
    job = {"event_id": "e-1", "event_type": "job.done", "entity_type": "job", "entity_id": "j-1"}
    assert told(sender, job) == [(UnknownEvent, "job.done")]


async def test_what_geopera_sends_again_is_known_by_its_signed_id() -> None:
    hooks = receiver(geopera("secret"), inbox=MemoryInbox(), work=False)
    document = {"event_id": "e-1", "event_type": "order.fulfilled", "entity_type": "order", "entity_id": "o-1"}
    async with hooks:
        found = [await post(hooks, each) for each in (document, document | {"attempt": 2})]
    assert [each.duplicate_of is not None for each in found] == [False, True]


# ogc

OGC_RESULTS: Sequence[object] = (
    *({}, {"event": "theirs", "status": "failed"}, [1, 2], "a text", 7, None),
    {"event": "ogc.job.ready", "body": {"order_id": "job-2", "status": "successful"}},
    {"event": "ogc.job.failed", "body": {"order_id": "job-2", "status": "failed"}},
)


@pytest.mark.parametrize("results", [*OGC_RESULTS])
@pytest.mark.parametrize(("word", "kind"), [("successful", READY), ("failed", FAILED), ("running", PROGRESS)])
async def test_a_callback_of_ogc_is_told_by_its_url_whatever_its_body(
    results: object, word: str, kind: type[Event]
) -> None:
    hooks, got = receiver(ogc_processes(EXAMPLE)), list[Event]()
    hooks.fallback(got.append)
    assert (await post(hooks, results, f"/webhooks/job-7/{word}")).response.status == 204
    assert [_told(each) for each in got] == [(kind, "job-7", (), word)]
    (event,) = got
    assert isinstance(event, ImageryEvent)
    assert event.document == (results if isinstance(results, dict) else {"body": results})


@pytest.mark.parametrize("body", [b"", b"\x89PNG", b"not JSON"])
async def test_a_callback_of_ogc_may_have_any_body(body: bytes) -> None:
    hooks, got = receiver(ogc_processes(EXAMPLE)), list[Event]()
    hooks.fallback(got.append)
    await post(hooks, body, "/webhooks/job-7/successful")
    assert [_told(each) for each in got] == [(READY, "job-7", (), "successful")]


async def test_callbacks_of_two_jobs_are_two_although_both_say_nothing() -> None:
    hooks = receiver(ogc_processes(EXAMPLE), inbox=MemoryInbox(), work=False)
    async with hooks:
        found = [
            (await post(hooks, body, f"/webhooks/{job}/{word}")).response.status
            for job, word, body in [
                ("job-7", "running", {}),
                ("job-8", "running", {}),
                ("job-7", "failed", {}),
                ("job-8", "failed", {}),
                ("job-8", "failed", {}),
                ("job-9", "running", {"progress": 10}),
                ("job-9", "running", {"progress": 20}),
                ("job-9", "running", {"progress": 20}),
            ]
        ]
    assert found == [202, 202, 202, 202, 200, 202, 202, 200]


async def test_the_route_of_callbacks_has_the_job_the_status_and_the_secret() -> None:
    import httpx
    from starlette.applications import Starlette

    hooks, got = receiver(ogc_processes(EXAMPLE)), list[Event]()
    hooks.fallback(got.append)
    app = Starlette(routes=[hooks.route("/webhooks/{job}/{status}/{token}")])
    async with hooks, httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        response = await client.post(f"/webhooks/job-7/successful/{EXAMPLE}", json={})
        stranger = await client.post("/webhooks/job-7/successful/somebody-elses-secret-path", json={})
    assert (response.status_code, stranger.status_code) == (204, 401)
    assert [_told(each) for each in got] == [(READY, "job-7", (), "successful")]


CLOUDEVENT = {
    "specversion": "1.0",
    "type": "org.ogc.api.collection.item.create",
    "source": "https://pygeoapi.example.com",
    "id": "c-1",
    "data": {"type": "Feature"},
}


def test_pygeoapi_publishes_a_text_that_holds_a_cloudevent() -> None:
    sender = pygeoapi_pubsub("secret")
    for document in (json.dumps(CLOUDEVENT), CLOUDEVENT):
        assert told(sender, document) == [(UnknownEvent, "org.ogc.api.collection.item.create")]
    assert sender.decode is not None
    for body in (b'"a text"', b"7", b"", b"not JSON"):
        assert sender.decode(body) == body


async def test_what_pygeoapi_publishes_twice_is_one() -> None:
    hooks = receiver(pygeoapi_pubsub("secret"), inbox=MemoryInbox(), work=False)
    async with hooks:
        found = [await post(hooks, json.dumps(each)) for each in (CLOUDEVENT, CLOUDEVENT | {"time": "later"})]
    assert [each.duplicate_of is not None for each in found] == [False, True]


# documents that nobody knows


@pytest.mark.parametrize(
    ("sender", "word", "kind"),
    [
        (planet_subscriptions(EXAMPLE), "delivery.success", READY),
        (planet_subscriptions(EXAMPLE), "status.failed", FAILED),
        (iceye(EXAMPLE), "DONE", READY),
        (iceye(EXAMPLE), "FULFILLED", PARTLY),
        (maxar(EXAMPLE), "SUCCESS", READY),
        (maxar(EXAMPLE), "PARTIALLY-FULFILLED", PARTLY),
        (arlula(EXAMPLE), "complete", READY),
        (arlula(EXAMPLE), "rejected", FAILED),
        (skywatch(EXAMPLE), "complete", PROGRESS),
        (skywatch(EXAMPLE, statuses=Statuses(ready="complete", source="seen")), "complete", READY),
    ],
)
async def test_of_documents_that_nobody_knows_the_url_tells(sender: Sender, word: str, kind: type[Event]) -> None:
    hooks, got = receiver(sender), list[Event]()
    hooks.fallback(got.append)
    for target in (f"/webhooks?order=o-7&status={word}", "/webhooks"):
        assert (await post(hooks, {"whatever": {"status": word}}, target)).response.status == 204
    assert [_told(each) for each in got] == [(kind, "o-7", (), word), (PROGRESS, None, (), "")]


@pytest.mark.parametrize("function", [planet_subscriptions, iceye, maxar, arlula, skywatch])
def test_who_has_seen_a_document_says_where_it_has_what(function: Any) -> None:
    places = DocumentPlaces(status=("task.state",), order_id=("task.id",), item=("file",), expires_at=("until",))
    sender = function(EXAMPLE, places=places)
    document = {"task": {"id": 7, "state": "new tomorrow"}, "file": "a.tif", "until": "2026-01-02T00:00:00Z"}
    assert told(sender, document) == [(PROGRESS, "7", ("a.tif",), "new tomorrow")]
    assert sender.url_places == ()


def test_a_place_that_is_the_secrets_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="the secret is there"):
        arlula(EXAMPLE, places=DocumentPlaces(order_id=("path:-1",)))


async def test_iceye_may_send_a_token_of_yours() -> None:
    scheme = BearerJWT(RSA_KEY, algorithm="RS256", issuer="https://issuer.example.com", audience="hooks")
    hooks = receiver(replace(iceye(EXAMPLE), scheme=scheme))
    assert (await post(hooks, {})).response.status == 204
    assert (await hooks.receive([], b"{}", target=f"/webhooks/{EXAMPLE}")).response.status == 401


def message(**members: str) -> dict[str, str]:
    return {"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn", "Timestamp": "2026", **members}


def test_maxar_by_sns_is_read_in_the_text_of_a_message_and_confirmations_are_left_to_sns() -> None:
    topic = presets()["maxar-sns"].example
    sender = maxar_sns(topic, places=DocumentPlaces(status=("status",), order_id=("id",)))
    assert told(sender, message(Message='{"id": "o-1", "status": "SUCCESS"}')) == [(READY, "o-1", (), "SUCCESS")]
    assert told(sender, message(Message="a text")) == [(PROGRESS, None, (), "")]
    assert told(maxar_sns(topic), message(Message='{"status": "SUCCESS"}')) == [(PROGRESS, None, (), "")]
    confirmation = message(Type="SubscriptionConfirmation", Message="?", Token="t", SubscribeURL="https://example.com")
    (event,) = receiver(sender).parse_all(json.dumps(confirmation).encode())
    assert isinstance(event, Event)
    assert type(event).__name__ == "SubscriptionConfirmation"


# nasa


@pytest.mark.parametrize(("mode", "kind"), [("New", READY), ("Update", PROGRESS), ("Delete", PROGRESS)])
def test_nasa_tells_a_granule_in_a_record_of_sns(mode: str, kind: type[Event]) -> None:
    record = {
        "Type": "Notification",
        "MessageId": "m-1",
        "Subject": f"{mode} Notification",
        "Message": json.dumps({"concept-id": "G1", "granule-ur": "scene", "location": "https://example.com"}),
        "MessageAttributes": {"mode": {"Type": "String", "Value": mode}},
    }
    assert told(nasa_cmr(EXAMPLE), record) == [(kind, None, ("scene",), mode)]
    del record["MessageAttributes"]
    assert told(nasa_cmr(EXAMPLE), record) == [(kind, None, ("scene",), f"{mode} Notification")]
    assert told(nasa_cmr(EXAMPLE), record | {"Message": "a text"}) == [(kind, None, (), f"{mode} Notification")]


# platforms

EDITED = {"name": "scenes", "layerId": 0, "changesUrl": "https%3a%2f%2fexample.com", "events": ["FeaturesCreated"]}


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("as_form", [False, True])
async def test_esris_signature_may_be_escaped_and_its_body_a_form(escaped: bool, as_form: bool) -> None:
    hooks, got = receiver(esri("secret")), list[str]()
    hooks.fallback(lambda event: got.append(event.event))
    body = json.dumps([EDITED]).encode()
    body = urlencode({"payload": body}).encode() if as_form else body
    head = EsriSignature("secret").sign(RequestHead.of({}), body, NOW)
    headers = [(name, quote(value, safe="").encode() if escaped else value) for name, value in head.headers]
    assert (await hooks.receive(headers, body)).response.status == 204
    assert got == ["FeaturesCreated"]
    assert (await hooks.receive(headers, body + b" ")).response.status == 401


async def test_esri_is_answered_whenever_it_asks() -> None:
    hooks = receiver(esri("secret"), inbox=MemoryInbox(), work=False)
    async with hooks:
        for _ in range(2):
            receipt = await hooks.receive([], b"", method="GET", target="/webhooks?crc_token=abc123")
            assert json.loads(receipt.response.body) == {
                "response_token": "sha256=WuWsgCoaXJT7aD4b+hIfn3AKJplSE/8vwcUD60PsccY="
            }
            assert receipt.response.status == 200


def test_esris_event_is_called_by_its_first_name_or_its_operation() -> None:
    of_portal = {"events": [{"operation": "update", "source": "items"}]}
    assert told(esri("secret"), [EDITED, of_portal, {}]) == [
        (UnknownEvent, "FeaturesCreated"),
        (UnknownEvent, "update"),
        (UnknownEvent, "changed"),
    ]


async def test_a_platform_takes_the_header_that_you_gave_it() -> None:
    for function in (geospan, amigocloud):
        hooks = receiver(function("secret", header="X-Mine"))
        assert (await hooks.receive([(b"x-mine", b"secret")], b"{}")).response.status == 204
        assert told(hooks.sender, {"id": 7})[0][0] is UnknownEvent
    assert told(liveeo("whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"), {"type": "alert.created"}) == [
        (UnknownEvent, "alert.created")
    ]


def test_eoepca_needs_the_account_where_the_cluster_signs_for_all() -> None:
    with pytest.raises(ConfigurationError, match="the cluster signs for every account"):
        eoepca(JWKS("https://cluster.example.com/openid/v1/jwks"))
    sender = eoepca(RSA_KEY, account="system:serviceaccount:eoepca:notifier")
    head = sender.scheme.sign(RequestHead.of({}), b"{}", NOW)
    assert sender.scheme.verify(head, NOW)(b"{}").by == 0
    another = eoepca(RSA_KEY, account="system:serviceaccount:default:default").scheme.sign(
        RequestHead.of({}), b"{}", NOW
    )
    with pytest.raises(VerificationError, match="sub"):
        sender.scheme.verify(another, NOW)
    assert told(sender, CLOUDEVENT) == [(UnknownEvent, "org.ogc.api.collection.item.create")]


@pytest.mark.parametrize(("stored", "answer"), [(200, 200), (201, 204), (202, 204)])
async def test_who_takes_200_alone_gets_it_without_an_inbox_too(stored: int, answer: int) -> None:
    hooks = receiver(replace(skyfi(EXAMPLE), responses=ResponseStatuses(stored=stored)))
    assert (await post(hooks, order("CREATED"))).response.status == answer  # nothing wants it
    hooks.on(ImageryEvent)(lambda image: None)
    assert (await post(hooks, order("CREATED"))).response.status == answer


async def test_a_handler_that_fails_is_not_answered_200() -> None:
    hooks = receiver(skyfi(EXAMPLE))

    @hooks.on(ImageryEvent)
    async def fail(image: ImageryEvent) -> None:
        raise RuntimeError

    assert (await post(hooks, order("CREATED"))).response.status == 500


def test_a_page_says_by_what_an_event_is_known_again_and_how_the_api_is_asked() -> None:
    told = {name: dict(profile_of(presets()[name]).sections()) for name in ("skyfi", "esri", "planet-orders")}
    known = "An event that is sent again is known by the id that it has by its class, or by an equal body."
    assert [known in each["events"] for each in told.values()] == [True, False, True]
    assert ["backfill" in each for each in told.values()] == [True, False, True]
    assert "A delivery proves itself by a secret as the last part of the URL's path." in told["skyfi"]["proof"]
    assert (
        "A delivery may hold several events: each is stored and handled by itself." in told["planet-orders"]["events"]
    )
