/** A field of colours, which shows a function of the plane. */

import { viridis } from "../lib/color.js";

/** @typedef {import("../lib/plot.js").Plot} Plot */

const PALETTE = Uint8ClampedArray.from({ length: 1024 }, (_, k) =>
  k % 4 === 3 ? 255 : viridis((k >> 2) / 255)[k % 4],
);

/**
 * Draws a field of colours as an image, one square a value.
 * @param {OffscreenCanvasRenderingContext2D} g @param {Plot} plot
 * @param {{columns: number, rows: number, level: (column: number, row: number) => number,
 *   x: [number, number], y: [number, number]}} field rows from the top; levels from 0 to 1
 */
export function field(g, plot, { columns, rows, level, x, y }) {
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(columns, rows);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at += 4) {
      const from = 4 * Math.round(255 * level(column, row));
      for (let k = 0; k < 4; k++) image.data[at + k] = PALETTE[from + k];
    }
  }
  context.putImageData(image, 0, 0);
  const [x0, x1, y0, y1] = [plot.sx(x[0]), plot.sx(x[1]), plot.sy(y[1]), plot.sy(y[0])];
  g.drawImage(canvas, x0, y0, x1 - x0, y1 - y0);
}
