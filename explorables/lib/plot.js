/** Axes, lines and words on a canvas, in CSS pixels. */

import { fmt, raised } from "./format.js";

/** @typedef {import("./scene.js").Theme} Theme */

/**
 * @typedef {{
 *   left: number, right: number, top: number, bottom: number,
 *   sx: (x: number) => number, sy: (y: number) => number,
 *   ix: (px: number) => number, iy: (py: number) => number,
 * }} Plot the place of a plot's axes, and the maps to pixels and back
 */

/**
 * Round numbers within an interval.
 * @param {number} low @param {number} high @param {number} count about so many
 * @returns {number[]}
 */
export function ticks(low, high, count = 5) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.99);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    found.push(+(k * step).toPrecision(12));
  }
  return found;
}

const tickText = (value) =>
  Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? fmt(value, 1)
    : String(value).replace("-", "−");

/** What has been drawn and stays, by the colours it was drawn in. @type {WeakMap<Theme, Map>} */
const pictures = new WeakMap();

/**
 * Draws something again as a picture if it is the same as before: words take time.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Theme} theme
 * @param {string} key all that it depends on, but colours
 * @param {[number, number, number, number]} box left, top, right, bottom
 * @param {(g: OffscreenCanvasRenderingContext2D) => void} draw
 */
export function kept(g, theme, key, box, draw) {
  if (!pictures.has(theme)) pictures.set(theme, new Map());
  const known = pictures.get(theme);
  const dense = g.getTransform().a;
  const name = `${key} ${box} ${dense}`;
  let picture = known.get(name);
  if (picture === undefined) {
    // Perhaps it is another one in each frame.
    if (known.size > 24) known.clear();
    known.set(name, null);
    draw(g);
    return;
  }
  const [left, top] = [Math.floor(box[0] * dense), Math.floor(box[1] * dense)];
  if (picture === null) {
    const sheet = new OffscreenCanvas(
      Math.ceil(box[2] * dense) - left, Math.ceil(box[3] * dense) - top,
    );
    const ink = sheet.getContext("2d");
    ink.setTransform(dense, 0, 0, dense, -left, -top);
    draw(ink);
    picture = sheet.transferToImageBitmap();
    known.set(name, picture);
  }
  g.save();
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.drawImage(picture, left, top);
  g.restore();
}

/**
 * Draws axes with ticks and names, and returns the maps from values to pixels.
 * @param {OffscreenCanvasRenderingContext2D} g
 * @param {Theme} theme
 * @param {{
 *   box: [number, number, number, number], x: [number, number], y: [number, number],
 *   xlabel?: string, ylabel?: string, xlog?: boolean, ylog?: boolean, grid?: boolean,
 *   xticks?: [number, string][], yticks?: [number, string][],
 * }} options box is left, top, right, bottom of the whole, axes' names included
 * @returns {Plot}
 */
export function axes(g, theme, options) {
  const { box, x, y, xlabel = "", ylabel = "", xlog = false, ylog = false } = options;
  const left = box[0] + (ylabel ? 56 : 40);
  const right = box[2] - 10;
  const top = box[1] + 10;
  const bottom = box[3] - (xlabel ? 42 : 24);
  const [sx, ix] = scale(x, [left, right], xlog);
  const [sy, iy] = scale(y, [bottom, top], ylog);
  const plot = { left, right, top, bottom, sx, sy, ix, iy };
  const around = [box[0] - 20, box[1] - 10, box[2] + 20, box[3] + 10];
  kept(g, theme, JSON.stringify(options), around, (ink) => drawAxes(ink, theme, options, plot));
  return plot;
}

function drawAxes(g, theme, options, { left, right, top, bottom, sx, sy }) {
  const { box, x, y, xlabel = "", ylabel = "", xlog = false, ylog = false, grid = true } = options;
  const xt = options.xticks ?? marks(x, xlog, Math.max(3, Math.round((right - left) / 65)));
  const yt = options.yticks ?? marks(y, ylog, Math.max(2, Math.round((bottom - top) / 48)));
  g.save();
  g.lineWidth = 1;
  g.strokeStyle = theme.rule;
  if (grid) {
    g.beginPath();
    for (const [value] of xt) segment(g, sx(value), top, sx(value), bottom);
    for (const [value] of yt) segment(g, left, sy(value), right, sy(value));
    g.stroke();
  }
  g.strokeStyle = theme.muted;
  g.beginPath();
  segment(g, left, top, left, bottom);
  segment(g, left, bottom, right, bottom);
  g.stroke();
  g.restore();
  g.font = `13px ${theme.font}`;
  for (const [value, text] of xt) {
    // Not cut off at the end of the canvas.
    const last = box[2] - g.measureText(text).width / 2;
    say(g, theme, text, Math.min(sx(value), last), bottom + 5, { align: "center", base: "top", color: theme.muted });
  }
  for (const [value, text] of yt) {
    say(g, theme, text, left - 6, sy(value), { align: "right", color: theme.muted });
  }
  say(g, theme, xlabel, (left + right) / 2, box[3] - 3, { align: "center", base: "bottom", size: 14 });
  say(g, theme, ylabel, box[0] + 10, (top + bottom) / 2, { align: "center", size: 14, turn: -90 });
}

function scale([low, high], [from, to], log) {
  const f = log ? Math.log10 : (v) => v;
  const inverse = log ? (v) => 10 ** v : (v) => v;
  const slope = (to - from) / (f(high) - f(low));
  return [
    (value) => from + (f(value) - f(low)) * slope,
    (pixel) => inverse(f(low) + (pixel - from) / slope),
  ];
}

function marks([low, high], log, count) {
  if (!log) return ticks(low, high, count).map((value) => [value, tickText(value)]);
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.max(1, Math.ceil((last - first) / count));
  const found = [];
  for (let power = first; power <= last; power += step) {
    found.push([10 ** power, power >= -2 && power <= 3 ? String(10 ** power) : `10${raised(power)}`]);
  }
  return found;
}

function segment(g, x0, y0, x1, y1) {
  g.moveTo(x0, y0);
  g.lineTo(x1, y1);
}

/**
 * Writes words.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Theme} theme
 * @param {string} text @param {number} x @param {number} y
 * @param {{align?: CanvasTextAlign, base?: CanvasTextBaseline, color?: string, size?: number,
 *   turn?: number, halo?: string, bold?: boolean}} [options]
 */
export function say(g, theme, text, x, y, options = {}) {
  if (!text) return;
  const { align = "left", base = "middle", color = theme.ink, size = 13, turn = 0 } = options;
  if (turn) {
    g.save();
    g.translate(x, y);
    g.rotate((turn * Math.PI) / 180);
    say(g, theme, text, 0, 0, { ...options, turn: 0 });
    g.restore();
    return;
  }
  g.font = `${options.bold ? "600 " : ""}${size}px ${theme.font}`;
  g.textAlign = align;
  g.textBaseline = base;
  if (options.halo) {
    g.strokeStyle = options.halo;
    g.lineWidth = 4;
    g.lineJoin = "round";
    g.strokeText(text, x, y);
  }
  g.fillStyle = color;
  g.fillText(text, x, y);
}

/**
 * Keeps what is drawn inside the axes.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Plot} plot @param {() => void} draw
 */
export function inside(g, plot, draw) {
  g.save();
  g.beginPath();
  g.rect(plot.left, plot.top - 1, plot.right - plot.left, plot.bottom - plot.top + 2);
  g.clip();
  draw();
  g.restore();
}

/** Pixels of a line's points: arrays made anew in each frame would have to be collected. */
let [px, py] = [new Float64Array(512), new Float64Array(512)];

/**
 * Draws a line through points; it breaks where a coordinate is not finite.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Plot} plot
 * @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys
 * @param {{color: string, width?: number, dash?: number[], fill?: string, to?: number}} look
 */
export function line(g, plot, xs, ys, { color, width = 2, dash = [], fill, to }) {
  const count = xs.length;
  if (count > px.length) [px, py] = [new Float64Array(2 * count), new Float64Array(2 * count)];
  const { sx, sy } = plot;
  for (let i = 0; i < count; i++) {
    px[i] = sx(xs[i]);
    py[i] = sy(ys[i]);
  }
  g.save();
  if (fill) {
    const base = plot.sy(to ?? 0);
    g.beginPath();
    g.moveTo(px[0], base);
    for (let i = 0; i < count; i++) g.lineTo(px[i], py[i]);
    g.lineTo(px[count - 1], base);
    g.fillStyle = fill;
    g.fill();
  }
  g.beginPath();
  // Clipped here: dashes along what lies far outside would cost more than all the rest.
  const [left, right, top, bottom] = [plot.left - 9, plot.right + 9, plot.top - 9, plot.bottom + 9];
  const within = (i) => px[i] >= left && px[i] <= right && py[i] >= top && py[i] <= bottom;
  let joined = false;
  let drawn = 0;
  for (let i = 1; i < count; i++) {
    if (within(i - 1) && within(i)) {
      if (!joined) g.moveTo(px[i - 1], py[i - 1]);
      // A fifth of a pixel shows nothing; most steps of a path that has arrived are shorter.
      const near = joined && Math.abs(px[i] - px[drawn]) + Math.abs(py[i] - py[drawn]) < 0.2;
      joined = true;
      if (near && i + 1 < count && within(i + 1)) continue;
      g.lineTo(px[i], py[i]);
      drawn = i;
      continue;
    }
    joined = false;
    if (!Number.isFinite(px[i - 1] + py[i - 1] + px[i] + py[i])) continue;
    const piece = clipped([px[i - 1], py[i - 1]], [px[i], py[i]], [left, right, top, bottom]);
    if (!piece) continue;
    g.moveTo(piece[0], piece[1]);
    g.lineTo(piece[2], piece[3]);
    joined = within(i);
    drawn = i;
  }
  g.strokeStyle = color;
  g.lineWidth = width;
  g.lineJoin = "round";
  g.setLineDash(dash);
  g.stroke();
  g.restore();
}

/** The part of a segment inside a box (Liang and Barsky), null if there is none. */
function clipped([x0, y0], [x1, y1], [left, right, top, bottom]) {
  let [from, to] = [0, 1];
  const [dx, dy] = [x1 - x0, y1 - y0];
  for (const [p, q] of [[-dx, x0 - left], [dx, right - x0], [-dy, y0 - top], [dy, bottom - y0]]) {
    if (p === 0) {
      if (q < 0) return null;
    } else if (p < 0) from = Math.max(from, q / p);
    else to = Math.min(to, q / p);
  }
  if (from > to) return null;
  return [
    x0 + from * dx,
    y0 + from * dy,
    to === 1 ? x1 : x0 + to * dx,
    to === 1 ? y1 : y0 + to * dy,
  ];
}

/**
 * Draws a dot, with an edge in the paper's colour.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Theme} theme
 * @param {number} x @param {number} y @param {string} color @param {number} [radius]
 */
export function dot(g, theme, x, y, color, radius = 4) {
  g.beginPath();
  g.arc(x, y, radius, 0, 2 * Math.PI);
  g.fillStyle = color;
  g.fill();
  g.strokeStyle = theme.paper;
  g.lineWidth = 1.5;
  g.stroke();
}

/**
 * Draws an arrow.
 * @param {OffscreenCanvasRenderingContext2D} g
 * @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
 * @param {string} color @param {number} [width]
 */
export function arrow(g, x0, y0, x1, y1, color, width = 2) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (!(length > 1)) return;
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const head = Math.min(10, length / 2);
  g.save();
  g.strokeStyle = g.fillStyle = color;
  g.lineWidth = width;
  g.beginPath();
  segment(g, x0, y0, x1 - ux * head * 0.8, y1 - uy * head * 0.8);
  g.stroke();
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x1 - ux * head - uy * head * 0.45, y1 - uy * head + ux * head * 0.45);
  g.lineTo(x1 - ux * head + uy * head * 0.45, y1 - uy * head - ux * head * 0.45);
  g.fill();
  g.restore();
}

/** A legend of lines: each a sample and its name, from the left. */
export function legend(g, theme, x, y, entries) {
  const box = [x - 4, y - 14, x + 250, y + 19 * entries.length];
  kept(g, theme, JSON.stringify(entries), box, (ink) => {
    entries.forEach(({ color, dash = [], text, width = 2.5 }, k) => {
      const at = y + 19 * k;
      ink.strokeStyle = color;
      ink.lineWidth = width;
      ink.setLineDash(dash);
      ink.beginPath();
      segment(ink, x, at, x + 26, at);
      ink.stroke();
      ink.setLineDash([]);
      say(ink, theme, text, x + 32, at, { halo: theme.paper });
    });
  });
}

/**
 * Places for two plots: side by side, or one above the other where it is narrow.
 * @param {number} width @param {number} height @param {number} [share] the first one's, of the width
 * @param {number} [upper] the first one's, of the height where it is narrow
 * @returns {[number, number, number, number][]}
 */
export function panels(width, height, share = 0.5, upper = 0.55) {
  if (width >= 520) return [[0, 0, width * share, height], [width * share, 0, width, height]];
  return [[0, 0, width, height * upper], [0, height * upper, width, height]];
}
