// Lighthouse on pages of a built site, compressed as a host sends them, in a Chromium of our own.
// node lighthouse.mjs SITE CHROMIUM RUNS < '[["book/index.html", "mobile"], …]' prints one JSON line
// for each: the median of RUNS runs by performance, what was measured, and what failed of the rest.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { gzipSync } from "node:zlib";
import * as chromeLauncher from "chrome-launcher";
import lighthouse, { desktopConfig } from "lighthouse";

const [root, chromePath, runs] = process.argv.slice(2);
const KINDS = {
  ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript",
  ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".txt": "text/plain",
  ".webp": "image/webp", ".webm": "video/webm", ".woff2": "font/woff2", ".wasm": "application/wasm",
};
const PACKED = new Set([".png", ".webp", ".webm", ".woff2"]);

const sent = new Map();
async function answer(path) {
  if (!sent.has(path)) {
    const kind = extname(path);
    const data = await readFile(join(root, path));
    const small = PACKED.has(kind) ? null : gzipSync(data, { level: 9 });
    sent.set(path, { kind: KINDS[kind] ?? "application/octet-stream", data: small ?? data, small });
  }
  return sent.get(path);
}

const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://host").pathname));
  try {
    const { kind, data, small } = await answer(path);
    response.setHeader("Content-Type", kind);
    response.setHeader("Cache-Control", "max-age=31536000");
    if (small) response.setHeader("Content-Encoding", "gzip");
    response.end(data);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const origin = `http://127.0.0.1:${server.address().port}`;

/** What Lighthouse finds of some categories at an address, in a browser of its own. */
async function looked(address, look, onlyCategories) {
  const chrome = await chromeLauncher.launch({
    chromePath,
    chromeFlags: ["--headless=new", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  });
  try {
    const given = { port: chrome.port, output: "json", logLevel: "error", onlyCategories };
    const { lhr } = await lighthouse(`${origin}/${address}`, given, look === "desktop" ? desktopConfig : undefined);
    if (lhr.runtimeError) throw new Error(`${address}: ${lhr.runtimeError.message}`);
    return lhr;
  } finally {
    await chrome.kill();
  }
}

const score = ({ categories }, name) => Math.round(categories[name].score * 100);

async function fast(page, look) {
  const lhr = await looked(page, look, ["performance"]);
  const number = (name) => Math.round(lhr.audits[name].numericValue * 1000) / 1000;
  return {
    performance: score(lhr, "performance"),
    first_paint: number("first-contentful-paint"),
    largest_paint: number("largest-contentful-paint"),
    speed_index: number("speed-index"),
    blocking: number("total-blocking-time"),
    shift: number("cumulative-layout-shift"),
  };
}

// At a place in the page it is laid out as a whole. Elsewhere Lighthouse looks for neighbours of a
// link in parts that no reader has seen, whose places are guesses and may lie over each other.
async function good(page, look) {
  const lhr = await looked(`${page}#main-content`, look, ["accessibility", "best-practices", "seo"]);
  const [scores, failed] = [{}, {}];
  for (const [name, { auditRefs }] of Object.entries(lhr.categories)) {
    scores[name] = score(lhr, name);
    failed[name] = auditRefs
      .map(({ id, weight }) => [lhr.audits[id], weight])
      .filter(([audit, weight]) => weight && audit.score !== null && audit.score < 1)
      .map(([audit]) => `${audit.id}: ${audit.title} ${JSON.stringify(audit.details?.items ?? "").slice(0, 600)}`);
  }
  return { scores, failed };
}

let input = "";
for await (const part of process.stdin) input += part;
for (const [page, look] of JSON.parse(input)) {
  const found = [];
  for (let run = 0; run < Number(runs); run += 1) found.push(await fast(page, look));
  found.sort((a, b) => a.performance - b.performance);
  const { performance, ...middle } = found[Math.floor(found.length / 2)];
  const { scores, failed } = await good(page, look);
  console.log(JSON.stringify({
    page, look, scores: { performance, ...scores }, ...middle, failed, runs: found.map((one) => one.performance),
  }));
}
server.close();
