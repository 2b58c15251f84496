// On pages of a tagged edition: says that there is a newer one, and leads to the same place in it.
// The list of editions lies beside the edition's folder; where there is none, nothing is said.
"use strict";
(async () => {
  const STYLE = `
    .edition-banner {
      position: fixed; z-index: 1020; inset: auto 0 0; display: flex;
      justify-content: center; align-items: center; gap: 1rem; padding: 0.5rem 1rem;
      border-top: 2px solid var(--book-accent); background: var(--book-surface); color: var(--book-ink);
    }
    .edition-banner p { margin: 0; }
    .edition-banner button {
      padding: 0 0.7rem; border: 1px solid var(--book-muted); border-radius: 4px;
      background: none; color: inherit;
    }
    html:has(.edition-banner) { scroll-padding-bottom: var(--edition-banner); }
    body:has(.edition-banner) { padding-bottom: var(--edition-banner); }
    @media print { .edition-banner { position: static; border: 0; } .edition-banner button { display: none; } }
  `;
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const name = script.dataset.edition;
  const here = new URL("../", script.src);
  const served = location.protocol === "https:" || location.protocol === "http:";
  if (!served || !here.pathname.endsWith(`/${name}/`)) return;
  const list = new URL("../editions.json", here);

  /** @returns {Promise<{name: string, title: string, date: string, url: string}[]>} */
  async function editions() {
    try {
      const answer = await fetch(list);
      return answer.ok ? await answer.json() : [];
    } catch {
      return []; // offline
    }
  }

  const listed = await editions();
  const mine = listed.find((edition) => edition.name === name);
  const newest = listed[0];
  const key = `edition-${name}`;
  if (!mine || newest.date <= mine.date || dismissed()) return;

  /** @param {string} [value] */
  function dismissed(value) {
    try {
      if (value) sessionStorage.setItem(key, value);
      return sessionStorage.getItem(key);
    } catch {
      return null; // storage is forbidden: the banner comes again
    }
  }

  const page = location.pathname.slice(here.pathname.length);
  const link = document.createElement("a");
  link.textContent = "Read this page in the newest edition";
  // At the last moment: the reader may have gone to another place of the page.
  const aim = () => {
    const section = document.querySelector('#pst-page-toc-nav a[aria-current="true"]');
    const to = new URL(page + location.search, new URL(newest.url, list));
    to.hash = location.hash || section?.getAttribute("href") || "";
    link.href = to.href;
  };
  aim();
  for (const event of ["pointerenter", "focus", "click"]) link.addEventListener(event, aim);

  const text = document.createElement("p");
  text.append(`This is edition ${name}, of ${mine.date}. `, link);
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  const banner = document.createElement("aside");
  banner.className = "edition-banner";
  banner.ariaLabel = "Edition";
  banner.append(text, close);
  close.addEventListener("click", () => {
    dismissed("closed");
    banner.remove();
  });
  const style = document.createElement("style");
  style.textContent = STYLE;
  document.head.append(style);
  // Read first, shown at the bottom, over nothing: the page gets room for it at its end.
  (document.querySelector(".skip-link") ?? document.body.firstElementChild).after(banner);
  // As much as its words need, in the reader's font and at this width.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--edition-banner", `${banner.offsetHeight}px`);
  }).observe(banner);
})();
