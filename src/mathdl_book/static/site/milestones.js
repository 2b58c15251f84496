// Milestones ticked off: remembered in this browser, saved as a file on request, sent nowhere.
"use strict";
(() => {
  const KEY = "mathdl-milestones";

  /** @returns {Record<string, string>} Day of the tick by the milestone's id. */
  function ticked() {
    try {
      return JSON.parse(localStorage.getItem(KEY) || "{}");
    } catch {
      return {}; // a browser that keeps nothing, or something else under this name
    }
  }

  /** @param {Record<string, string>} ticks Day of the tick by the milestone's id. */
  function keep(ticks) {
    try {
      localStorage.setItem(KEY, JSON.stringify(ticks));
    } catch {
      // Not kept: the boxes still work until the page is left.
    }
  }

  /**
   * Offer text as a file.
   * @param {string} name
   * @param {string} type
   * @param {string} text
   */
  function save(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const items = [...document.querySelectorAll("li.milestone")];
  const tools = document.querySelector(".milestones-tools");
  const count = document.querySelector(".milestones-count");
  const box = (item) => item.querySelector("input");

  /**
   * An item's text, with formulas as they were written.
   * @param {HTMLElement} item
   */
  function words(item) {
    const copy = /** @type {HTMLElement} */ (item.cloneNode(true));
    for (const formula of copy.querySelectorAll(".katex")) {
      formula.replaceWith(formula.querySelector("annotation")?.textContent ?? "");
    }
    return copy.textContent.trim();
  }

  function show() {
    const ticks = ticked();
    for (const item of items) box(item).checked = item.id in ticks;
    say();
  }

  function say() {
    const done = items.filter((item) => box(item).checked).length;
    count.textContent = `${done} of ${items.length} reached`;
  }

  for (const item of items) {
    box(item).addEventListener("change", () => {
      const ticks = ticked();
      if (box(item).checked) ticks[item.id] = new Date().toISOString().slice(0, 10);
      else delete ticks[item.id];
      keep(ticks);
      say();
    });
  }
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const ticks = ticked();
    if (button.dataset.save === "json") {
      const all = items.map((item) => ({
        id: item.id,
        text: words(item),
        reached: ticks[item.id] ?? null,
      }));
      save("milestones.json", "application/json", `${JSON.stringify(all, null, 1)}\n`);
    } else if (button.dataset.save === "md") {
      const lines = items.map((item) => {
        const day = ticks[item.id];
        return `- [${day ? "x" : " "}] ${words(item)}${day ? ` (${day})` : ""}`;
      });
      save("milestones.md", "text/markdown", `${lines.join("\n")}\n`);
    } else if ("clear" in button.dataset) {
      keep({});
      show();
    }
  });
  window.addEventListener("storage", show); // ticked in another tab
  tools.hidden = false;
  show();
})();
