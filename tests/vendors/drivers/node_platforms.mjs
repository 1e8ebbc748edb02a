// Libraries for Node of platforms, and of senders that prove a delivery by a key or in the body: see `node_driver.mjs`.

import https from "node:https";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const require = createRequire(import.meta.url);
const n8n = (path) => require(`./alone/n8n-nodes-base/package/dist/nodes/${path}.js`);

const CERTIFICATE_URL = `https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-${"7".repeat(32)}.pem`;

export const platforms = {
  // Its class reads the headers from the prototype of the document, as its own adapters hand them over.
  "lark:@larksuiteoapi/node-sdk": async () => {
    const { EventDispatcher } = require("@larksuiteoapi/node-sdk");
    return {
      verify: async ({ secret, headers, text }) => {
        const dispatcher = new EventDispatcher({ encryptKey: secret });
        const document = Object.assign(Object.create({ headers }), JSON.parse(text));
        return (await dispatcher.invoke(document)) !== undefined;
      },
    };
  },

  "aws-sns:sns-validator": async () => {
    const MessageValidator = require("sns-validator");
    return {
      verify: ({ secret, text }) => {
        https.get = (url, respond) => {
          const statusCode = url === CERTIFICATE_URL ? 200 : 404;
          respond(Object.assign(Readable.from([Buffer.from(secret)]), { statusCode }));
          return { on() {} };
        };
        return new Promise((resolve, reject) => {
          new MessageValidator().validate(JSON.parse(text), (error, message) => (error ? reject(error) : resolve(message)));
        });
      },
    };
  },

  "aws-sns:n8n-nodes-base": async () => {
    const { verifySignature } = n8n("Aws/AwsSnsTriggerHelpers");
    return {
      verify: ({ secret, text }) => {
        const message = JSON.parse(text);
        const helpers = { httpRequest: async ({ url }) => (url === CERTIFICATE_URL ? secret : "") };
        return verifySignature.call({ helpers }, message, "arn:aws:sns:eu-central-1:123456789012:orders");
      },
    };
  },

  "google-pubsub:google-auth-library": async () => {
    const { OAuth2Client } = require("google-auth-library");
    return {
      verify: ({ secret, headers, url }) => {
        const token = headers["authorization"].replace(/^Bearer /, "");
        const issuers = ["https://accounts.google.com", "accounts.google.com"];
        const kid = JSON.parse(Buffer.from(token.split(".")[0], "base64url")).kid;
        return new OAuth2Client().verifySignedJwtWithCertsAsync(token, { [kid]: secret }, url, issuers);
      },
    };
  },

  "figma:n8n-nodes-base": async () => {
    const { verifySignature } = n8n("Figma/FigmaTriggerHelpers");
    return {
      verify: ({ secret, text }) =>
        verifySignature.call({
          getWorkflowStaticData: () => ({ webhookSecret: secret }),
          getBodyData: () => JSON.parse(text),
        }),
    };
  },

  "inngest:inngest": async () => {
    const { Inngest } = require("inngest");
    const { InngestCommHandler } = require(new URL("./node_modules/inngest/components/InngestCommHandler.cjs", import.meta.url).pathname);
    const { signDataWithKey } = require(new URL("./node_modules/inngest/helpers/net.cjs", import.meta.url).pathname);
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    return {
      verify: async ({ secret, headers, text }) => {
        const client = new Inngest({ id: "app", isDev: false, signingKey: secret, logger });
        const handler = new InngestCommHandler({ frameworkName: "none", client, functions: [], handler: () => ({}) });
        const { success, err } = await handler.validateSignature(headers["x-inngest-signature"], JSON.parse(text));
        if (!success) throw err;
      },
      sign: async ({ secret, text, time }) => ({
        "x-inngest-signature": `t=${time}&s=${await signDataWithKey(JSON.parse(text), secret, String(time), logger)}`,
      }),
    };
  },

  "kinde:@kinde/webhooks": async () => {
    const { createPublicKey } = require("node:crypto");
    const { decodeWebhook } = require("@kinde/webhooks");
    return {
      verify: async ({ secret, text }) => {
        const key = { ...createPublicKey(secret).export({ format: "jwk" }), alg: "RS256", use: "sig" };
        globalThis.fetch = async () => new Response(JSON.stringify({ keys: [key] }));
        return (await decodeWebhook(text, "https://acme.kinde.com")) !== null;
      },
    };
  },

  "braintree:braintree": async () => {
    const braintree = require("braintree");
    return {
      verify: ({ secret, text }) => {
        const options = { environment: braintree.Environment.Sandbox, merchantId: "m", publicKey: "a-public-key" };
        const gateway = new braintree.BraintreeGateway({ ...options, privateKey: secret });
        const fields = Object.fromEntries(new URLSearchParams(text));
        return gateway.webhookNotification.parse(fields.bt_signature, fields.bt_payload);
      },
    };
  },

  // It needs the parsed body, and hashes what JavaScript writes of it.
  "webex:webex-node-bot-framework": async () => {
    const webhook = require("webex-node-bot-framework/webhook");
    return {
      verify: async ({ secret, headers, text }) => {
        let said = "";
        const framework = {
          options: { webhookSecret: secret, webhookRequestJSONLocation: "body" },
          emit() {},
          debug: (...what) => void (said += what.join(" ")),
        };
        try {
          await webhook(framework)({ headers, body: JSON.parse(text) }, undefined);
        } catch (error) {
          if (/JSON/.test(String(error))) throw error; // any other is of what it does with a verified one
        }
        return !/signature/.test(said);
      },
    };
  },

  "wechat-pay:wechatpay-node-v3": async () => {
    const Pay = require("wechatpay-node-v3");
    return {
      verify: ({ secret, headers, text }) => {
        Pay.certificates = { PUB_KEY_ID_7: secret };
        const part = (name) => headers[`wechatpay-${name}`];
        const given = { timestamp: part("timestamp"), nonce: part("nonce"), signature: part("signature"), apiSecret: "" };
        return Pay.prototype.verifySign.call({}, { ...given, body: text, serial: "PUB_KEY_ID_7" });
      },
    };
  },

  "shopify-events:@shopify/shopify-api": async () => {
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
};
