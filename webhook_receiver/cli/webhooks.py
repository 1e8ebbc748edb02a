"""`webhooks`: list, create, change, test and remove the webhooks of a workspace; the commands and their options."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, cast

import typer

from ..errors import WebhookError
from . import options, output
from .options import Group, Json, Yes, confirm
from .up42_options import Address, InRegion, SecretFile, ShowSecret, Workspace

webhooks = typer.Typer(
    cls=Group,
    help="Manage the webhooks of a workspace. Credentials: UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id or its beginning, or its name.")]
Name = Annotated[str, typer.Option("--name", help="The webhook's name.")]
Receiver = Annotated[str, typer.Option("--url", help="The URL to deliver to, such as https://host/webhooks.")]


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for each in given or () for name in each.split(",")]


Events = Annotated[
    list[str] | None,
    typer.Option("--events", "--event", callback=_names, help="Events' names, with commas; may be repeated."),
]
SecretOrVariable = Annotated[
    str | None, typer.Option("--secret", envvar=options.SECRET_VARIABLES, help="The secret that signs its deliveries.")
]

ORDER_STATUS = "order.status"


@webhooks.command("events")
def events(as_json: Json = False, at: Address = None, region: InRegion = None, workspace: Workspace = None) -> None:
    """List the events that a webhook can be created for."""
    from . import up42_output

    found = up42_output.run(lambda client: client.event_types(), at, region, workspace)
    if as_json:
        for each in found:
            output.say_json(each.as_json())
        return
    rows = [tuple(map(output.printable, (each.name, each.category, each.description or each.title))) for each in found]
    output.table(("event", "category", "description"), rows)


@webhooks.command("create")
def create(
    name: Name,
    url: Receiver,
    event: Events = None,
    secret: SecretOrVariable = None,
    secret_file: SecretFile = None,
    generate_secret: Annotated[
        bool, typer.Option("--generate-secret", help="Create a strong secret, and write it to --secret-file.")
    ] = False,
    inactive: Annotated[bool, typer.Option("--inactive", help="Do not deliver yet.")] = False,
    show_secret: ShowSecret = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Create a webhook, by default for the event order.status."""
    from ..senders.up42.client import WebhooksClient
    from ..senders.up42.models import Webhook
    from . import up42_output
    from .secret_option import read_secret, typed

    if generate_secret:
        if typed(secret):
            raise typer.BadParameter("give --secret or --generate-secret, not both", param_hint="--generate-secret")
        if secret_file is None and not show_secret:
            raise typer.BadParameter(
                "say where you will find it: --secret-file FILE keeps it, --show-secret prints it",
                param_hint="--generate-secret",
            )
    given = None if generate_secret else read_secret(secret, secret_file)

    async def work(client: WebhooksClient) -> Webhook:
        chosen = up42_output.new_secret(secret_file) if generate_secret else given
        try:
            return await client.create(name, url, event or [ORDER_STATUS], secret=chosen, active=not inactive)
        except WebhookError:
            if generate_secret and secret_file is not None:
                output.warn(f"the new secret is in {secret_file}: try again without --generate-secret")
            raise

    up42_output.tell(up42_output.run(work, at, region, workspace), "created", as_json=as_json, show_secret=show_secret)


@webhooks.command("ls")
def ls(
    show_secret: ShowSecret = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """List the webhooks of the workspace."""
    from . import up42_output

    found = up42_output.run(lambda client: client.list(), at, region, workspace)
    if as_json:
        for each in found:
            output.say_json(up42_output.document(each, secret=show_secret))
    else:
        up42_output.show_all(found, secret=show_secret)


@webhooks.command("show")
def show(
    id: Id,
    show_secret: ShowSecret = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Show all the fields of a webhook."""
    from ..senders.up42.client import WebhooksClient
    from ..senders.up42.models import Webhook
    from . import up42_output

    async def work(client: WebhooksClient) -> Webhook:
        return await client.get(await up42_output.id_of(client, id))

    up42_output.tell(
        up42_output.run(work, at, region, workspace),
        "",
        as_json=as_json,
        show_secret=show_secret,
    )


@webhooks.command("update")
def update(
    id: Id,
    name: Annotated[str | None, typer.Option("--name", help="The new name.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="The new URL.")] = None,
    event: Events = None,
    secret: Annotated[str | None, typer.Option("--secret", help="The secret that signs its deliveries.")] = None,
    secret_file: SecretFile = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Deliver, or do not.")] = None,
    show_secret: ShowSecret = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Change the given fields of a webhook. WEBHOOK_SECRET in the environment is ignored."""
    from ..senders.up42.client import Changes, WebhooksClient
    from ..senders.up42.models import Webhook
    from . import up42_output
    from .secret_option import read_secret

    chosen = read_secret(secret, secret_file)
    given = {"name": name, "url": url, "events": event or None, "secret": chosen, "active": active}
    changes = cast("Changes", {key: value for key, value in given.items() if value is not None})
    if not changes:
        raise typer.BadParameter("say what changes: --name, --url, --events, --secret, --active", param_hint="ID")

    async def work(client: WebhooksClient) -> Webhook:
        return await client.update(await up42_output.id_of(client, id), **changes)

    up42_output.tell(up42_output.run(work, at, region, workspace), "updated", as_json=as_json, show_secret=show_secret)


@webhooks.command("rm")
def rm(
    id: Id,
    yes: Yes = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Remove a webhook: it delivers nothing any more."""
    from ..senders.up42.client import WebhooksClient
    from ..senders.up42.models import Webhook
    from . import up42_output

    async def work(client: WebhooksClient) -> Webhook:
        webhook = await client.get(await up42_output.id_of(client, id))
        shown = output.printable(f"{webhook.name}, which delivers to {webhook.url}")
        confirm(f"Remove {shown}?", yes=yes)
        await client.delete(webhook.id)
        return webhook

    removed = up42_output.run(work, at, region, workspace)
    if as_json:
        output.say_json({"removed": removed.id})
    else:
        output.say(f"{output.printable(removed.name)} is removed")


@webhooks.command("test")
def check(
    id: Id,
    event: Annotated[
        str | None, typer.Option("--event", help="Only this event; UP42 may test all of them anyway.")
    ] = None,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Let UP42 deliver a test of each event. Exits with 1 if one failed, or none was run."""
    from ..senders.up42.client import WebhooksClient
    from ..senders.up42.models import WebhookTests
    from . import up42_output

    async def work(client: WebhooksClient) -> WebhookTests:
        return await client.test(await up42_output.id_of(client, id), event)

    tests = up42_output.run(work, at, region, workspace)
    output.say_json(tests.as_json()) if as_json else up42_output.show_tests(tests)
    raise typer.Exit(0 if up42_output.succeeded(tests) else 1)


@webhooks.command("ensure")
def ensure(
    name: Name,
    url: Receiver,
    event: Events = None,
    secret: SecretOrVariable = None,
    secret_file: SecretFile = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Do not deliver.")] = False,
    show_secret: ShowSecret = False,
    as_json: Json = False,
    at: Address = None,
    region: InRegion = None,
    workspace: Workspace = None,
) -> None:
    """Create the webhook of this name, or update it.

    For scripts that run repeatedly: the webhook has these options afterwards. Without a secret, the present one stays.
    """
    from ..senders.up42.client import Ensured, WebhooksClient
    from . import up42_output
    from .secret_option import read_secret

    chosen = read_secret(secret, secret_file)
    events = event or [ORDER_STATUS]

    def work(client: WebhooksClient) -> Awaitable[Ensured]:
        return client.ensure(name=name, url=url, events=events, secret=chosen, active=not inactive)

    webhook, done = up42_output.run(work, at, region, workspace)
    if as_json:
        output.say_json({"done": done, "webhook": up42_output.document(webhook, secret=show_secret)})
    else:
        up42_output.tell(webhook, done, as_json=False, show_secret=show_secret)
