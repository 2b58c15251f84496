/** @typedef {import("../lib/plot.js").Plot} Plot */

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
        // Most cells are wholly above or below.
        const below = (values[i][j] < level) + (values[i + 1][j] < level) +
          (values[i + 1][j + 1] < level) + (values[i][j + 1] < level);
        if (below % 4 === 0) continue;
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
