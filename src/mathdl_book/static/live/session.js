/* Python in its worker, as the page sees it. */

const version = new URL(import.meta.url).search;

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

/** One Python: it starts with the first cell and ends when it is stopped. */
export class Session {
  #worker = null;
  #run = null;
  #id = 0;

  /**
   * Runs a cell.
   * @param {string} code
   * @param {number} number of the cell on the page
   * @param {{status: Function, stream: Function, display: Function}} on what to call meanwhile
   * @returns {Promise<{error: ?{name: string, text: string, step: boolean}, seconds: number}>}
   *   rejected if Python could not be loaded, or has ended
   */
  run(code, number, on) {
    return new Promise((resolve, reject) => {
      this.#run = { id: ++this.#id, on, resolve, reject };
      if (!this.#worker) this.#start();
      this.#worker.postMessage({ id: this.#id, code, number });
    });
  }

  /** Ends Python, whatever it does. */
  stop(reason = "Stopped.") {
    this.#worker?.terminate();
    this.#worker = null;
    const run = this.#run;
    this.#run = null;
    run?.reject(new Error(reason));
  }

  #start() {
    this.#worker = new Worker(new URL(`worker.js${version}`, import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    this.#worker.onerror = (event) => this.stop(event.message || "Python could not be started.");
  }

  #hear(data) {
    const run = this.#run;
    if (!run || (data.id && data.id !== run.id)) return;
    if (data.type === "progress") {
      const from = data.host ? ` from ${data.host}` : "";
      const { loaded, total } = data;
      run.on.status(`Downloading Python${from}, once: ${megabytes(loaded)} of ${megabytes(total)} MB`, loaded / total);
    } else if (data.type === "starting") run.on.status("Starting Python…");
    else if (data.type === "running") run.on.status("Running…");
    else if (data.type === "stream") run.on.stream(data.name, data.text);
    else if (data.type === "display") run.on.display(data.bundle);
    else if (data.type === "failed") this.stop(data.message);
    else if (data.type === "done") {
      this.#run = null;
      run.resolve(data);
    }
  }
}
