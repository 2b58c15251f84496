/**
 * What explorables compute and draw: in a worker, so that the page keeps up with the hand whatever
 * there is to compute. A page has one worker; each of its explorables is a scene, with a port of
 * its own through which it hears of the reader and tells what the page is to show.
 *
 * A view is a module with `create(tools)` that returns `draw(g, frame)`, which draws on a cleared
 * canvas and returns the values and the sentence to show. Nothing of it knows of the page.
 *
 * @typedef {Record<string, number | string>} State
 * @typedef {Record<"ink" | "muted" | "rule" | "track" | "paper" | "surface" | "blue" | "vermillion"
 *   | "green" | "purple" | "orange" | "sky", string>
 *   & {font: string, dark: boolean, forced: boolean}} Theme colours of the page, and its font
 * @typedef {{width: number, height: number, state: State, busy: boolean,
 *   theme: Theme}} Frame
 * @typedef {{
 *   data: any, choices: (name: string) => string[],
 *   get: () => State, set: (changes: State) => void, redraw: () => void,
 *   handle: (options: PointOptions) => {place: Point["place"]},
 * }} Tools
 * @typedef {{
 *   draw: (g: OffscreenCanvasRenderingContext2D, frame: Frame) =>
 *     {values?: Record<string, string>, sentence: string},
 *   format?: Record<string, (value: number, state: State) => string>,
 *   action?: (name: string) => void, does?: Record<string, (...given: any[]) => void>,
 * }} View `does` is what its own `hand.js` asks for, which the page loads then
 * @typedef {{label: string, drag: (x: number, y: number) => void,
 *   nudge: (right: number, up: number) => void, color?: string}} PointOptions `drag` gets a place in
 *   the picture, `nudge` steps of 1, with Shift of 10
 * @typedef {{x: number, y: number, value: number, text: string, shown: boolean}} Place
 * @typedef {{state: State, values: Record<string, string>, outputs: Record<string, string>,
 *   sentence: string, points: Place[]}} Report what the page is to show
 */

import { fit } from "./control.js";
import { formatControl } from "./format.js";
import { Moving } from "./moving.js";

/** A point of the picture that can be dragged. */
class Point {
  /** @param {PointOptions} options */
  constructor(options) {
    this.options = { color: "vermillion", ...options };
    /** @type {Place} */
    this.now = { x: 0, y: 0, value: 0, text: "", shown: false };
  }

  /**
   * Puts the point where it belongs, and says what it stands for.
   * @param {number} x @param {number} y @param {number} value @param {string} text
   * @param {boolean} [shown]
   */
  place(x, y, value, text, shown = true) {
    this.now = { x, y, value, text, shown };
  }

  /** @param {OffscreenCanvasRenderingContext2D} g @param {Theme} theme */
  draw(g, theme) {
    const { x, y, shown } = this.now;
    if (!shown) return;
    const color = theme[this.options.color];
    for (const [radius, paint] of [[10.5, color], [9, theme.paper], [7, color]]) {
      g.beginPath();
      g.arc(x, y, radius, 0, 2 * Math.PI);
      g.fillStyle = paint;
      g.fill();
    }
  }
}

class Scene {
  /** @param {(tools: Tools) => View} create @param {any} given what the page sends first */
  constructor(create, { port, canvas, moving, controls, data, state }) {
    this.canvas = canvas;
    this.g = canvas.getContext("2d");
    this.port = port;
    /** @type {import("./control.js").Control[]} */
    this.controls = controls;
    this.moving = new Moving(moving);
    /** @type {State} */
    this.state = state;
    /** @type {Point[]} */
    this.points = [];
    this.view = create({
      data,
      choices: (wanted) => controls.find(({ name }) => name === wanted).choices,
      get: () => this.state,
      set: (changes) => this.set(changes),
      redraw: () => port.postMessage({ report: this.draw(false) }),
      handle: (options) => {
        this.points.push(new Point(options));
        return this.points.at(-1);
      },
    });
  }

  /** The first answer: what there is to take hold of. */
  begin() {
    this.port.onmessage = ({ data }) => this.hear(data);
    this.port.postMessage({
      points: this.points.map(({ options }) => options.label),
      hand: Boolean(this.view.does),
    });
  }

  /** What the page says: [what, …given], several at once; each time one picture answers. */
  hear(messages) {
    const told = new Set(messages.map(([what]) => what));
    let report = null;
    try {
      for (const [what, ...given] of messages) this[what](...given);
      told.delete("shown");
      if (told.size) report = this.draw(!told.has("fit"));
      else this.moving.draw(this.theme, this.controls, this.report);
    } finally {
      this.port.postMessage({ answer: true, report });
    }
  }

  /** Size or colours have changed. */
  fit(given) {
    Object.assign(this, given);
    const { canvas, width, height, dense } = this;
    if ("width" in given) [canvas.width, canvas.height] = [width * dense, height * dense].map(Math.round);
  }

  /** What the page itself shows now, and where, while a hand moves. */
  shown(report, layout) {
    this.moving.shown(report, layout);
  }

  set(changes) {
    for (const control of this.controls) {
      const { name } = control;
      if (name in changes) this.state[name] = fit(control, changes[name], this.state[name]);
    }
  }

  drag(k, x, y) {
    this.points[k].options.drag(x, y);
  }

  nudge(k, right, up) {
    this.points[k].options.nudge(right, up);
  }

  do(what, ...given) {
    this.view.does[what](...given);
  }

  act(name) {
    this.view.action(name);
  }

  /** @param {boolean} busy the state changes: a view may take it easy @returns {Report | null} */
  draw(busy) {
    const { g, width, height, dense, state, view, theme } = this;
    if (!width) return null;
    g.setTransform(dense, 0, 0, dense, 0, 0);
    g.clearRect(0, 0, width, height);
    const { values = {}, sentence } = view.draw(g, { width, height, state, theme, busy });
    if (!theme.forced) for (const point of this.points) point.draw(g, theme);
    const outputs = {};
    for (const { name, kind, look } of this.controls) {
      const format = view.format?.[name];
      if (kind !== "range") continue;
      outputs[name] = format ? format(state[name], state) : formatControl(state[name], look);
    }
    const points = this.points.map(({ now }) => now);
    this.report = { state, values, outputs, sentence, points };
    this.moving.draw(theme, this.controls, this.report);
    return this.report;
  }
}

addEventListener("message", async ({ data: given }) => {
  try {
    const { create } = await import(`../${given.name}/view.js`);
    new Scene(create, given).begin();
  } catch (error) {
    given.port.postMessage({ failed: String(error) });
  }
});
