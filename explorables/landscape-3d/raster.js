/**
 * A picture of a height field without a graphics card: triangles into a depth buffer, pixel by
 * pixel. It looks the same on every machine, and knows what hides what.
 *
 * @typedef {{
 *   width: number, height: number,
 *   color: Uint32Array, depth: Float32Array, level: Uint16Array,
 * }} Buffers of each pixel the colour, how near it is, and 1 + 4095 × height (0: nothing there)
 */

const NOTHING = -1e9;

/** @param {number} width @param {number} height @returns {Buffers} */
export function buffers(width, height) {
  const size = width * height;
  return {
    width,
    height,
    color: new Uint32Array(size),
    depth: new Float32Array(size).fill(NOTHING),
    level: new Uint16Array(size),
  };
}

/** @param {Buffers} b */
export function clear(b) {
  b.color.fill(0);
  b.depth.fill(NOTHING);
  b.level.fill(0);
}

/**
 * Paints a mesh.
 * @param {Buffers} b
 * @param {{rows: number, columns: number, height: Float32Array, light: Float32Array}} mesh
 *   heights and brightnesses from 0 to 1 at (rows) × (columns) points
 * @param {Float32Array} screen of each point x, y in pixels and its nearness
 * @param {Uint32Array} palette 32 brightnesses of 256 heights
 */
export function paint(b, { rows, columns, height, light }, screen, palette) {
  for (let i = 0; i + 1 < rows; i++) {
    for (let j = 0; j + 1 < columns; j++) {
      const p = i * columns + j;
      const q = p + columns;
      // The diagonal along which the surface bends less.
      if (Math.abs(height[p] - height[q + 1]) <= Math.abs(height[q] - height[p + 1])) {
        triangle(b, p, q, q + 1, height, light, screen, palette);
        triangle(b, p, q + 1, p + 1, height, light, screen, palette);
      } else {
        triangle(b, p, q, p + 1, height, light, screen, palette);
        triangle(b, q, q + 1, p + 1, height, light, screen, palette);
      }
    }
  }
}

function triangle(b, k0, k1, k2, height, light, screen, palette) {
  const x0 = screen[3 * k0], y0 = screen[3 * k0 + 1], d0 = screen[3 * k0 + 2];
  const x1 = screen[3 * k1], y1 = screen[3 * k1 + 1], d1 = screen[3 * k1 + 2];
  const x2 = screen[3 * k2], y2 = screen[3 * k2 + 1], d2 = screen[3 * k2 + 2];
  const area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
  if (Math.abs(area) < 1e-9) return;
  const left = Math.max(0, Math.ceil(Math.min(x0, x1, x2) - 0.5));
  const right = Math.min(b.width - 1, Math.floor(Math.max(x0, x1, x2) - 0.5));
  const top = Math.max(0, Math.ceil(Math.min(y0, y1, y2) - 0.5));
  const bottom = Math.min(b.height - 1, Math.floor(Math.max(y0, y1, y2) - 0.5));
  // Shares of the corners 1 and 2, linear over the screen; the rest is corner 0's.
  const u1 = (y2 - y0) / area, v1 = (x0 - x2) / area;
  const u2 = (y0 - y1) / area, v2 = (x1 - x0) / area;
  const h0 = height[k0], h1 = height[k1] - h0, h2 = height[k2] - h0;
  const l0 = light[k0], l1 = light[k1] - l0, l2 = light[k2] - l0;
  const e1 = d1 - d0, e2 = d2 - d0;
  for (let y = top; y <= bottom; y++) {
    let s = (left + 0.5 - x0) * u1 + (y + 0.5 - y0) * v1;
    let t = (left + 0.5 - x0) * u2 + (y + 0.5 - y0) * v2;
    let pixel = y * b.width + left;
    for (let x = left; x <= right; x++, pixel++, s += u1, t += u2) {
      if (s < -1e-6 || t < -1e-6 || s + t > 1.000001) continue;
      const d = d0 + s * e1 + t * e2;
      if (d <= b.depth[pixel]) continue;
      b.depth[pixel] = d;
      const h = h0 + s * h1 + t * h2;
      const l = l0 + s * l1 + t * l2;
      b.level[pixel] = 1 + 4095 * h;
      b.color[pixel] = palette[((31.99 * l) << 8) + ((255.99 * h) | 0)];
    }
  }
}

/**
 * Draws a line between pixels on different sides of a level, where no edge of a hill lies between.
 * @param {Buffers} b
 * @param {number[]} heights from 0 to 1, increasing
 * @param {number} thick in pixels
 */
export function contours(b, heights, thick) {
  const band = new Uint8Array(4097);
  for (const h of heights) for (let k = Math.ceil(1 + 4095 * h); k <= 4096; k++) band[k]++;
  const { width, height, level, depth, color } = b;
  const reach = Math.max(1, Math.round(thick));
  const marked = [];
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0, p = y * width; x + 1 < width; x++, p++) {
      const here = level[p];
      if (!here) continue;
      const mine = band[here];
      const beside = level[p + 1], below = level[p + width];
      if (
        (beside && band[beside] !== mine && Math.abs(depth[p + 1] - depth[p]) < 0.08) ||
        (below && band[below] !== mine && Math.abs(depth[p + width] - depth[p]) < 0.08)
      ) {
        marked.push(p);
      }
    }
  }
  for (const p of marked) {
    const shade = level[p] > 2250 ? 0 : 255;
    for (let r = 0; r < reach; r++) {
      for (let c = 0; c < reach; c++) {
        const q = p + r * width + c;
        if (level[q]) color[q] = mix(color[q], shade);
      }
    }
  }
}

/** Half of black or white. */
function mix(color, shade) {
  const part = (shift) => ((((color >> shift) & 255) * 0.5 + shade * 0.5) & 255) << shift;
  return (part(0) | part(8) | part(16) | (255 << 24)) >>> 0;
}

/**
 * Whether a point is in front of what has been painted, or at most so far behind it.
 * @param {Buffers} b @param {number} x @param {number} y pixels
 * @param {number} nearness @param {number} slack @returns {boolean}
 */
export function visible(b, x, y, nearness, slack) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column < 0 || row < 0 || column >= b.width || row >= b.height) return true;
  return nearness + slack >= b.depth[row * b.width + column];
}
