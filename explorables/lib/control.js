/**
 * A control as both sides know it, the page's and the picture's.
 *
 * @typedef {{name: string, kind: string, logarithmic: boolean, low: number, high: number,
 *   step: number, choices: string[], look: Record<string, string>}} Control bounds and step on the
 *   slider's own scale; choices of a list; look as `formatControl` takes it
 */

/** Diameter of a slider's thumb, as in the style sheet. */
export const THUMB = 20;

/** A value from its place on a slider. @param {Control} control */
export const natural = ({ logarithmic }, value) =>
  logarithmic ? +(10 ** Number(value)).toPrecision(3) : Number(value);

/** Where a value is on a slider. @param {Control} control @param {number} value */
export const onScale = ({ logarithmic }, value) => (logarithmic ? Math.log10(value) : value);

/** The same as a share of the slider's way. @param {Control} control @param {number} value */
export const shareOf = (control, value) =>
  (onScale(control, value) - control.low) / (control.high - control.low);

/** The value nearest to one that a control can take; `now` if there is none. */
export function fit(control, value, now) {
  const { kind, choices, low, high } = control;
  if (kind === "select") return choices.includes(value) ? value : now;
  if (kind === "checkbox") return Number(Boolean(Number(value)));
  if (!Number.isFinite(value)) return now;
  return asInLinks(Math.min(Math.max(value, natural(control, low)), natural(control, high)));
}

/** A number as links write it, so that they lead to the very state. */
const asInLinks = (value) => +value.toPrecision(9);
