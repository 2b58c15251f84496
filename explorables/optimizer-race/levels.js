/** @typedef {import("../lib/plot.js").Plot} Plot */

const SIDE = 4; // of a cell, across which a line is straight, in pixels

/**
 * Level lines of a function over a plot, as one path to stroke.
 * @param {Plot} plot @param {(x: number, y: number) => number} f
 * @param {number[]} levels
 * @returns {Path2D}
 */
export function levelLines(plot, f, levels) {
  const lines = new Path2D();
  const cells = Math.ceil((plot.right - plot.left) / SIDE); // as many upwards
  const rows = cells + 1;
  const [dx, dy] = [(plot.right - plot.left) / cells, (plot.bottom - plot.top) / cells];
  const ys = Float64Array.from({ length: rows }, (_, j) => plot.iy(plot.top + j * dy));
  const values = new Float64Array(rows * rows); // of the corner (i, j) at i rows + j
  for (let i = 0; i < rows; i++) {
    const x = plot.ix(plot.left + i * dx);
    for (let j = 0; j < rows; j++) values[i * rows + j] = f(x, ys[j]);
  }
  let pen = false;
  /** Where a level cuts the side from one corner to another, if it does: an end of a line. */
  function cut(level, i, j, v, k, l, w) {
    if (v < level === w < level) return;
    const t = (v - level) / (v - w);
    const [x, y] = [plot.left + (i + t * (k - i)) * dx, plot.top + (j + t * (l - j)) * dy];
    if (pen) lines.lineTo(x, y);
    else lines.moveTo(x, y);
    pen = !pen;
  }
  for (let i = 0; i < cells; i++) {
    for (let j = 0; j < cells; j++) {
      const at = i * rows + j;
      const [a, b, c, d] = [values[at], values[at + rows], values[at + rows + 1], values[at + 1]];
      const [low, high] = [Math.min(a, b, c, d), Math.max(a, b, c, d)];
      for (const level of levels) {
        if (low >= level || high < level) continue; // as most cells for most levels
        cut(level, i, j, a, i + 1, j, b);
        cut(level, i + 1, j, b, i + 1, j + 1, c);
        cut(level, i + 1, j + 1, c, i, j + 1, d);
        cut(level, i, j + 1, d, i, j, a);
      }
    }
  }
  return lines;
}
