/**
 * Numbers and sliders while the hand moves. If the page itself showed them, the browser would paint
 * all its formulas anew in every frame, which takes a phone 50 milliseconds; so a canvas over the
 * form shows them, and the page's own follow when the hand rests.
 */

export const THUMB = 20; // diameter of a slider's thumb, as in the style sheet

/** @typedef {import("./explorable.js").Control} Control */

/** @param {Control} control @param {number} value on its scale @returns {number} from 0 to 1 */
export const shareOf = ({ low, high }, value) => (value - low) / (high - low);

export class Moving {
  /** @param {HTMLElement} stage the first thing of a form */
  constructor(stage) {
    this.form = stage.parentElement;
    this.below = stage.nextElementSibling;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "explorable-moving";
    this.canvas.setAttribute("aria-hidden", "true");
    this.g = this.canvas.getContext("2d");
    this.places = null;
  }

  /** Looks where things are. */
  begin() {
    const { form, below, canvas } = this;
    if (!canvas.parentElement) form.append(canvas);
    const dense = Math.min(devicePixelRatio || 1, 2);
    const top = below.offsetTop;
    const [width, height] = [form.clientWidth, form.clientHeight - top];
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.style.cssText = `top: ${top}px; width: ${width}px; height: ${height}px`;
    this.g.setTransform(dense, 0, 0, dense, 0, 0);
    const origin = form.getBoundingClientRect();
    // On a slide the form is shown larger or smaller than it is laid out.
    this.scale = form.offsetWidth / origin.width;
    this.origin = [
      origin.left + form.clientLeft / this.scale,
      origin.top + (form.clientTop + top) / this.scale,
    ];
    this.places = new Map();
  }

  /** @param {HTMLElement} element */
  place(element) {
    let place = this.places.get(element);
    if (!place) {
      const { scale, origin } = this;
      const { left, top, width, height } = element.getBoundingClientRect();
      place = {
        x: scale * (left - origin[0]),
        y: scale * (top - origin[1]),
        width: scale * width,
        height: scale * height,
      };
      if (element.tagName !== "INPUT") {
        const { fontSize, fontFamily, color, textAlign, lineHeight } = getComputedStyle(element);
        Object.assign(place, { font: `${fontSize} ${fontFamily}`, color });
        place.right = textAlign === "right";
        this.g.font = place.font;
        const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = this.g.measureText("0");
        place.base = (parseFloat(lineHeight) - Math.round(up) - Math.round(down)) / 2 + Math.round(up);
      }
      this.places.set(element, place);
    }
    return place;
  }

  /**
   * Draws what differs from what the page shows.
   * @param {import("./color.js").Theme} theme
   * @param {[HTMLElement, string][]} texts @param {[HTMLInputElement, number][]} sliders shares
   */
  draw(theme, texts, sliders) {
    if (!this.places) this.begin();
    const { g, canvas } = this;
    g.clearRect(0, 0, canvas.width, canvas.height);
    for (const [element, text] of texts) {
      const { x, y, width, height, font, color, right, base } = this.place(element);
      g.fillStyle = theme.paper;
      g.fillRect(x - 1, y, width + 2, height);
      g.font = font;
      g.fillStyle = color;
      g.textAlign = right ? "right" : "left";
      g.fillText(text, right ? x + width : x, y + base);
    }
    for (const [element, share] of sliders) {
      const { x, y, width, height } = this.place(element);
      const [at, middle] = [x + THUMB / 2 + share * (width - THUMB), y + height / 2];
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

  end() {
    if (!this.places) return;
    this.places = null;
    this.g.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }
}

function bar(g, color, x, middle, width) {
  g.fillStyle = color;
  g.beginPath();
  g.roundRect(x, middle - 2, width, 4, 2);
  g.fill();
}

/**
 * Drags a slider's thumb, by mouse, pen or finger: the browser's own dragging would have the page
 * painted. A finger that goes up or down scrolls the page and leaves the slider as it was.
 * @param {HTMLElement} holder what holds the slider, which gets no pointer's events itself
 * @param {Control} control
 * @param {(value: number) => void} slide gets a value on the slider's scale
 */
export function slidable(holder, control, slide) {
  const { input, low, high, step } = control;
  let held = null;
  const valueAt = (clientX) => {
    const { left, width } = held.box;
    const share = (clientX - held.offset - left - THUMB / 2) / (width - THUMB);
    const value = low + Math.round((Math.min(Math.max(share, 0), 1) * (high - low)) / step) * step;
    return +Math.min(value, high).toPrecision(9);
  };
  holder.addEventListener("pointerdown", (event) => {
    const box = input.getBoundingClientRect();
    if (event.button || event.clientY < box.top - 4 || event.clientY > box.bottom + 8) return;
    const now = Number(input.value);
    const distance = event.clientX - box.left - THUMB / 2 - shareOf(control, now) * (box.width - THUMB);
    const taken = Math.abs(distance) <= THUMB;
    held = { box, now, offset: taken ? distance : 0, from: event.clientX };
    // A finger may be about to scroll.
    held.started = event.pointerType !== "touch";
    holder.setPointerCapture(event.pointerId);
    input.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
    if (held.started && !taken) slide(valueAt(event.clientX));
  });
  holder.addEventListener("pointermove", ({ clientX }) => {
    if (!held) return;
    held.started ||= Math.abs(clientX - held.from) > 3;
    if (held.started) slide(valueAt(clientX));
  });
  holder.addEventListener("pointerup", ({ clientX }) => {
    if (held && !held.started) slide(valueAt(clientX));
    held = null;
  });
  holder.addEventListener("pointercancel", () => {
    if (held?.started) slide(held.now);
    held = null;
  });
}
