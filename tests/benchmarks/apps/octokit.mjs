// @octokit/webhooks with its own Node middleware. It signs the request itself. Says of itself what serving.py says.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Webhooks, createNodeMiddleware } from "@octokit/webhooks";

const SIZE = 600;
const webhooks = new Webhooks({ secret: "benchmark-secret" });
let ran = 0;
webhooks.on("issues.opened", () => { ran += 1; });

const made = (note) => JSON.stringify({ action: "opened", issue: { number: 1, body: note } });
const body = made("x".repeat(SIZE - made("").length));
const head = [
  "POST /api/github/webhooks HTTP/1.1",
  "host: 127.0.0.1",
  "content-type: application/json",
  "x-github-event: issues",
  "x-github-delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958",
  `x-hub-signature-256: ${await webhooks.sign(body)}`,
  `content-length: ${body.length}`,
];
const request = Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`).toString("base64");

const server = createServer(createNodeMiddleware(webhooks));
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port, processes: [process.pid] }));
});
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [command, argument] = line.split(" ");
    console.log(command === "ran" ? ran : Array(Number(argument)).fill(request).join("\n"));
  })
  .on("close", () => process.exit(0));
