/**
 * Numbers and sliders while the hand moves. If the page itself showed them, the browser would paint
 * all its formulas anew in every frame, which takes a phone 50 milliseconds; so a canvas over the
 * form shows them, and the page's own follow when the hand rests.
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Box in pixels of that canvas
 * @typedef {Box & {font: string, color: string, lineHeight: number, right: boolean}} TextBox
 * @typedef {{width: number, height: number, dense: number, values: Record<string, TextBox>,
 *   outputs: Record<string, TextBox>, sliders: Record<string, Box>}} Layout
 */

import { THUMB, shareOf } from "./control.js";

export class Moving {
  /** @param {OffscreenCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.g = canvas.getContext("2d");
    /** @type {Layout | null} */
    this.layout = null;
    /** @type {import("./scene.js").Report | null} */
    this.page = null;
  }

  /** @param {import("./scene.js").Report} page what it shows @param {Layout | null} layout */
  shown(page, layout) {
    const { canvas, g } = this;
    Object.assign(this, { page, layout });
    if (!layout) return g.clearRect(0, 0, canvas.width, canvas.height);
    const { width, height, dense } = layout;
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    g.setTransform(dense, 0, 0, dense, 0, 0);
  }

  /**
   * Draws what differs from what the page shows.
   * @param {import("./scene.js").Theme} theme
   * @param {import("./control.js").Control[]} controls
   * @param {import("./scene.js").Report} report
   */
  draw(theme, controls, report) {
    const { g, canvas, layout, page } = this;
    if (!layout) return;
    g.clearRect(0, 0, canvas.width, canvas.height);
    for (const kind of ["values", "outputs"]) {
      for (const [name, text] of Object.entries(report[kind])) {
        if (page[kind][name] !== text) write(g, theme, layout[kind][name], text);
      }
    }
    for (const control of controls) {
      const { name, kind } = control;
      const value = report.state[name];
      if (kind !== "range" || page.state[name] === value) continue;
      const { x, y, width, height } = layout.sliders[name];
      const [at, middle] = [x + THUMB / 2 + shareOf(control, value) * (width - THUMB), y + height / 2];
      g.fillStyle = theme.paper;
      g.fillRect(x - 2, y, width + 4, height);
      bar(g, theme.track, x, middle, width);
      bar(g, theme.blue, x, middle, at - x);
      g.fillStyle = theme.blue;
      g.beginPath();
      g.arc(at, middle, THUMB / 2, 0, 2 * Math.PI);
      g.fill();
    }
  }
}

/** @param {TextBox} box */
function write(g, theme, { x, y, width, height, font, color, lineHeight, right }, text) {
  g.fillStyle = theme.paper;
  g.fillRect(x - 1, y, width + 2, height);
  g.font = font;
  g.fillStyle = color;
  g.textAlign = right ? "right" : "left";
  // As browsers set a line: in whole pixels.
  const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = g.measureText("0");
  const base = Math.floor((lineHeight - Math.round(up) - Math.round(down)) / 2) + Math.round(up);
  g.fillText(text, right ? x + width : x, y + base);
}

function bar(g, color, x, middle, width) {
  g.fillStyle = color;
  g.beginPath();
  g.roundRect(x, middle - 2, width, 4, 2);
  g.fill();
}
