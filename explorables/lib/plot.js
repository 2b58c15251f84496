/** Axes, lines and words on a canvas, in CSS pixels. */

import { raised } from "./format.js";

/** @typedef {import("./color.js").Theme} Theme */

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
    ? value.toExponential(0).replace("e", "·10^")
    : String(value).replace("-", "−");

/**
 * Draws axes with ticks and names, and returns the maps from values to pixels.
 * @param {CanvasRenderingContext2D} g
 * @param {Theme} theme
 * @param {{
 *   box: [number, number, number, number], x: [number, number], y: [number, number],
 *   xlabel?: string, ylabel?: string, xlog?: boolean, ylog?: boolean, grid?: boolean,
 *   xticks?: [number, string][], yticks?: [number, string][],
 * }} options box is left, top, right, bottom of the whole, axes' names included
 * @returns {Plot}
 */
export function axes(g, theme, options) {
  const { box, x, y, xlabel = "", ylabel = "", xlog = false, ylog = false, grid = true } = options;
  const left = box[0] + (ylabel ? 56 : 40);
  const right = box[2] - 10;
  const top = box[1] + 10;
  const bottom = box[3] - (xlabel ? 42 : 24);
  const [sx, ix] = scale(x, [left, right], xlog);
  const [sy, iy] = scale(y, [bottom, top], ylog);
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
  for (const [value, text] of xt) {
    say(g, theme, text, sx(value), bottom + 5, { align: "center", base: "top", color: theme.muted });
  }
  for (const [value, text] of yt) {
    say(g, theme, text, left - 6, sy(value), { align: "right", color: theme.muted });
  }
  say(g, theme, xlabel, (left + right) / 2, box[3] - 3, { align: "center", base: "bottom", size: 14 });
  say(g, theme, ylabel, box[0] + 10, (top + bottom) / 2, { align: "center", size: 14, turn: -90 });
  return { left, right, top, bottom, sx, sy, ix, iy };
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
 * @param {CanvasRenderingContext2D} g @param {Theme} theme
 * @param {string} text @param {number} x @param {number} y
 * @param {{align?: CanvasTextAlign, base?: CanvasTextBaseline, color?: string, size?: number,
 *   turn?: number, halo?: string, bold?: boolean}} [options]
 */
export function say(g, theme, text, x, y, options = {}) {
  if (!text) return;
  const { align = "left", base = "middle", color = theme.ink, size = 13, turn = 0 } = options;
  g.save();
  g.font = `${options.bold ? "600 " : ""}${size}px ${theme.font}`;
  g.textAlign = align;
  g.textBaseline = base;
  g.translate(x, y);
  g.rotate((turn * Math.PI) / 180);
  if (options.halo) {
    g.strokeStyle = options.halo;
    g.lineWidth = 4;
    g.lineJoin = "round";
    g.strokeText(text, 0, 0);
  }
  g.fillStyle = color;
  g.fillText(text, 0, 0);
  g.restore();
}

/**
 * Keeps what is drawn inside the axes.
 * @param {CanvasRenderingContext2D} g @param {Plot} plot @param {() => void} draw
 */
export function inside(g, plot, draw) {
  g.save();
  g.beginPath();
  g.rect(plot.left, plot.top - 1, plot.right - plot.left, plot.bottom - plot.top + 2);
  g.clip();
  draw();
  g.restore();
}

/**
 * Draws a line through points; it breaks where a coordinate is not finite.
 * @param {CanvasRenderingContext2D} g @param {Plot} plot
 * @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys
 * @param {{color: string, width?: number, dash?: number[], fill?: string, to?: number}} look
 */
export function line(g, plot, xs, ys, { color, width = 2, dash = [], fill, to }) {
  g.save();
  g.beginPath();
  // Clipped here: dashes along what lies far outside would cost more than all the rest.
  const bounds = [plot.left - 9, plot.right + 9, plot.top - 9, plot.bottom + 9];
  let before = null;
  let joined = false;
  for (let i = 0; i < xs.length; i++) {
    const now = [plot.sx(xs[i]), plot.sy(ys[i])];
    if (!Number.isFinite(now[0]) || !Number.isFinite(now[1])) {
      before = null;
      continue;
    }
    const piece = before && clipped(before, now, bounds);
    if (piece) {
      if (!joined) g.moveTo(piece[0], piece[1]);
      g.lineTo(piece[2], piece[3]);
    }
    joined = Boolean(piece) && piece[2] === now[0] && piece[3] === now[1];
    before = now;
  }
  if (fill) {
    const shape = new Path2D();
    const base = plot.sy(to ?? 0);
    shape.moveTo(plot.sx(xs[0]), base);
    for (let i = 0; i < xs.length; i++) shape.lineTo(plot.sx(xs[i]), plot.sy(ys[i]));
    shape.lineTo(plot.sx(xs[xs.length - 1]), base);
    g.fillStyle = fill;
    g.fill(shape);
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
 * @param {CanvasRenderingContext2D} g @param {Theme} theme
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
 * @param {CanvasRenderingContext2D} g
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

/**
 * Draws a field of colours as an image, one square a value.
 * @param {CanvasRenderingContext2D} g @param {Plot} plot
 * @param {{columns: number, rows: number, color: (column: number, row: number) => number[],
 *   x: [number, number], y: [number, number], smooth?: boolean}} field rows from the top
 * @param {HTMLCanvasElement} [kept] a canvas made by an earlier call
 * @returns {HTMLCanvasElement} to be given to the next call if nothing changed
 */
export function field(g, plot, { columns, rows, color, x, y, smooth = true }, kept) {
  let canvas = kept;
  if (!canvas) {
    canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [r, gr, b, a = 255] = color(column, row);
        image.data.set([r, gr, b, a], 4 * (row * columns + column));
      }
    }
    context.putImageData(image, 0, 0);
  }
  g.save();
  g.imageSmoothingEnabled = smooth;
  const [x0, x1, y0, y1] = [plot.sx(x[0]), plot.sx(x[1]), plot.sy(y[1]), plot.sy(y[0])];
  g.drawImage(canvas, x0, y0, x1 - x0, y1 - y0);
  g.restore();
  return canvas;
}

/** A legend of lines: each a sample and its name, from the left. */
export function legend(g, theme, x, y, entries) {
  for (const { color, dash = [], text, width = 2.5 } of entries) {
    g.save();
    g.strokeStyle = color;
    g.lineWidth = width;
    g.setLineDash(dash);
    g.beginPath();
    segment(g, x, y, x + 26, y);
    g.stroke();
    g.restore();
    say(g, theme, text, x + 32, y, { halo: theme.paper });
    y += 19;
  }
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

/**
 * Level lines of a function over a plot, as one path to stroke.
 * @param {Plot} plot @param {(x: number, y: number) => number} f
 * @param {number[]} levels @param {number} [cells] so many in each direction
 * @returns {Path2D}
 */
export function levelLines(plot, f, levels, cells = 64) {
  const lines = new Path2D();
  const [dx, dy] = [(plot.right - plot.left) / cells, (plot.bottom - plot.top) / cells];
  const values = Array.from({ length: cells + 1 }, (_, i) =>
    Array.from({ length: cells + 1 }, (_, j) =>
      f(plot.ix(plot.left + i * dx), plot.iy(plot.top + j * dy)),
    ),
  );
  for (const level of levels) {
    for (let i = 0; i < cells; i++) {
      for (let j = 0; j < cells; j++) {
        const corners = [
          [i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1],
        ];
        const ends = [];
        for (let k = 0; k < 4; k++) {
          const [[a, b], [c, d]] = [corners[k], corners[(k + 1) % 4]];
          const [v, w] = [values[a][b] - level, values[c][d] - level];
          if (v < 0 === w < 0) continue;
          const t = v / (v - w);
          ends.push([plot.left + (a + t * (c - a)) * dx, plot.top + (b + t * (d - b)) * dy]);
        }
        for (let k = 0; k + 1 < ends.length; k += 2) {
          lines.moveTo(...ends[k]);
          lines.lineTo(...ends[k + 1]);
        }
      }
    }
  }
  return lines;
}
