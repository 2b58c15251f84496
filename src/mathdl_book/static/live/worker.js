/*
 * Python in a worker. It fetches what the manifest names, holds every file to its SHA-256, keeps it
 * for the next visit, and then runs one cell after another. Nothing else can be fetched from here.
 */

/** @typedef {{url: string, sha256: string, size: number, packed?: boolean}} Entry */

const version = new URL(import.meta.url).search;
const home = new URL("../pyodide/", import.meta.url);
const network = self.fetch.bind(self);
const SCRIPTS = {
  "support.py": "/lib/live/mathdl_live.py",
  "figures.py": "/lib/live/mathdl_live_figures.py",
  "pretty.py": "/lib/live/mathdl_live_pretty.py",
};
const LONGEST = 200_000; // characters that a cell may print

/** @type {{version: string, core: Object<string, Entry>, packages: Object<string, Entry>, lock: any}} */
let manifest;
let python; // Pyodide
let runCell, packagesOf, mendNumpy, modules;
let current = 0; // the cell that runs

// --- what is fetched --------------------------------------------------------------------------

/** Bytes wanted and bytes here, of what is on its way. */
const way = { loaded: 0, total: 0, names: new Set(), told: 0 };

function tell(force) {
  const now = performance.now();
  if (!force && now - way.told < 100) return;
  way.told = now;
  const hosts = [...way.names].map((name) => entryOf(name).url).filter((url) => url.includes("://"));
  const host = hosts.length ? new URL(hosts[0]).host : "";
  postMessage({ type: "progress", loaded: way.loaded, total: way.total, host });
}

const entryOf = (name) => manifest.core[name] ?? manifest.packages[name];

const hex = (buffer) =>
  [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** What earlier visits left here; browsers keep nothing for pages without https. */
const kept = self.caches?.open(`mathdl-python ${home.pathname}`).catch(() => null);
const place = (entry) => new URL(entry.sha256, home).href;

async function read(name) {
  const entry = entryOf(name);
  const cache = await kept;
  const before = await cache?.match(place(entry)).catch(() => null);
  let bytes = before && new Uint8Array(await before.arrayBuffer());
  if (!bytes) {
    bytes = await download(name, entry);
    await cache?.put(place(entry), new Response(bytes)).catch(() => null); // no room: as well
  }
  if (!entry.packed) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function download(name, entry) {
  way.total += entry.size;
  way.names.add(name);
  tell(true);
  // Without https there is no digest to be had from here, and the browser itself compares.
  const itself = !self.crypto?.subtle;
  const integrity = `sha256-${btoa(String.fromCharCode(...entry.sha256.match(/../g).map((h) => parseInt(h, 16))))}`;
  const answer = await network(new URL(entry.url, home), itself ? { integrity } : {}).catch(() => null);
  if (!answer?.ok) throw new Error(`${name} could not be fetched.`);
  const bytes = new Uint8Array(entry.size);
  const reader = answer.body.getReader();
  let here = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (here + value.length > entry.size) throw refused(name);
    bytes.set(value, here);
    here += value.length;
    way.loaded += value.length;
    tell(false);
  }
  if (here !== entry.size) throw refused(name);
  if (!itself && hex(await crypto.subtle.digest("SHA-256", bytes)) !== entry.sha256) throw refused(name);
  way.names.delete(name);
  tell(true);
  return bytes;
}

const refused = (name) => new Error(`${name} is refused: it is not the file that this book was built with.`);

async function forgetOthers() {
  const cache = await kept;
  if (!cache) return;
  const wanted = new Set(
    [...Object.values(manifest.core), ...Object.values(manifest.packages)].map(place),
  );
  for (const request of await cache.keys()) if (!wanted.has(request.url)) cache.delete(request);
}

let lost = null;

/** The only way out for Python and Pyodide: files of the manifest. */
self.fetch = async (input) => {
  const name = String(input.url ?? input).split("/").pop();
  if (!entryOf(name)) throw new TypeError(`Python in this book fetches nothing: ${input.url ?? input}`);
  const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  try {
    return new Response(await take(name), { headers: { "Content-Type": type } });
  } catch (error) {
    lost = error; // Pyodide only says that something could not be fetched
    throw error;
  }
};

/** Files fetched before Pyodide asks for them, each handed out once. */
const ahead = new Map();

function take(name) {
  const bytes = ahead.get(name) ?? read(name);
  ahead.delete(name);
  return bytes;
}

async function importBytes(name) {
  const url = URL.createObjectURL(new Blob([await read(name)], { type: "text/javascript" }));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

const text = async (name) => (await network(new URL(name + version, import.meta.url))).text();

// --- starting ---------------------------------------------------------------------------------

async function start() {
  manifest = await (await network(new URL(`manifest.json${version}`, home))).json();
  const numpy = Object.keys(manifest.packages).filter((name) => /^(numpy|mathdl)-/.test(name));
  for (const name of ["python_stdlib.zip", "pyodide.asm.wasm", ...numpy]) ahead.set(name, read(name));
  const [runtime, module, scripts] = await Promise.all([
    importBytes("pyodide.mjs"),
    importBytes("pyodide.asm.mjs"),
    Promise.all(Object.keys(SCRIPTS).map(text)),
    Promise.all(ahead.values()),
  ]);
  postMessage({ type: "starting" });
  python = await runtime.loadPyodide({
    indexURL: home.href,
    packageBaseUrl: home.href,
    lockFileContents: manifest.lock,
    createPyodideModule: module.default,
  });
  for (const name of ["stdout", "stderr"]) {
    const decoder = new TextDecoder();
    const write = (bytes) => {
      print(name, decoder.decode(bytes, { stream: true }));
      return bytes.length;
    };
    (name === "stdout" ? python.setStdout : python.setStderr).call(python, { write });
  }
  // When the runtime itself breaks down, what it was asked never answers.
  python._api.on_fatal = (error) => postMessage({ type: "failed", message: `Python broke down: ${error.message}.` });
  python.FS.mkdirTree("/lib/live");
  python.registerJsModule("mathdl_live_host", {
    display: (bundle) => {
      flush();
      postMessage({ type: "display", id: current, bundle: JSON.parse(bundle) });
    },
  });
  Object.values(SCRIPTS).forEach((path, i) => python.FS.writeFile(path, scripts[i]));
  const live = python.runPython("import sys; sys.path.append('/lib/live'); import mathdl_live; mathdl_live");
  runCell = live.run_cell;
  packagesOf = live.packages;
  mendNumpy = live.mend_numpy;
  modules = python.toPy(
    Object.fromEntries(
      Object.values(manifest.lock.packages).flatMap((p) => p.imports.map((module) => [module, p.name])),
    ),
  );
  forgetOthers();
}

// --- running ----------------------------------------------------------------------------------

let pending = { name: "", text: "" };
let printed = 0;
let flushed = 0;

function print(name, text) {
  if (pending.name !== name) flush();
  pending.name = name;
  pending.text += text;
  if (pending.text.length > 2000 || performance.now() - flushed > 50) flush();
}

function flush() {
  flushed = performance.now();
  if (!pending.text) return;
  const room = LONGEST - printed;
  printed += pending.text.length;
  if (room > 0) {
    const cut = pending.text.length > room;
    const shown = cut ? `${pending.text.slice(0, room)}\n… the rest is not shown` : pending.text;
    postMessage({ type: "stream", id: current, name: pending.name, text: shown });
  }
  pending = { name: "", text: "" };
}

async function run({ id, code, number }) {
  current = id;
  printed = 0;
  const wanted = packagesOf(code, modules);
  const missing = wanted.toJs().filter((name) => !(name in python.loadedPackages));
  wanted.destroy();
  if (missing.length) {
    const silent = { messageCallback: () => {}, errorCallback: () => {} };
    await python.loadPackage(missing, silent);
    const absent = missing.find((name) => !(name in python.loadedPackages));
    if (absent) throw lost ?? new Error(`${absent} could not be loaded.`);
    if (mendNumpy && "numpy" in python.loadedPackages) {
      mendNumpy();
      mendNumpy = null;
    }
  }
  postMessage({ type: "running", id });
  const begun = performance.now();
  const error = await runCell(code, number);
  flush();
  const seconds = (performance.now() - begun) / 1000;
  postMessage({ type: "done", id, error: error ? JSON.parse(error) : null, seconds });
}

const ready = start();
ready.then(
  () => postMessage({ type: "ready" }),
  (error) => postMessage({ type: "failed", message: error.message }),
);
let chain = ready;
onmessage = ({ data }) => {
  chain = chain.then(() => run(data)).catch((error) => postMessage({ type: "failed", message: error.message }));
};
