// Asks one library for Node: `node node_driver.mjs SENDER:PACKAGE`, a question a line, an answer a line.
//
// A question is a request, a secret and a time: the clock of the library shows that time. It runs beside the folder of
// the libraries, so it has nothing of this project.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

let now = 0;
globalThis.Date = class extends Date {
  constructor(...given) {
    given.length ? super(...given) : super(now * 1000);
  }
  static now() {
    return now * 1000;
  }
};
console.log = console.info = console.warn = console.error; // some libraries print

// What `verify` returns is false, or it throws, for a request that the library does not take.
const libraries = {
  "github:@octokit/webhooks-methods": async () => {
    const { sign, verify } = await import("@octokit/webhooks-methods");
    return {
      verify: (asked) => verify(asked.secret, asked.text, asked.headers["x-hub-signature-256"]),
      sign: async (asked) => ({ "x-hub-signature-256": await sign(asked.secret, asked.text) }),
    };
  },

  "stripe:stripe": async () => {
    const { default: Stripe } = await import("stripe");
    const { webhooks } = new Stripe("sk_test_1");
    return {
      verify: (asked) => webhooks.constructEvent(asked.body, asked.headers["stripe-signature"], asked.secret),
      sign: (asked) => ({
        "stripe-signature": webhooks.generateTestHeaderString({
          payload: asked.text,
          secret: asked.secret,
          timestamp: asked.time,
        }),
      }),
    };
  },

  "slack:@slack/bolt": async () => {
    const { verifySlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
    return {
      verify: ({ secret, text, headers }) => verifySlackRequest({ signingSecret: secret, body: text, headers }),
    };
  },

  "shopify:@shopify/shopify-api": async () => {
    require("@shopify/shopify-api/adapters/node");
    const { shopifyApi } = require("@shopify/shopify-api");
    return {
      verify: async (asked) => {
        const options = { apiKey: "key", apiSecretKey: asked.secret, apiVersion: "2026-01", scopes: [] };
        const api = shopifyApi({ ...options, hostName: "hooks.example.com", isEmbeddedApp: true });
        const rawRequest = { method: asked.method, url: "/", headers: asked.headers };
        return (await api.webhooks.validate({ rawBody: asked.text, rawRequest, rawResponse: {} })).valid;
      },
    };
  },

  "standard-webhooks:standardwebhooks": async () => standard((await import("standardwebhooks")).Webhook, "webhook"),
  "svix:svix": async () => standard((await import("svix")).Webhook, "svix"),
};

function standard(Webhook, prefix) {
  return {
    verify: ({ secret, body, headers }) => void new Webhook(secret).verify(body, headers, { jsonParse: false }),
    sign: ({ secret, text, headers, time }) => ({
      [`${prefix}-timestamp`]: String(time),
      [`${prefix}-signature`]: new Webhook(secret).sign(headers[`${prefix}-id`], new Date(time * 1000), text),
    }),
  };
}

async function answered(verify, question) {
  try {
    return { taken: (await verify(question)) !== false };
  } catch (error) {
    return { taken: false, why: String(error) };
  }
}

const { verify, sign } = await libraries[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const body = Buffer.from(asked.body, "base64");
  now = asked.time;
  const question = { ...asked, body, text: body.toString() };
  let answer;
  try {
    answer = asked.do === "sign" ? { headers: Object.entries(await sign(question)) } : await answered(verify, question);
  } catch (error) {
    answer = { broken: String(error.stack) };
  }
  writeSync(1, JSON.stringify(answer) + "\n");
}
process.exit(0);
