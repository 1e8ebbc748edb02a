#!/usr/bin/env bash
# What surprises: a sender signs the bytes that it sends. Three libraries for Node.js of the senders' own, or of their
# communities, hash what JavaScript makes of these bytes: JSON.stringify(JSON.parse(body)). A genuine delivery verifies if
# it happens to be written as JavaScript would write it. One with a space behind a colon, a line break at its end, a price
# of 1.0, or a name with an escape such as \u00e9 is taken for a forged one, with the right secret and the right
# signature, and in two of the three without an error: nothing is handled.
#
# What a receiver should do: keep the bytes as they came, and hash these. Where a library wants the parsed body and not
# the bytes, it cannot verify all that its sender may send: compare the HMAC yourself.
#
# Measured with @zoom/rivet 0.4.0, @larksuiteoapi/node-sdk 1.74.0 and webex-node-bot-framework 2.3.14 on Node.js. Fails if
# that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work" \
  @zoom/rivet@0.4.0 @larksuiteoapi/node-sdk@1.74.0 webex-node-bot-framework@2.3.14
cat > "$work/probe.cjs" <<'JAVASCRIPT'
const assert = require("assert");
const { createHash, createHmac } = require("crypto");
const { readFileSync } = require("fs");

const SECRET = "a-secret";
const now = String(Math.floor(Date.now() / 1000));
const hmac = (hash, text) => createHmac(hash, SECRET).update(text).digest("hex");

async function zoom(body) {
  const { AwsLambdaReceiver } = require("@zoom/rivet/teamchat");
  const headers = { "x-zm-request-timestamp": now, "x-zm-signature": `v0=${hmac("sha256", `v0:${now}:${body}`)}` };
  const handle = new AwsLambdaReceiver({ webhooksSecretToken: SECRET }).start();
  return (await handle({ headers, body, isBase64Encoded: false }, {})).statusCode === 200;
}

async function lark(body) {
  const { EventDispatcher, LoggerLevel } = require("@larksuiteoapi/node-sdk");
  const signature = createHash("sha256").update(now + "nonce" + SECRET + body).digest("hex");
  const headers = { "x-lark-request-timestamp": now, "x-lark-request-nonce": "nonce", "x-lark-signature": signature };
  const dispatcher = new EventDispatcher({ encryptKey: SECRET, loggerLevel: LoggerLevel.fatal });
  let handled = false;
  dispatcher.register({ "a.b": async () => void (handled = true) });
  await dispatcher.invoke(Object.assign(Object.create({ headers }), JSON.parse(body)));
  return handled;
}

async function webex(body) {
  const webhook = require("webex-node-bot-framework/webhook");
  let isRefused = false;
  const debug = (text) => void (isRefused ||= /signature/.test(text));
  const framework = { options: { webhookSecret: SECRET, webhookRequestJSONLocation: "body" }, emit() {}, debug };
  const headers = { "x-spark-signature": hmac("sha1", body) };
  await Promise.resolve(webhook(framework)({ headers, body: JSON.parse(body) }, undefined)).catch(() => {});
  return !isRefused;
}

const BODIES = {
  "as JavaScript writes it": ["", true],
  "a space behind a colon": [': "1"', false],
  "a price of 1.0": [":1.0", false],
  "an escape": [':"\\u00e9"', false],
};
const document = (more) =>
  `{"schema":"2.0","header":{"event_type":"a.b"},"event":"a.b","payload":{},"resource":"none"${more && `,"more"${more}`}}`;

(async () => {
  for (const [name, verify] of Object.entries({ "@zoom/rivet": zoom, "@larksuiteoapi/node-sdk": lark, "webex-node-bot-framework": webex })) {
    console.log(name, JSON.parse(readFileSync(`${__dirname}/node_modules/${name}/package.json`)).version);
    for (const [what, [more, isTaken]] of Object.entries(BODIES)) {
      const taken = await verify(document(more));
      console.log(`    genuine, ${what}: ${taken ? "taken" : "refused"}`);
      assert.strictEqual(taken, isTaken, "the behaviour has changed");
    }
  }
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
JAVASCRIPT
node "$work/probe.cjs"
