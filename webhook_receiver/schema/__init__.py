"""Documents of what a receiver takes, made of its handlers and event classes: AsyncAPI 3 and OpenAPI 3.1.

`WebhookReceiver.asyncapi` and `WebhookReceiver.openapi` return them. `messages` says what can come, and by what schema,
as the sender spells it; `proof` how a delivery proves itself, which is tried, not told; `asyncapi` and `openapi` write
that down in their own words.
"""
