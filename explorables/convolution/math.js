/** Cross-correlation of an image with a kernel, and the same as a matrix. */

export const SIDE = 6;
export const WINDOW = 3;
export const OUT = SIDE - WINDOW + 1;

export const KERNELS = {
  numbers: [1, 2, 3, 4, 5, 6, 7, 8, 9],
  blur: [1, 2, 1, 2, 4, 2, 1, 2, 1].map((w) => w / 16),
  edge: [1, 0, -1, 2, 0, -2, 1, 0, -1],
  laplace: [0, -1, 0, -1, 4, -1, 0, -1, 0],
};

/** The image: a bright disc and a slope, rounded to tenths. */
export const IMAGE = Array.from({ length: SIDE * SIDE }, (_, k) => {
  const [i, j] = [Math.floor(k / SIDE), k % SIDE];
  return Math.round(10 * (Number(Math.hypot(i - 2.2, j - 3.3) < 1.8) * 0.6 + 0.06 * (i + 1))) / 10;
});

/** Output (i, j): the sum of the window's pixels times the kernel. @returns {number[]} */
export function correlate(image, kernel) {
  const found = [];
  for (let i = 0; i < OUT; i++) {
    for (let j = 0; j < OUT; j++) {
      let sum = 0;
      for (let k = 0; k < WINDOW; k++) {
        for (let l = 0; l < WINDOW; l++) {
          sum += kernel[k * WINDOW + l] * image[(i + k) * SIDE + j + l];
        }
      }
      found.push(sum);
    }
  }
  return found;
}

/** The doubly block Toeplitz matrix: rows are outputs, columns pixels. @returns {number[][]} */
export function toeplitz(kernel) {
  return Array.from({ length: OUT * OUT }, (_, out) => {
    const [i, j] = [Math.floor(out / OUT), out % OUT];
    return Array.from({ length: SIDE * SIDE }, (_, pixel) => {
      const [k, l] = [Math.floor(pixel / SIDE) - i, (pixel % SIDE) - j];
      return k >= 0 && k < WINDOW && l >= 0 && l < WINDOW ? kernel[k * WINDOW + l] : 0;
    });
  });
}
