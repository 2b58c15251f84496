/**
 * The page's side of an explorable: controls, links to states, playing, the spoken sentence, the
 * numbers when the hand rests. What is computed and drawn is in `scene.js`, in a worker.
 *
 * @typedef {import("./control.js").Control & {input: HTMLInputElement | HTMLSelectElement,
 *   output: Element}} PageControl
 */

import { natural, onScale, shareOf } from "./control.js";
import { handle, slidable } from "./handle.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const forced = matchMedia("(forced-colors: active)");

/** One worker for all explorables of a page, and a promise that fails if it does not start. */
let worker = null;
let broken = null;

function scenes() {
  worker ??= new Worker(new URL("scene.js", import.meta.url), { type: "module" });
  broken ??= new Promise((_, fail) => {
    worker.onerror = ({ message }) => fail(new Error(message));
  });
  return worker;
}

/** @param {HTMLElement} root @returns {Promise<Explorable>} once it shows its first picture */
export async function start(root) {
  const { data: address } = root.dataset;
  const answer = address && (await fetch(new URL(`../${address}`, import.meta.url)));
  if (answer && !answer.ok) throw new Error(`${answer.url}: ${answer.status}`);
  const made = new Explorable(root, answer ? await answer.json() : null);
  return Promise.race([made.started, broken]);
}

/** The later call wins; the earlier one never happens. */
function debounce(action) {
  let timer = 0;
  return (milliseconds, ...given) => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds, ...given);
  };
}

// Written out: of the style sheet's names those stay that are asked for.
const COLORS = [
  "--x-ink", "--x-muted", "--x-rule", "--x-track", "--x-paper", "--x-surface",
  "--x-blue", "--x-vermillion", "--x-green", "--x-purple", "--x-orange", "--x-sky",
];
const density = () => Math.min(devicePixelRatio, 2);

/** @param {Element} element @returns {import("./scene.js").Theme} what the style sheet gives it now */
function themeOf(element) {
  const style = getComputedStyle(element);
  const theme = {
    font: style.fontFamily, dark: style.colorScheme.includes("dark"), forced: forced.matches,
  };
  for (const name of COLORS) theme[name.slice(4)] = style.getPropertyValue(name).trim();
  return theme;
}

class Explorable {
  /** @param {HTMLElement} root @param {any} data */
  constructor(root, data) {
    this.root = root;
    this.name = root.dataset.explorable;
    this.form = root.querySelector("form");
    this.stage = root.querySelector(".explorable-stage");
    this.canvas = root.querySelector("canvas");
    this.status = root.querySelector(".explorable-status");
    this.link = root.querySelector(".explorable-link");
    this.values = new Map(
      [...root.querySelectorAll("[data-value]")].map((field) => [field.dataset.value, field]),
    );
    /** @type {Map<string, PageControl>} */
    this.controls = new Map(
      [...this.form.elements].filter(({ name }) => name).map((input) => [input.name, control(input)]),
    );
    this.sliders = [...this.controls.values()].filter(({ kind }) => kind === "range");
    this.moving = document.createElement("canvas");
    this.moving.className = "explorable-moving";
    this.moving.ariaHidden = "true";
    /** @type {ReturnType<typeof handle>[]} */
    this.handles = [];
    /** @type {import("./scene.js").Report | null} the last one, and the one that the page shows */
    this.report = this.settled = null;
    this.held = this.covered = false;
    this.playing = null;
    // What the scene has not been told yet: it is told all at once when it has answered the last.
    this.messages = [];
    this.answered = false;
    this.say = debounce((sentence) => write(this.status, sentence));
    this.rest = debounce(() => this.settle());
    this.save = debounce(() => history.replaceState(history.state, "", this.link.hash));
    /** @type {import("./scene.js").State} */
    this.initial = {};
    const state = {};
    for (const [name, control] of this.controls) {
      this.initial[name] = initial(control);
      state[name] = read(control);
    }
    /** @type {Promise<Explorable>} */
    this.started = this.open(data, state);
    this.listen();
    this.resize();
  }

  /** Has a scene made, which takes over both canvases. */
  open(data, state) {
    const { port1, port2 } = new MessageChannel();
    const [canvas, moving] = [this.canvas, this.moving].map((c) => c.transferControlToOffscreen());
    const controls = [...this.controls.values()].map(({ input, output, ...rest }) => rest);
    const { name } = this;
    const given = { port: port2, name, canvas, moving, controls, data, state };
    scenes().postMessage(given, [port2, canvas, moving]);
    this.port = port1;
    return new Promise((started, fail) => {
      port1.onmessage = async ({ data: made }) => {
        if (made.failed) return fail(new Error(made.failed));
        await this.furnish(made);
        port1.onmessage = ({ data: heard }) => {
          this.hear(heard);
          this.root.classList.add("explorable-started");
          started(this);
        };
        this.send();
      };
    });
  }

  /** Makes what can be taken hold of. */
  async furnish({ points, hand }) {
    const { stage, canvas } = this;
    const tell = (...message) => this.tell(...message);
    this.handles = points.map((label, k) => handle(stage, label, k, tell));
    if (hand) (await import(`../${this.name}/hand.js`)).take(canvas, tell);
  }

  /** Whether a hand or a play moves something. */
  get moves() {
    return this.held || this.playing;
  }

  tell(...message) {
    this.messages.push(message);
    if (this.answered) this.send();
  }

  send() {
    this.answered = false;
    this.port.postMessage(this.messages.splice(0));
  }

  /** @param {{answer?: boolean, report: import("./scene.js").Report | null}} heard */
  hear({ answer, report }) {
    this.answered ||= answer;
    if (this.answered && this.messages.length) this.send();
    if (report) this.show(report);
    this.rest(this.moves ? 1500 : 0);
  }

  /** Takes up what the scene has drawn. */
  show(report) {
    const first = this.report === null;
    this.report = report;
    this.handles.forEach((handle, k) => {
      handle.at = report.points[k];
    });
    if (first || forced.matches) this.settle();
    if (first) write(this.status, report.sentence);
  }

  listen() {
    const { form } = this;
    form.addEventListener("input", ({ target }) => {
      this.stop();
      this.tell("set", { [target.name]: read(this.controls.get(target.name)) });
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.goTo("");
    });
    for (const control of this.sliders) {
      slidable(control.input.parentElement, control, (value) => {
        this.tell("set", { [control.name]: natural(control, value) });
      });
    }
    const take = () => {
      this.stop();
      this.held = true;
      this.settle();
      this.cover();
    };
    for (const place of [this.stage, ...this.sliders.map(({ input }) => input.parentElement)]) {
      place.addEventListener("pointerdown", take, { capture: true });
    }
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, () => {
        if (!this.held) return;
        this.held = false;
        this.rest(0);
      });
    }
    form.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.dataset.range) this.play(button);
      else if (button?.dataset.action) this.tell("act", button.dataset.action);
    });
    new ResizeObserver(() => this.resize()).observe(this.stage);
    const theme = () => this.tell("fit", { theme: themeOf(form) });
    new MutationObserver(theme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    forced.addEventListener("change", theme);
    theme();
  }

  /** Fits the picture to the stage. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const size = [width, height, density()];
    if (!width || String(size) === this.size) return;
    this.size = String(size);
    this.tell("fit", { width, height, dense: density() });
  }

  /**
   * Tells the scene what the page shows, so that it draws over it what differs while a hand moves.
   */
  cover() {
    const layout = this.moves ? this.measured() : null;
    if (!layout && !this.covered) return;
    this.covered = Boolean(layout);
    this.tell("shown", this.settled, layout);
  }

  /** Where numbers and sliders are. @returns {import("./moving.js").Layout} */
  measured() {
    const { form, moving, stage } = this;
    const top = stage.nextElementSibling.offsetTop;
    const [width, height] = [form.clientWidth, form.clientHeight - top];
    const place = `top: ${top}px; width: ${width}px; height: ${height}px`;
    if (moving.style.cssText !== place) moving.style.cssText = place;
    const origin = form.getBoundingClientRect();
    // On a slide the form is shown larger or smaller than it is laid out.
    const scale = form.offsetWidth / origin.width;
    const [left, over] = [origin.left + form.clientLeft / scale, origin.top + (form.clientTop + top) / scale];
    const box = (element) => {
      const { left: x, top: y, width, height } = element.getBoundingClientRect();
      return { x: scale * (x - left), y: scale * (y - over), width: scale * width, height: scale * height };
    };
    const text = (element) => {
      const { fontSize, fontFamily, color, textAlign, lineHeight } = getComputedStyle(element);
      const look = { font: `${fontSize} ${fontFamily}`, color, right: textAlign === "right" };
      return { ...box(element), ...look, lineHeight: parseFloat(lineHeight) };
    };
    const [values, outputs, sliders] = [{}, {}, {}];
    for (const [name, element] of this.values) values[name] = text(element);
    for (const { name, input, output } of this.sliders) {
      outputs[name] = text(output);
      sliders[name] = box(input);
    }
    if (!moving.parentElement) form.append(moving);
    return { width, height, dense: density(), values, outputs, sliders };
  }

  /** Has the page itself show the state: numbers, controls, points, link, and in a while the sentence. */
  settle() {
    const { report } = this;
    // What comes next is newer: a key may have moved a slider already.
    if (!report || this.messages.length || !this.answered) return;
    const same = report === this.settled;
    // Once it has been painted, nothing has to lie over it.
    if (this.covered && !(same && this.moves)) requestAnimationFrame(() => setTimeout(() => this.cover()));
    if (same) return;
    this.settled = report;
    for (const [name, control] of this.controls) put(control, report.state[name]);
    for (const control of this.sliders) {
      const { name, input, output } = control;
      input.style.setProperty("--x-at", shareOf(control, report.state[name]).toFixed(4));
      write(output, report.outputs[name]);
      input.ariaValueText = report.outputs[name];
    }
    for (const [name, text] of Object.entries(report.values)) write(this.values.get(name), text);
    for (const { settle } of this.handles) settle();
    if (this.sentence !== report.sentence) this.say(350, (this.sentence = report.sentence));
    const hash = `#${this.address()}`;
    if (this.link.hash !== hash) {
      this.link.hash = hash;
      this.save(350);
    }
  }

  /** The fragment that leads to the present state: what differs from the first one. */
  address() {
    const changed = Object.entries(this.report.state).filter(([name, value]) => value !== this.initial[name]);
    return [this.root.id, ...changed.map((pair) => pair.join("="))].join("&");
  }

  /** Sets a state given as `key=value&…`; what it does not name gets its first value. */
  restore(text) {
    this.stop();
    const changes = { ...this.initial };
    for (const part of text.split("&").filter(Boolean)) {
      const [name, value] = part.split("=");
      if (name in changes) {
        changes[name] = typeof changes[name] === "number" ? Number(value) : value;
      }
    }
    this.tell("set", changes);
  }

  /** The same at the reader's wish: brings the figure into view, unless most of it is there. */
  goTo(text) {
    this.restore(text);
    const box = this.stage.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) {
      this.stage.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth", block: "center" });
    }
  }

  /** Runs a control from where it is to its end; with reduced motion it jumps there. */
  play(button) {
    if (this.playing) return this.stop();
    const control = this.controls.get(button.dataset.range);
    const { name, low, high, step: grain } = control;
    if (calm.matches) return this.tell("set", { [name]: natural(control, high) });
    const now = onScale(control, this.report.state[name]);
    let value = now >= high ? low : now;
    let before = performance.now();
    const label = button.textContent;
    const step = (time) => {
      value += ((high - low) * (time - before)) / (1000 * button.dataset.seconds);
      before = time;
      const steps = Math.round((Math.min(value, high) - low) / grain);
      this.tell("set", { [name]: natural(control, +(low + steps * grain).toPrecision(9)) });
      if (value < high) this.playing.frame = requestAnimationFrame(step);
      else this.stop();
    };
    button.textContent = "Pause";
    this.playing = { button, label, frame: requestAnimationFrame(step) };
    this.settle();
    this.cover();
  }

  stop() {
    if (!this.playing) return;
    const { button, label, frame } = this.playing;
    cancelAnimationFrame(frame);
    button.textContent = label;
    this.playing = null;
    this.rest(0);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** What the page says of a control. @returns {PageControl} */
function control(input) {
  const { name, dataset, step } = input;
  const { min, max } = input.type === "hidden" ? dataset : input;
  return {
    input, name, kind: input.tagName === "SELECT" ? "select" : input.type,
    logarithmic: dataset.scale === "log",
    low: Number(min ?? -Infinity), high: Number(max ?? Infinity), step: Number(step),
    choices: Array.from(input.options ?? [], ({ value }) => value),
    look: { ...dataset }, output: input.nextElementSibling,
  };
}

/** The value that a control starts with. */
function initial(control) {
  const { input, kind } = control;
  if (kind === "select") {
    return [...input.options].find((option) => option.defaultSelected)?.value ?? input.value;
  }
  if (kind === "checkbox") return Number(input.defaultChecked);
  // A hidden field's default follows its value: this is called before anything is set.
  return natural(control, input.defaultValue);
}

/** The value that a control shows. */
function read(control) {
  const { input, kind } = control;
  if (kind === "select") return input.value;
  if (kind === "checkbox") return Number(input.checked);
  return natural(control, input.value);
}

/** Has a control show a value that it can take. */
function put(control, value) {
  const { input, kind } = control;
  if (read(control) === value) return;
  if (kind === "checkbox") input.checked = Boolean(value);
  else if (kind === "select") input.value = value;
  else input.value = String(onScale(control, value));
}
