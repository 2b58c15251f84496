/**
 * What all explorables share: controls and state, links to states, drawing when something changed,
 * the spoken sentence, themes, playing.
 *
 * A view is a module with `create(tools)` that returns `draw(g, frame)`, which draws on a cleared
 * canvas and returns the values and the sentence to show. Nothing else knows of the page.
 *
 * @typedef {Record<string, number | string>} State
 * @typedef {{width: number, height: number, state: State, busy: boolean,
 *   theme: import("./color.js").Theme}} Frame
 * @typedef {{values?: Record<string, string>, sentence: string}} Report
 * @typedef {{
 *   stage: HTMLElement, canvas: HTMLCanvasElement, form: HTMLFormElement, data: any,
 *   get: () => State, set: (changes: State) => void, redraw: () => void,
 *   handle: typeof import("./handle.js").handle,
 * }} Tools
 * @typedef {{draw: (g: CanvasRenderingContext2D, frame: Frame) => Report,
 *   format?: Record<string, (value: number, state: State) => string>,
 *   action?: (name: string) => void}} View
 */

import { readTheme } from "./color.js";
import { formatControl } from "./format.js";
import { handle } from "./handle.js";
import { Moving, shareOf, slidable } from "./moving.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const forced = matchMedia("(forced-colors: active)");

/** @param {HTMLElement} root @returns {Promise<Explorable>} */
export async function start(root) {
  const base = new URL("..", import.meta.url);
  const { explorable: name, data: address } = root.dataset;
  const [view, data] = await Promise.all([
    import(new URL(`${name}/view.js`, base).href),
    address ? fetchJson(new URL(address, base)) : null,
  ]);
  return new Explorable(root, view.create, data);
}

async function fetchJson(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

/** The later call wins; the earlier one never happens. Without milliseconds each call gives its own. */
function debounce(action, milliseconds) {
  let [timer, rings, due, last] = [0, 0, 0];
  const ring = () => {
    timer = 0;
    if (due - performance.now() > 1) set();
    else action(last);
  };
  const set = () => {
    rings = due;
    timer = setTimeout(ring, due - performance.now());
  };
  const later = (given) => {
    due = performance.now() + (milliseconds ?? given);
    last = given;
    // A timer that rings too early is set again then: in most frames none is set.
    if (timer && rings <= due) return;
    clearTimeout(timer);
    set();
  };
  later.cancel = () => {
    clearTimeout(timer);
    timer = 0;
  };
  return later;
}

class Explorable {
  /** @param {HTMLElement} root @param {(tools: Tools) => View} create @param {any} data */
  constructor(root, create, data) {
    this.root = root;
    this.form = root.querySelector("form");
    this.stage = root.querySelector(".explorable-stage");
    this.canvas = root.querySelector("canvas");
    this.status = root.querySelector(".explorable-status");
    this.link = root.querySelector(".explorable-link");
    this.values = new Map(
      [...root.querySelectorAll("[data-value]")].map((field) => [field.dataset.value, field]),
    );
    /** @type {Map<string, Control>} */
    this.controls = new Map(
      [...this.form.elements].filter(({ name }) => name).map((input) => [input.name, control(input)]),
    );
    this.sliders = [...this.controls.values()].filter(({ input }) => input.type === "range");
    this.g = this.canvas.getContext("2d");
    this.moving = new Moving(this.stage);
    /** @type {ReturnType<typeof handle>[]} */
    this.handles = [];
    this.shown = new Map();
    this.pending = 0;
    this.held = false;
    this.playing = null;
    /** @type {State} */
    this.initial = {};
    for (const [name, control] of this.controls) this.initial[name] = initial(control);
    this.state = {};
    for (const [name, control] of this.controls) this.state[name] = read(control);
    this.put = { ...this.state };
    this.say = debounce((sentence) => this.write(sentence), 350);
    this.rest = debounce(() => this.settle());
    this.save = debounce(() => {
      history.replaceState(history.state, "", this.link.hash);
    }, 350);
    this.view = create({
      stage: this.stage,
      canvas: this.canvas,
      form: this.form,
      data,
      get: () => this.state,
      set: (changes) => this.change(changes),
      redraw: () => this.request(false),
      handle: (stage, options) => {
        const made = handle(stage, options);
        this.handles.push(made);
        return made;
      },
    });
    this.listen();
    this.resize();
    this.showControls();
    this.paint(true);
    root.classList.add("explorable-started");
  }

  listen() {
    const { form } = this;
    form.addEventListener("input", ({ target }) => {
      this.stop();
      this.put[target.name] = read(this.controls.get(target.name));
      this.change({ [target.name]: this.put[target.name] });
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.show("");
    });
    for (const control of this.sliders) {
      slidable(control.input.parentElement, control, (value) => {
        this.change({ [control.name]: natural(control, value) });
      });
    }
    const take = ({ target }) => {
      if (!target.closest("button")) this.stop();
      this.settle();
      this.held = true;
    };
    form.addEventListener("pointerdown", take, { capture: true });
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, () => {
        if (!this.held) return;
        this.held = false;
        this.settle();
      });
    }
    for (const button of form.querySelectorAll(".explorable-play")) {
      button.addEventListener("click", () => this.play(button));
    }
    for (const button of form.querySelectorAll(".explorable-action")) {
      button.addEventListener("click", () => this.view.action(button.dataset.action));
    }
    new ResizeObserver(() => {
      if (this.resize()) this.request(false);
    }).observe(this.stage);
    const retheme = () => {
      this.theme = null;
      this.request(false);
    };
    new MutationObserver(retheme).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme"],
    });
    document.fonts?.ready.then(retheme);
  }

  /** Fits the canvas to the stage; returns whether that changed anything. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const dense = Math.min(devicePixelRatio || 1, 2);
    if (!width || (width === this.width && height === this.height && dense === this.dense)) {
      return false;
    }
    Object.assign(this, { width, height, dense });
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    return true;
  }

  /** Draws soon; `busy` while the state changes, so that a view may take it easy. */
  request(busy = true) {
    this.busy = busy;
    this.pending ||= requestAnimationFrame(() => this.paint());
  }

  paint(first = false) {
    this.pending = 0;
    if (!this.width) return;
    this.theme ??= readTheme(this.form);
    const { g, width, height, state, theme } = this;
    g.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    g.clearRect(0, 0, width, height);
    const { busy = false } = this;
    this.report = this.view.draw(g, { width, height, state, theme, busy });
    if (!forced.matches) for (const { draw } of this.handles) draw(g, theme);
    if (first || forced.matches) return this.settle(first);
    this.moving.draw(theme, ...this.differences());
    this.rest(this.held || this.playing ? 1500 : 0);
  }

  /** Texts and sliders that the page does not show yet. */
  differences() {
    const texts = [];
    const sliders = [];
    const tell = (element, text) => {
      if (this.shown.get(element) !== text) texts.push([element, text]);
    };
    for (const [name, text] of Object.entries(this.report.values ?? {})) {
      tell(this.values.get(name), text);
    }
    for (const control of this.sliders) {
      tell(control.output, this.textOf(control));
      const value = this.state[control.name];
      if (this.put[control.name] === value) continue;
      sliders.push([control.input, shareOf(control, onScale(control, value))]);
    }
    return [texts, sliders];
  }

  /** Has the page itself show the state: numbers, controls, points, link, and in a while the sentence. */
  settle(first = false) {
    this.rest.cancel();
    this.showControls();
    const { values = {}, sentence } = this.report;
    for (const [name, text] of Object.entries(values)) this.tell(this.values.get(name), text);
    for (const { settle } of this.handles) settle();
    this.moving.end();
    if (first) this.write(sentence);
    else this.say(sentence);
  }

  tell(element, text) {
    if (this.shown.get(element) === text) return;
    element.textContent = text;
    this.shown.set(element, text);
  }

  write(sentence) {
    if (this.status.textContent !== sentence) this.status.textContent = sentence;
  }

  /** Changes the state. @param {State} changes */
  change(changes) {
    for (const [name, value] of Object.entries(changes)) {
      const control = this.controls.get(name);
      if (control) this.state[name] = fit(control, value, this.state[name]);
    }
    this.request();
  }

  textOf({ name, look }) {
    const format = this.view.format?.[name];
    const value = this.state[name];
    return format ? format(value, this.state) : formatControl(value, look);
  }

  /** Has the controls show the state, and the link name it. */
  showControls() {
    for (const [name, control] of this.controls) put(control, this.state[name]);
    this.put = { ...this.state };
    for (const control of this.sliders) {
      const { input, output } = control;
      input.style.setProperty("--x-at", shareOf(control, input.value).toFixed(4));
      const text = this.textOf(control);
      this.tell(output, text);
      input.setAttribute("aria-valuetext", text);
    }
    const hash = `#${this.address()}`;
    if (this.link.hash === hash) return;
    this.link.hash = hash;
    this.save();
  }

  /** The fragment that leads to the present state: what differs from the first one. */
  address() {
    const parts = [this.root.id];
    for (const [name, value] of Object.entries(this.state)) {
      if (value !== this.initial[name]) {
        parts.push(`${name}=${value}`);
      }
    }
    return parts.join("&");
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
    this.change(changes);
  }

  /** The same at the reader's wish: brings the figure into view, unless most of it is there. */
  show(text) {
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
    const { input, name, low, high, step: grain } = control;
    if (calm.matches) return this.change({ [name]: natural(control, high) });
    let value = Number(input.value) >= high ? low : Number(input.value);
    let before = performance.now();
    const label = button.textContent;
    const step = (now) => {
      value += ((high - low) * (now - before)) / (1000 * button.dataset.seconds);
      before = now;
      const steps = Math.round((Math.min(value, high) - low) / grain);
      this.change({ [name]: natural(control, +(low + steps * grain).toPrecision(9)) });
      if (value < high) this.playing.frame = requestAnimationFrame(step);
      else this.stop();
    };
    button.textContent = "Pause";
    this.playing = { button, label, frame: requestAnimationFrame(step) };
  }

  stop() {
    if (!this.playing) return;
    const { button, label, frame } = this.playing;
    cancelAnimationFrame(frame);
    button.textContent = label;
    this.playing = null;
    this.request(false);
  }
}

/**
 * What the page says of a control, read once: it is asked for in every frame.
 * @typedef {{input: HTMLInputElement | HTMLSelectElement, name: string, kind: string,
 *   logarithmic: boolean, low: number, high: number, step: number, look: DOMStringMap,
 *   output: Element}} Control bounds and step on the slider's own scale
 * @returns {Control}
 */
function control(input) {
  const { name, dataset, step } = input;
  const { min, max } = input.type === "hidden" ? dataset : input;
  return {
    input, name, kind: input.tagName === "SELECT" ? "select" : input.type,
    logarithmic: dataset.scale === "log",
    low: Number(min ?? -Infinity), high: Number(max ?? Infinity), step: Number(step),
    look: { ...dataset }, output: input.nextElementSibling,
  };
}

const natural = ({ logarithmic }, value) =>
  logarithmic ? +(10 ** Number(value)).toPrecision(3) : Number(value);

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

/** The value nearest to one that a control can take; `now` if there is none. */
function fit(control, value, now) {
  const { input, kind, low, high } = control;
  if (kind === "select") {
    return [...input.options].some((option) => option.value === value) ? value : now;
  }
  if (kind === "checkbox") return Number(Boolean(Number(value)));
  if (!Number.isFinite(value)) return now;
  return asInLinks(Math.min(Math.max(value, natural(control, low)), natural(control, high)));
}

/** A number as links write it, so that they lead to the very state. */
const asInLinks = (value) => +value.toPrecision(9);

/** Where a value is on a slider. */
const onScale = ({ logarithmic }, value) => (logarithmic ? Math.log10(value) : value);

/** Has a control show a value that it can take. */
function put(control, value) {
  const { input, kind } = control;
  if (read(control) === value) return;
  if (kind === "checkbox") input.checked = Boolean(value);
  else if (kind === "select") input.value = value;
  else input.value = String(onScale(control, value));
}
