// Asks one library for Node: `node node_driver.mjs SENDER:PACKAGE`, a question a line, an answer a line.
//
// A question is a request, a secret and a time: the clock of the library shows that time. It runs beside the folder of
// the libraries, so it has nothing of this project.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { platforms } from "./node_platforms.mjs";

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
console.log = console.info = console.warn = console.debug = console.error; // some libraries print

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

  "razorpay:razorpay": async () => {
    const { validateWebhookSignature } = require("razorpay");
    return { verify: (asked) => validateWebhookSignature(asked.text, asked.headers["x-razorpay-signature"], asked.secret) };
  },

  "square:square": async () => {
    const { WebhooksHelper } = require("square");
    return {
      verify: (asked) =>
        WebhooksHelper.verifySignature({
          requestBody: asked.text,
          signatureHeader: asked.headers["x-square-hmacsha256-signature"],
          signatureKey: asked.secret,
          notificationUrl: asked.url,
        }),
    };
  },

  "paddle:@paddle/paddle-node-sdk": async () => {
    const { Paddle } = require("@paddle/paddle-node-sdk");
    const { webhooks } = new Paddle("key");
    return { verify: (asked) => webhooks.isSignatureValid(asked.text, asked.secret, asked.headers["paddle-signature"]) };
  },

  "gocardless:gocardless-nodejs": async () => {
    const { parse } = require("gocardless-nodejs/webhooks");
    return { verify: (asked) => parse(asked.text, asked.secret, asked.headers["webhook-signature"]) };
  },

  "mollie:mollie-api-typescript": async () => {
    const { SignatureValidator } = require(inside("mollie-api-typescript", "dist/commonjs/utils/webhooks/signature_validator.js"));
    return {
      verify: (asked) => SignatureValidator.validate(asked.text, asked.secret, asked.headers["x-mollie-signature"]),
      sign: async (asked) => ({
        "x-mollie-signature": `sha256=${await SignatureValidator.createSignature(asked.text, asked.secret)}`,
      }),
    };
  },

  "coinbase-commerce:coinbase-commerce-node": async () => {
    const { Webhook } = require("coinbase-commerce-node");
    return {
      verify: (asked) => Webhook.verifyEventBody(asked.text, asked.headers["x-cc-webhook-signature"], asked.secret),
    };
  },

  "adyen-platform:@adyen/api-library": async () => {
    const { hmacValidator: HmacValidator } = require("@adyen/api-library");
    const validator = new HmacValidator();
    return {
      verify: (asked) => validator.validateHMACSignature(asked.secret, asked.headers["hmacsignature"], asked.text),
      sign: (asked) => ({ hmacsignature: validator.calculateHmac(asked.text, asked.secret) }),
    };
  },

  "chargebee:chargebee": async () => {
    const { basicAuthValidator } = require(inside("chargebee", "cjs/resources/webhook/auth.js"));
    return {
      verify: ({ headers, secret }) => basicAuthValidator((user, password) => user === "webhook" && password === secret)(headers),
    };
  },

  "adyen:@adyen/api-library": async () => {
    const { hmacValidator: HmacValidator } = require("@adyen/api-library");
    const validator = new HmacValidator();
    const isRight = ({ NotificationRequestItem: item }, secret) => validator.validateHMAC(item, secret);
    return { verify: ({ text, secret }) => JSON.parse(text).notificationItems.every((item) => isRight(item, secret)) };
  },

  "polar:@polar-sh/sdk": async () => {
    const { webhooks } = await import("@polar-sh/sdk/2026-04");
    const verify = async (asked) => {
      try {
        return await webhooks.validateEvent(asked.text, asked.headers, asked.secret);
      } catch (error) {
        if (/unknown/i.test(String(error))) return true; // verified, of a type that it does not know
        throw error;
      }
    };
    return { verify };
  },

  "lithic:lithic": async () => {
    const { Lithic } = await import("lithic");
    const { webhooks } = new Lithic({ apiKey: "key" });
    return { verify: (asked) => webhooks.verifySignature(asked.text, asked.headers, asked.secret) };
  },

  "mux:@mux/mux-node": async () => {
    const { Mux } = await import("@mux/mux-node");
    const { webhooks } = new Mux({ tokenId: "id", tokenSecret: "secret" });
    return { verify: (asked) => webhooks.verifySignature(asked.text, asked.headers, asked.secret) };
  },

  "sendgrid:@sendgrid/eventwebhook": async () => {
    const { EventWebhook } = require("@sendgrid/eventwebhook");
    const webhook = new EventWebhook();
    return {
      verify: ({ secret, body, headers }) =>
        webhook.verifySignature(
          webhook.convertPublicKeyToECDSA(secret),
          body,
          headers["x-twilio-email-event-webhook-signature"],
          headers["x-twilio-email-event-webhook-timestamp"],
        ),
    };
  },

  "resend:resend": async () => {
    const { Resend } = await import("resend");
    const { webhooks } = new Resend("re_1");
    const headers = (asked) =>
      Object.fromEntries(["id", "timestamp", "signature"].map((part) => [part, asked.headers[`svix-${part}`]]));
    return {
      verify: (asked) => webhooks.verify({ payload: asked.text, headers: headers(asked), webhookSecret: asked.secret }),
    };
  },

  "mailersend:mailersend": async () => {
    const { MailerSendUtils } = require(inside("mailersend", "lib/services/mailersend.utils.js"));
    return { verify: (asked) => MailerSendUtils.verifyWebHook(asked.text, asked.headers["signature"], asked.secret) };
  },

  "discord:discord-interactions": () => discord(),
  "discord-interactions:discord-interactions": () => discord(),

  "twilio:twilio": async () => {
    const { validateRequest, getExpectedTwilioSignature } = require("twilio/lib/webhooks/webhooks.js");
    const fields = ({ text }) => require("node:querystring").parse(text);
    return {
      verify: (asked) => validateRequest(asked.secret, asked.headers["x-twilio-signature"], asked.url, fields(asked)),
      sign: (asked) => ({ "x-twilio-signature": getExpectedTwilioSignature(asked.secret, asked.url, fields(asked)) }),
    };
  },

  "line:@line/bot-sdk": async () => {
    const { validateSignature } = require("@line/bot-sdk");
    return { verify: (asked) => validateSignature(asked.body, asked.secret, asked.headers["x-line-signature"]) };
  },

  "meta:whatsapp-api-js": async () => {
    const { WhatsAppAPI } = await import("whatsapp-api-js");
    return {
      verify: (asked) => {
        const options = { token: "token", appSecret: asked.secret, webhookVerifyToken: "token", v: "v20.0" };
        const api = new WhatsAppAPI({ ...options, ponyfill: { subtle: crypto.subtle, fetch } });
        return api.verifyRequestSignature(asked.text, asked.headers["x-hub-signature-256"]);
      },
    };
  },

  "viber:viber-bot": async () => {
    const Validator = require("viber-bot/lib/message/message-validator.js");
    return {
      verify: (asked) =>
        new Validator({ debug() {} }, asked.secret).validateMessage(asked.headers["x-viber-content-signature"], asked.body),
    };
  },

  "stream:stream-chat": async () => {
    const { StreamChat } = await import("stream-chat");
    return {
      verify: (asked) => new StreamChat("key", asked.secret).verifyAndParseWebhook(asked.body, asked.headers["x-signature"]),
    };
  },

  "hubspot:@hubspot/api-client": async () => {
    const { Signature } = require("@hubspot/api-client");
    return {
      verify: (asked) =>
        Signature.isValid({
          signature: asked.headers["x-hubspot-signature-v3"],
          clientSecret: asked.secret,
          requestBody: asked.text,
          url: asked.url,
          method: asked.method,
          signatureVersion: "v3",
          timestamp: asked.headers["x-hubspot-request-timestamp"],
        }),
      sign: (asked) => {
        const timestamp = asked.time * 1000;
        const options = { clientSecret: asked.secret, requestBody: asked.text, url: asked.url, timestamp };
        return {
          "x-hubspot-request-timestamp": String(timestamp),
          "x-hubspot-signature-v3": Signature.getSignature(asked.method, "v3", options),
        };
      },
    };
  },

  "linear:@linear/sdk": async () => {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    return {
      verify: ({ secret, body, headers }) =>
        new LinearWebhookClient(secret).verify(body, headers["linear-signature"], JSON.parse(body).webhookTimestamp),
    };
  },

  "box:box-node-sdk": async () => {
    const { WebhooksManager } = require("box-node-sdk/lib/managers/webhooks");
    return { verify: (asked) => WebhooksManager.validateMessage(asked.text, asked.headers, asked.secret) };
  },

  "sanity:@sanity/webhook": async () => {
    const { isValidSignature, encodeSignatureHeader } = await import("@sanity/webhook");
    return {
      verify: (asked) => isValidSignature(asked.text, asked.headers["sanity-webhook-signature"], asked.secret),
      sign: async (asked) => ({
        "sanity-webhook-signature": await encodeSignatureHeader(asked.text, asked.time * 1000, asked.secret),
      }),
    };
  },

  "clerk:@clerk/backend": async () => {
    const { verifyWebhook } = await import("@clerk/backend/webhooks");
    return {
      verify: ({ method, url, headers, body, secret }) =>
        verifyWebhook(new Request(url, { method, headers, body }), { signingSecret: secret }),
    };
  },

  "workos:@workos-inc/node": async () => {
    const { WorkOS } = await import("@workos-inc/node");
    const { webhooks } = new WorkOS("sk_1");
    return {
      verify: ({ text, headers, secret }) =>
        webhooks.verifyHeader({ payload: text, sigHeader: headers["workos-signature"], secret }),
    };
  },

  "openai:openai": async () => {
    const { default: OpenAI } = await import("openai");
    const { webhooks } = new OpenAI({ apiKey: "key" });
    return { verify: (asked) => webhooks.verifySignature(asked.text, asked.headers, asked.secret) };
  },

  "replicate:replicate": async () => {
    const { validateWebhook } = require("replicate");
    return { verify: ({ headers, text, secret }) => validateWebhook({ headers, body: text }, secret) };
  },

  "liveblocks:@liveblocks/node": async () => {
    const { WebhookHandler } = await import("@liveblocks/node");
    return {
      verify: ({ secret, headers, text }) => new WebhookHandler(secret).verifyRequest({ headers, rawBody: text }),
    };
  },

  "seam:@seamapi/webhook": async () => {
    const { SeamWebhook } = await import("@seamapi/webhook");
    return { verify: ({ secret, text, headers }) => new SeamWebhook(secret).verify(text, headers) };
  },

  "trigger-dev:@trigger.dev/sdk": async () => {
    const { webhooks } = await import("@trigger.dev/sdk");
    const verify = async ({ method, url, headers, body, secret }) => {
      try {
        return await webhooks.constructEvent(new Request(url, { method, headers, body }), secret);
      } catch (error) {
        if (/parsing failed/.test(String(error))) return true; // verified, of a type that it does not know
        throw error;
      }
    };
    return { verify };
  },

  "notion:@notionhq/client": async () => {
    const { verifyWebhookSignature, signWebhookPayload } = require("@notionhq/client");
    return {
      verify: ({ text, headers, secret }) =>
        verifyWebhookSignature({ body: text, signature: headers["x-notion-signature"], verificationToken: secret }),
      sign: async ({ text, secret }) => ({
        "x-notion-signature": await signWebhookPayload({ body: text, verificationToken: secret }),
      }),
    };
  },

  "elevenlabs:@elevenlabs/elevenlabs-js": async () => {
    const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");
    const { webhooks } = new ElevenLabsClient({ apiKey: "key" });
    return {
      verify: ({ text, headers, secret }) => webhooks.constructEvent(text, headers["elevenlabs-signature"], secret),
    };
  },

  "kontent-ai:@kontent-ai/webhook-helper": async () => {
    const { signatureHelper } = require("@kontent-ai/webhook-helper");
    return {
      verify: ({ text, headers, secret }) =>
        signatureHelper.isValidSignatureFromString(text, secret, headers["x-kontent-ai-signature"]),
      sign: ({ text, secret }) => ({ "x-kontent-ai-signature": signatureHelper.getHashFromString(text, secret) }),
    };
  },

  "qstash:@upstash/qstash": async () => {
    const { Receiver } = require("@upstash/qstash");
    return {
      verify: ({ secret, headers, text, url }) =>
        new Receiver({ currentSigningKey: secret, nextSigningKey: secret }).verify({
          signature: headers["upstash-signature"],
          body: text,
          url,
        }),
    };
  },

  "livekit:livekit-server-sdk": async () => {
    const { WebhookReceiver } = await import("livekit-server-sdk");
    return { verify: ({ secret, headers, text }) => new WebhookReceiver("key", secret).receive(text, headers["authorization"]) };
  },

  "zoom:@zoom/rivet": async () => {
    const { AwsLambdaReceiver } = require("@zoom/rivet/teamchat");
    return {
      verify: async ({ secret, headers, text }) => {
        const handle = new AwsLambdaReceiver({ webhooksSecretToken: secret }).start();
        return (await handle({ headers, body: text, isBase64Encoded: false }, {})).statusCode === 200;
      },
    };
  },

  "twitch:@twurple/eventsub-http": async () => {
    const { EventSubHttpListener } = await import("@twurple/eventsub-http");
    const part = (headers, name) => headers[`twitch-eventsub-message-${name}`];
    return {
      verify: ({ secret, headers, text }) =>
        EventSubHttpListener.prototype._verifyData.call(
          { _secret: secret },
          part(headers, "id"),
          part(headers, "timestamp"),
          text,
          part(headers, "signature"),
        ),
    };
  },

  "lemon-squeezy:@hookflo/tern": () => tern("lemonsqueezy"),
  "sentry:@hookflo/tern": () => tern("sentry"),
  "woocommerce:@hookflo/tern": () => tern("woocommerce"),

  "calendly:n8n-nodes-base": () => n8n("Calendly/Calendly"),
  "typeform:n8n-nodes-base": () => n8n("Typeform/Typeform"),
  "cal-com:n8n-nodes-base": () => n8n("Cal/Cal"),
  "trello:n8n-nodes-base": () => n8n("Trello/Trello"),
  "zendesk:n8n-nodes-base": () => n8n("Zendesk/Zendesk"),
  "asana:n8n-nodes-base": () => n8n("Asana/Asana"),
  "netlify:n8n-nodes-base": () => n8n("Netlify/Netlify"),

  // The body's hash is for the caller to compare, by the documentation of Vonage.
  "vonage:@vonage/jwt": async () => {
    const { verifySignature } = require("@vonage/jwt");
    const { createHash } = require("node:crypto");
    return {
      verify: ({ secret, headers, body }) => {
        const token = headers["authorization"].replace(/^Bearer /, "");
        if (!verifySignature(token, secret)) return false;
        const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
        return claims.payload_hash === createHash("sha256").update(body).digest("hex");
      },
    };
  },
};

async function discord() {
  const { verifyKey } = require("discord-interactions");
  return {
    verify: ({ body, headers, secret }) =>
      verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], secret),
  };
}

function tern(platform) {
  const { WebhookVerificationService } = require("@hookflo/tern");
  return {
    verify: async ({ method, url, headers, body, secret }) =>
      (await WebhookVerificationService.verify(new Request(url, { method, headers, body }), { platform, secret })).isValid,
  };
}

// A node of n8n verifies in a module apart, with what it is given by the workflow.
function n8n(path) {
  const { verifySignature } = require(`./alone/n8n-nodes-base/package/dist/nodes/${path}TriggerHelpers.js`);
  return {
    verify: ({ url, headers, body, secret }) =>
      verifySignature.call({
        getRequestObject: () => ({ header: (name) => headers[name], rawBody: body }),
        getHeaderData: () => headers,
        getWorkflowStaticData: () => ({ webhookSecret: secret, hookSecret: secret }),
        getNodeParameter: (name, otherwise) => otherwise,
        getCredentials: async () => ({ oauthSecret: secret }),
        getNodeWebhookUrl: () => url,
      }),
  };
}

// A module that its package does not export.
function inside(name, path) {
  return new URL(`./node_modules/${name}/${path}`, import.meta.url).pathname;
}

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

const { verify, sign } = await { ...libraries, ...platforms }[process.argv[2]]();
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
