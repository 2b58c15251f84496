/**
 * What the reader takes hold of, on the page: points, by mouse, pen or finger and by keys; and
 * sliders, which the browser's own dragging would have painted with all the page.
 */

import { THUMB } from "./control.js";

/** @typedef {(what: string, ...given: any[]) => void} Tell */

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * A point.
 * @param {HTMLElement} stage @param {string} label @param {number} k which one @param {Tell} tell
 * @returns {{at: import("./scene.js").Place, settle: () => void}} `at` is where it is drawn;
 *   `settle` has the page's own, which hand and keys take hold of, follow
 */
export function handle(stage, label, k, tell) {
  const knob = document.createElement("div");
  Object.assign(knob, {
    className: "explorable-handle",
    tabIndex: 0,
    role: "slider",
    ariaLabel: label,
    ariaRoleDescription: "movable point",
    ariaValueNow: "0",
  });
  const made = {
    at: { x: 0, y: 0, value: 0, text: "", shown: false },
    settle() {
      const { x, y, value, text, shown } = made.at;
      knob.style.visibility = shown ? "visible" : "hidden";
      knob.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
      knob.ariaValueNow = String(+value.toPrecision(4));
      knob.ariaValueText = text;
    },
  };
  let grip = null;
  knob.addEventListener("pointerdown", (event) => {
    // On a slide the stage is shown larger or smaller than it is laid out.
    const scale = stage.clientWidth / stage.getBoundingClientRect().width;
    grip = { scale, x: made.at.x - scale * event.pageX, y: made.at.y - scale * event.pageY };
    knob.setPointerCapture(event.pointerId);
    knob.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  knob.addEventListener("pointermove", ({ pageX, pageY }) => {
    if (grip) tell("drag", k, grip.scale * pageX + grip.x, grip.scale * pageY + grip.y);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    knob.addEventListener(end, () => {
      grip = null;
    });
  }
  knob.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (!direction || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? 10 : 1;
    tell("nudge", k, step * direction[0], step * direction[1]);
    event.preventDefault();
  });
  stage.append(knob);
  return made;
}

/**
 * Drags a slider's thumb, by mouse, pen or finger. A finger that goes up or down scrolls the page
 * and leaves the slider as it was.
 * @param {HTMLElement} holder what holds the slider, which gets no pointer's events itself
 * @param {import("./explorable.js").PageControl} control
 * @param {(value: number) => void} slide gets a value on the slider's scale
 */
export function slidable(holder, control, slide) {
  const { input, low, high, step } = control;
  let grip = null;
  const valueAt = (clientX) => {
    const { left, width } = grip.box;
    const share = (clientX - grip.offset - left - THUMB / 2) / (width - THUMB);
    const value = low + Math.round((Math.min(Math.max(share, 0), 1) * (high - low)) / step) * step;
    return +Math.min(value, high).toPrecision(9);
  };
  holder.addEventListener("pointerdown", (event) => {
    const box = input.getBoundingClientRect();
    if (event.button || event.clientY < box.top - 4 || event.clientY > box.bottom + 8) return;
    const now = Number(input.value);
    const share = (now - low) / (high - low);
    const distance = event.clientX - box.left - THUMB / 2 - share * (box.width - THUMB);
    const taken = Math.abs(distance) <= THUMB;
    grip = { box, now, offset: taken ? distance : 0, from: event.clientX };
    // A finger may be about to scroll.
    grip.started = event.pointerType !== "touch";
    holder.setPointerCapture(event.pointerId);
    input.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
    if (grip.started && !taken) slide(valueAt(event.clientX));
  });
  holder.addEventListener("pointermove", ({ clientX }) => {
    if (!grip) return;
    grip.started ||= Math.abs(clientX - grip.from) > 3;
    if (grip.started) slide(valueAt(clientX));
  });
  holder.addEventListener("pointerup", ({ clientX }) => {
    if (grip && !grip.started) slide(valueAt(clientX));
    grip = null;
  });
  holder.addEventListener("pointercancel", () => {
    if (grip?.started) slide(grip.now);
    grip = null;
  });
}
