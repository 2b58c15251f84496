// Runs pytest in Pyodide as live cells run there: library.mjs SETTINGS, a file of test_library.py.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

process.on("uncaughtException", (error) => {
  console.log(error.stack ?? String(error)); // not the source line, which is the whole runtime
  process.exit(1);
});
const given = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { loadPyodide } = await import(pathToFileURL(`${given.folder}/pyodide.mjs`));
const python = await loadPyodide({
  indexURL: given.folder,
  packageBaseUrl: given.folder,
  lockFileContents: given.lock,
});
await python.loadPackage(["mathdl", "matplotlib"], { messageCallback: () => {} });
python.registerJsModule("mathdl_live_host", { display: () => {} });
for (const [path, folder] of Object.entries(given.mounts)) {
  python.FS.mkdirTree(path);
  python.mountNodeFS(path, folder);
}
for (const [path, text] of Object.entries(given.files)) {
  python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
  python.FS.writeFile(path, text);
}
process.exit(python.runPython(given.start));
