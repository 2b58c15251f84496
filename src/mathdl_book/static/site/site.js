/* The one script of every page: colour scheme, drawers, menus, search box, copying of code and links.
   Everything here is an addition; without it the page reads as well. */
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector, from = document) => from.querySelector(selector);
  const make = (tag, given, ...children) => {
    const element = Object.assign(document.createElement(tag), given);
    element.append(...children);
    return element;
  };
  // A reader may forbid storage; then nothing is remembered.
  const remember = (store, name, value) => {
    try {
      if (value === undefined) return window[store].getItem(name);
      window[store].setItem(name, value);
    } catch {
      return null;
    }
  };

  // ---- light, dark, or as the system says ----
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const MODES = ["auto", "light", "dark"];
  const switches = all(".theme-switch-button");
  const setMode = (mode) => {
    root.dataset.mode = mode;
    root.dataset.theme = mode === "auto" ? (dark.matches ? "dark" : "light") : mode;
    remember("localStorage", "mode", mode);
    remember("localStorage", "theme", root.dataset.theme);
    const said = { auto: "as the system", light: "light", dark: "dark" }[mode];
    for (const button of switches) button.ariaLabel = button.title = `Colours: ${said}`;
  };
  const mode = () => (MODES.includes(root.dataset.mode) ? root.dataset.mode : "auto");
  setMode(mode());
  dark.addEventListener("change", () => setMode(mode()));
  for (const button of switches) {
    button.addEventListener("click", () => setMode(MODES[(MODES.indexOf(mode()) + 1) % 3]));
  }

  // ---- whoever is led somewhere in a page gets it laid out as a whole: see mathdl.css ----
  const whole = () => { root.dataset.whole = ""; };
  addEventListener("hashchange", whole);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.('a[href^="#"]')) whole();
  }, true);

  // Fonts that were asked for with the page are used, also where its formulas are farther down.
  if (one('link[rel="preload"][as="font"]')) {
    for (const font of ["1em KaTeX_Main", "italic 1em KaTeX_Math"]) document.fonts.load(font, "x");
  }

  // ---- a click beside a dialog closes it ----
  const closeBeside = (dialog) =>
    dialog.addEventListener("click", (event) => {
      const box = dialog.getBoundingClientRect();
      const inside =
        event.clientX >= box.left && event.clientX <= box.right &&
        event.clientY >= box.top && event.clientY <= box.bottom;
      if (event.target === dialog && !inside) dialog.close();
    });

  // ---- the box to search in ----
  const search = one("#pst-search-dialog");
  const field = one(".bd-search-container input") ?? (search && one("input", search));
  const openSearch = () => {
    if (search && search.contains(field) && !search.open) search.showModal();
    field?.focus();
    field?.select();
  };
  if (search) closeBeside(search);
  for (const button of all(".search-button__button")) button.addEventListener("click", openSearch);
  const apple = /Mac|iPhone|iPad/.test(navigator.platform);
  if (apple) for (const key of all(".search-button__kbd-shortcut kbd:first-child")) key.textContent = "⌘";
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const shortcut = event.key.toLowerCase() === "k" && (apple ? event.metaKey : event.ctrlKey);
    const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
    if ((shortcut && !event.shiftKey && !event.altKey) || slash) {
      event.preventDefault();
      openSearch();
    }
  });

  // ---- sidebars: drawers where there is no room for them ----
  const wide = matchMedia("(min-width: 992px)");
  for (const which of ["primary", "secondary"]) {
    const toggle = one(`.${which}-toggle`);
    const sidebar = one(`#pst-${which}-sidebar`);
    const drawer = one(`#pst-${which}-sidebar-modal`);
    if (!toggle || !sidebar || !drawer) continue;
    const move = (from, to) => {
      to.append(...from.childNodes);
      for (const name of [...from.classList]) {
        from.classList.remove(name);
        to.classList.add(name);
      }
    };
    drawer.ariaLabel = which === "primary" ? "Book" : "On this page";
    closeBeside(drawer);
    toggle.addEventListener("click", () => {
      if (which === "primary" && wide.matches) {
        const hidden = sidebar.classList.toggle("pst-sidebar-hidden");
        toggle.ariaExpanded = String(!hidden);
        return;
      }
      move(sidebar, drawer);
      drawer.showModal();
    });
    drawer.addEventListener("click", (event) => {
      if (event.target.closest('a[href^="#"]')) drawer.close();
    });
    drawer.addEventListener("close", () => move(drawer, sidebar));
  }
  const sidebar = one("#pst-primary-sidebar");
  if (sidebar) {
    const kept = parseInt(remember("sessionStorage", "sidebar-scroll-top"), 10);
    const current = all(".active", sidebar).at(-1);
    if (kept >= 0) sidebar.scrollTop = kept;
    else if (current) {
      const below = current.getBoundingClientRect().top - sidebar.getBoundingClientRect().top;
      if (below > innerHeight / 2) sidebar.scrollTop = below - sidebar.clientHeight / 4;
    }
    addEventListener("pagehide", () =>
      remember("sessionStorage", "sidebar-scroll-top", String(sidebar.scrollTop)));
  }

  // ---- menus of the page's buttons ----
  const menus = all(".dropdown > .dropdown-toggle");
  const setMenu = (button, open) => {
    button.ariaExpanded = String(open);
    button.nextElementSibling.classList.toggle("show", open);
  };
  for (const button of menus) {
    const box = button.parentElement;
    button.addEventListener("click", () => setMenu(button, button.ariaExpanded !== "true"));
    box.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !box.contains(event.relatedTarget)) setMenu(button, false);
    });
    box.addEventListener("keydown", (event) => {
      const items = all(".dropdown-item", box);
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") {
        setMenu(button, false);
        button.focus();
      } else if (step) {
        event.preventDefault();
        setMenu(button, true);
        const at = items.indexOf(document.activeElement);
        items[at < 0 ? (step > 0 ? 0 : items.length - 1) : (at + step + items.length) % items.length].focus();
      }
    });
  }
  document.addEventListener("click", (event) => {
    for (const button of menus) if (!button.parentElement.contains(event.target)) setMenu(button, false);
  });

  // ---- running the page: its first cell here, or elsewhere, for which a module comes when used ----
  const script = document.currentScript.src;
  const launching = one(".dropdown-launch-buttons");
  let loading, loaded;
  const toLaunch = (event) => {
    loading ??= import(script.replace("site.js", "launch.js"))
      .then((module) => module.offer(launching))
      .catch(() => {}) // refused on a page opened as a file: the links stay what they are
      .then(() => (loaded = true));
    const early = !loaded && event.type === "click" && event.target.closest(".btn-launch-hub");
    if (!early) return;
    event.preventDefault();
    loading.then(() => early.click());
  };
  for (const event of ["click", "focusin"]) launching?.addEventListener(event, toLaunch);
  const runHere = () => {
    const from = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const below = (cell) => !from || from.compareDocumentPosition(cell) & 4;
    const cell = all(".live-run").find(below) ?? one(".live-run, .live-status");
    cell?.scrollIntoView({ block: "center" });
    cell?.focus();
  };
  addEventListener("mathdl-run", runHere);
  if (new URLSearchParams(location.search).has("run")) addEventListener("load", runHere);

  // ---- where the reader is on the page ----
  const toc = one("#pst-page-toc-nav");
  const links = new Map(toc ? all("a", toc).map((a) => [decodeURIComponent(a.hash.slice(1)), a]) : []);
  const headings = all("article section[id]").filter((section) => links.has(section.id));
  if (headings.length) {
    const shown = new Set();
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) shown[isIntersecting ? "add" : "delete"](target);
      const now = headings.filter((section) => shown.has(section)).at(-1);
      if (!now) return;
      const current = links.get(now.id);
      for (const link of links.values()) {
        link.classList.toggle("active", link === current);
        if (link === current) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      for (const entry of all(".toc-entry", toc)) entry.classList.toggle("active", entry.contains(current));
    }, { rootMargin: "-15% 0px -80% 0px" });
    for (const section of headings) observer.observe(section);
  }
  // The contents give way to notes in the margin.
  const contents = one("div.bd-sidebar-secondary");
  const notes = all("article :is(.margin, .tag_margin, .full-width, .tag_full-width, .sidebar)");
  if (contents && notes.length) {
    const near = new Set();
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) near[isIntersecting ? "add" : "delete"](target);
      contents.classList.toggle("hide", near.size > 0);
    }, { rootMargin: "0px 0px -33% 0px" });
    for (const note of notes) observer.observe(note);
  }
  const top = one("#pst-back-to-top");
  const pixel = one("#pst-scroll-pixel-helper");
  if (pixel) {
    new IntersectionObserver(([{ boundingClientRect }]) => {
      const scrolled = boundingClientRect.y < 0;
      document.body.classList.toggle("scrolled", scrolled);
      top?.classList.toggle("visible", scrolled);
    }).observe(pixel);
  }
  top?.addEventListener("click", () => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    scrollTo({ top: 0, behavior: calm ? "auto" : "smooth" });
    one("#main-content")?.focus({ preventScroll: true });
  });

  // ---- copying ----
  const status = make("p", { className: "copy-status", role: "status" });
  document.body.append(status);
  const copy = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no clipboard here, or not allowed: the old way
      const area = make("textarea", { value: text, className: "copy-area" });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    status.textContent = "Copied.";
    button.classList.add("copied");
    setTimeout(() => {
      status.textContent = "";
      button.classList.remove("copied");
    }, 2000);
  };
  const code = (pre) => {
    const copied = pre.cloneNode(true);
    if (!one(".gp", copied)) return copied.textContent;
    // A session: what was typed, without prompts and answers.
    for (const answer of all(".gp, .go, .gt, .gr", copied)) answer.remove();
    return copied.textContent.split("\n").filter((line) => line.trim()).join("\n") + "\n";
  };
  for (const pre of all("div.highlight > pre")) {
    if (pre.closest(".cell_output")) continue;
    const button = make("button", { type: "button", className: "copy-code", textContent: "Copy" });
    button.ariaLabel = "Copy code";
    button.addEventListener("click", () => copy(code(pre), button));
    pre.parentElement.append(button);
  }

  // ---- links to anything: plain, for Markdown, for HTML, for LaTeX ----
  // The address of this very edition, which the canonical one need not be.
  const canonical = one('meta[property="og:url"]')?.content ?? location.href.replace(/[?#].*/, "");
  const title = one("article h1")?.firstChild?.textContent ?? document.title;
  const nameOf = (link) => {
    const box = link.closest("figcaption, caption, .admonition-title, .eqno, dt, h1, h2, h3, h4, h5, h6");
    const copied = box.cloneNode(true);
    for (const extra of all(".headerlink, .link-menu, .katex-html, annotation, .stars", copied)) extra.remove();
    const text = copied.textContent.replace(/\s+/g, " ").trim();
    if (box.matches(".eqno")) return `Equation ${text}`;
    if (box.matches("figcaption, caption")) return one(".caption-number", copied)?.textContent.trim() || text;
    return text;
  };
  const escaped = (text) =>
    text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const FORMS = {
    Link: (url) => url,
    Markdown: (url, name) => `[${name.replace(/([\\[\]])/g, "\\$1")}](${url})`,
    HTML: (url, name) => `<a href="${escaped(url)}">${escaped(name)}</a>`,
    LaTeX: (url, name) =>
      `\\href{${url.replace(/([%#&])/g, "\\$1")}}{${name.replace(/([%#&_$])/g, "\\$1")}}`,
  };
  const menu = make("span", { className: "link-menu", role: "group" });
  for (const [form, write] of Object.entries(FORMS)) {
    const button = make("button", { type: "button", textContent: form });
    button.addEventListener("click", () => {
      const link = menu.previousElementSibling;
      const name = nameOf(link);
      copy(write(canonical + link.hash, /^(Section |\d)/.test(name) ? `${title}: ${name}` : name), button);
    });
    menu.append(button);
  }
  const report = one(".page-end a.report");
  const wrong = make("a", { textContent: "Report" });
  if (report?.href.includes("label=")) menu.append(wrong);
  const offer = (event) => {
    const link = event.target.closest?.("a.headerlink");
    if (!link || link.nextElementSibling === menu) return;
    menu.ariaLabel = `Copy a link to ${nameOf(link)}`;
    if (report) wrong.href = report.href.replace(/(label=[^&]*)/, `$1${encodeURIComponent(link.hash)}`);
    link.after(menu);
  };
  document.addEventListener("focusin", (event) => {
    if (menu.isConnected && !menu.contains(event.target) && event.target !== menu.previousElementSibling) menu.remove();
    offer(event);
  });
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "touch") offer(event);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.isConnected) return;
    if (menu.contains(document.activeElement)) menu.previousElementSibling.focus();
    menu.remove();
  });

  // What scrolls by itself can be reached by keyboard, in every browser. Observing each such box
  // would cost every frame of the page's figures; they change with the article's width, and when
  // they are laid out, later than the page's beginning.
  const SCROLLING = ":is(.math-formula, pre, .pst-scrollable-table-container)";
  const reach = (boxes) => {
    // All are measured before one is changed: the page is laid out once.
    const long = boxes.map((box) => box.scrollWidth > box.clientWidth + 1);
    boxes.forEach((box, at) => {
      if (long[at]) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    });
  };
  const reachAll = (part) => {
    const laidOut = (box) => box.checkVisibility?.({ contentVisibilityAuto: true }) !== false;
    reach(all(SCROLLING, part).filter(laidOut));
  };
  const article = one("article");
  let width;
  if (article) {
    new ResizeObserver(([{ contentRect }]) => {
      if (width !== contentRect.width) reachAll(article);
      width = contentRect.width;
    }).observe(article);
    document.fonts.addEventListener("loadingdone", () => reachAll(article));
    new MutationObserver(() => reachAll(article))
      .observe(document.documentElement, { attributeFilter: ["data-whole"] });
    article.addEventListener("toggle", ({ target }) => reachAll(target), true);
    article.addEventListener("contentvisibilityautostatechange", ({ target, skipped }) => {
      if (skipped) return;
      reach(target.matches(SCROLLING) ? [target] : []);
      reachAll(target);
    }, true);
  }

  // What is folded is on paper too, and folded again after it.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("article details:not([open])");
    for (const box of opened) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of opened) box.open = false;
  });
})();
