/* The cells of a page: what they hold, in which order they run, what is kept for the next visit. */

const version = new URL(import.meta.url).search;
const { Output, element } = await import(`./output.js${version}`);
const { Session } = await import(`./session.js${version}`);

const STORE = `mathdl-live:${location.pathname}`;

/** What a screen reader says: one sentence at each turn, not every byte. */
const spoken = document.body.appendChild(element("div", "live-spoken"));
spoken.setAttribute("role", "status");

function edits() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

/** Keeps an edited cell for the next visit; null forgets it. */
function keep(name, code) {
  const all = edits();
  if (code === null) delete all[name];
  else all[name] = code;
  try {
    if (Object.keys(all).length) localStorage.setItem(STORE, JSON.stringify(all));
    else localStorage.removeItem(STORE);
  } catch {
    // The browser keeps nothing for this page.
  }
}

/** A cell whose code the page does not show: it runs when a cell below it does. */
class HiddenCell {
  constructor(root, source) {
    this.root = root;
    this.code = JSON.parse(source.textContent);
    this.number = 0;
    /** The code that has run in this session. */
    this.ran = null;
    this.mayFail = root.classList.contains("tag_raises-exception");
  }

  get called() {
    return "a cell that the page does not show";
  }

  begin() {}
  status() {}
  stream() {}
  display() {}

  error({ text }) {
    this.root.dataset.error = text;
  }

  end(state) {
    this.root.dataset.live = state;
  }
}

/** A cell with its buttons. */
class Cell {
  constructor(root, bar) {
    this.root = root;
    this.bar = bar;
    this.box = bar.parentElement; // .cell_input
    this.number = Number(bar.dataset.number);
    this.name = bar.dataset.cell;
    this.ran = null;
    this.mayFail = root.classList.contains("tag_raises-exception");
    this.runButton = bar.querySelector(".live-run");
    this.resetButton = bar.querySelector(".live-reset");
    this.line = bar.querySelector(".live-status");
    this.printed = root.querySelector(".cell_output");
    this.pre = this.box.querySelector("pre");
    this.originalPre = bar.originalCode ?? this.pre.cloneNode(true);
    this.original = this.originalPre.textContent.replace(/\n$/, "");
    this.text = this.pre.textContent.replace(/\n$/, "");
    this.editor = null;
    this.output = null;
  }

  get called() {
    return `cell ${this.number}`;
  }

  get code() {
    return this.text;
  }

  set code(text) {
    if (text === this.text) return;
    this.text = text;
    keep(this.name, text === this.original ? null : text);
    this.resetButton.hidden = text === this.original && !this.output;
  }

  /** Shows code in the page's own block, without colours unless it is the book's. */
  show() {
    const pre = this.text === this.original ? this.originalPre.cloneNode(true) : this.pre.cloneNode();
    if (this.text !== this.original) pre.textContent = `${this.text}\n`;
    this.pre.replaceWith(pre);
    this.pre = pre;
  }

  async edit() {
    if (!this.editor) {
      this.status("Loading the editor…");
      const { open } = await import(`./editor.js${version}`);
      this.line.textContent = "";
      const shown = this.pre.closest("[class*=highlight-]") ?? this.pre;
      this.editor ??= open({
        parent: this.box,
        before: this.bar,
        code: this.text,
        label: `Code of cell ${this.number}. Shift-Enter runs it, Escape leaves the editor.`,
        changed: (text) => {
          this.code = text;
        },
        run: () => press("run", this.bar),
        leave: () => this.runButton.focus(),
      });
      shown.hidden = true;
      this.shown = shown;
      this.bar.querySelector(".live-edit").hidden = true;
      this.resetButton.hidden = false;
    }
    this.editor.focus();
  }

  /** Puts other code into the cell. */
  replace(text) {
    this.code = text;
    if (this.editor) this.editor.set(text);
    else this.show();
  }

  /** Makes the cell what the book has. */
  reset() {
    const within = this.bar.contains(document.activeElement);
    this.code = this.original;
    if (this.editor) {
      this.editor.close();
      this.editor = null;
      this.shown.hidden = false;
      this.bar.querySelector(".live-edit").hidden = false;
    }
    this.show();
    this.output?.remove();
    this.output = null;
    this.printed?.classList.remove("live-replaced");
    this.resetButton.hidden = true;
    this.status("");
    delete this.root.dataset.live;
    if (within) this.runButton.focus();
  }

  /** Readies the cell to run, or to wait for others. */
  wait() {
    this.runButton.textContent = "Stop";
    this.root.dataset.live = "waiting";
    this.status("Waiting for the cells above…");
  }

  begin() {
    this.runButton.textContent = "Stop";
    this.root.dataset.live = "running";
    this.output?.remove();
    const alternatives =
      this.text === this.original || this.root.classList.contains("tag_solution")
        ? [...(this.printed?.querySelectorAll("img") ?? [])].map((made) => made.alt)
        : [];
    this.output = new Output(alternatives);
    const folded = this.box.closest("details.hide");
    (folded && this.root.contains(folded) ? folded : this.box).after(this.output.box);
    this.printed?.classList.add("live-replaced");
    this.resetButton.hidden = false;
  }

  /** Says what happens: `share` of a download makes a bar. */
  status(text, share) {
    this.line.textContent = text;
    if (share !== undefined) {
      const bar = element("progress", "");
      bar.value = share;
      bar.setAttribute("aria-label", "Download");
      this.line.append(" ", bar);
    }
  }

  stream(name, text) {
    this.output.stream(name, text);
  }

  display(bundle) {
    this.output.display(bundle);
  }

  error(error) {
    this.output.error(error);
  }

  /** Says how it went. */
  end(state, text) {
    this.runButton.textContent = "Run";
    this.root.dataset.live = state;
    this.status(text);
  }
}

const session = new Session();

/** @type {Array<Cell|HiddenCell>} in the page's order */
const cells = [...document.querySelectorAll("div.cell")].flatMap((root) => {
  const bar = root.querySelector(".live-bar[data-cell]");
  const source = root.querySelector("script.live-source");
  if (bar) return [new Cell(root, bar)];
  return source ? [new HiddenCell(root, source)] : [];
});

/** @type {Array<Cell|HiddenCell>} what is to run, the first of it running */
let queue = [];
let busy = false;

/** Does what a button says. */
export async function press(action, bar) {
  const cell = cells.find(({ root }) => root.contains(bar));
  if (action === "edit") await cell.edit();
  else if (action === "reset") {
    if (queue.includes(cell)) stop();
    cell.reset();
  } else if (action === "solve") {
    bar.querySelector(".live-status").textContent = "";
    const solved = bar.parentElement.querySelector("pre").textContent;
    cell.replace(solved.replace(/\n$/, ""));
    cell.runButton.focus();
    start(cell);
  } else if (queue.includes(cell)) stop();
  else start(cell);
}

/** Queues a cell behind those above it that have not run as they now stand. */
function start(target) {
  const above = cells.slice(0, cells.indexOf(target)).filter((cell) => cell.ran !== cell.code);
  for (const cell of [...above, target]) {
    if (queue.includes(cell)) continue;
    queue.push(cell);
    if (cell instanceof Cell) cell.wait();
  }
  if (!busy) drain();
}

async function drain() {
  busy = true;
  while (queue.length) {
    const cell = queue[0];
    const target = queue.findLast((other) => other instanceof Cell) ?? cell;
    cell.begin();
    const code = cell.code;
    let told = "";
    const on = {
      status(text, share) {
        if (text !== "Running…" && cell !== target) target.status(text, share);
        cell.status(text, share);
        const turn = text.split(":")[0];
        if (turn !== told && turn !== "Running…") spoken.textContent = turn;
        told = turn;
      },
      stream: (name, text) => cell.stream(name, text),
      display: (bundle) => cell.display(bundle),
    };
    try {
      const { error, seconds } = await session.run(code, cell.number, on);
      cell.ran = error && !error.step ? null : code;
      if (error) cell.error(error);
      const took = `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
      cell.end(error ? "error" : "done", error ? `Ended in an error after ${took}.` : `Ran in ${took}.`);
      queue.shift();
      // A lab's step that is still to be done keeps nobody from the steps below it.
      if (error && !error.step && !cell.mayFail) giveUp(`Not run: ${cell.called} ended in an error.`);
      if (cell === target || !queue.length) {
        spoken.textContent = `${cell.called}: ${error ? `error: ${error.text.split("\n").pop()}` : "done"}`;
      }
    } catch (ended) {
      for (const other of cells) other.ran = null;
      cell.end("stopped", `${ended.message} The next run starts Python afresh.`);
      spoken.textContent = ended.message;
      queue.shift();
      giveUp("Not run.");
    }
  }
  busy = false;
}

function giveUp(why) {
  for (const cell of queue) cell.end("waited", why);
  queue = [];
}

function stop() {
  session.stop();
}
