/* Search: first what is called so (sections, equations, functions, terms), then where the words are.
   All of it is loaded by <script>, so that it works from a folder or a stick as well. */
const Search = {
  index: null,
  things: [],
  texts: {},
};
(() => {
  "use strict";
  const MOST = 12; // pages whose text is looked through; more for a phrase, which any may have
  const MOST_FOR_PHRASES = 45;
  const root = document.documentElement.dataset.content_root ?? "";
  const make = (tag, given, ...children) => {
    const element = Object.assign(document.createElement(tag), given);
    element.append(...children);
    return element;
  };
  const load = (address) => new Promise((resolve) => {
    const script = make("script", { src: root + address, onload: resolve, onerror: resolve });
    document.head.append(script);
  });
  const plain = (text) =>
    text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/[‘’]/g, "'").replace(/[\s\u00a0]+/g, " ").trim();
  const wordsOf = (text) => plain(text).match(/[\p{L}\p{N}_]+/gu) ?? [];

  // What readers ask for under another name than the book's.
  const ALSO = [
    [/\bkl\b/, "kullback–leibler"],
    [/\brelative entropy\b/, "kullback–leibler divergence"],
    [/\b(finite|central) differences?\b/, "central quotient"],
    [/\bmachine epsilon\b/, "unit roundoff"],
    [/\bsvd\b/, "singular value decomposition"],
    [/\bsgd\b/, "stochastic gradient"],
    [/\bmle\b/, "maximum likelihood"],
    [/\bbackprop\b/, "backpropagation"],
    [/\blearning rates?\b/, "step size"],
  ];
  const ENDING = "(e[drs]?|ing|ations?)\\b";
  const waysToSay = (query) => [...new Set([
    query,
    ...ALSO.filter(([asked]) => asked.test(query)).map(([asked, ours]) => query.replace(asked, ours)),
    // English has two spellings, and this book its own of one word.
    query.replace("parameteri", "parametri").replace(new RegExp(`iz${ENDING}`, "g"), "is$1"),
    query.replace("parameteri", "parametri").replace(new RegExp(`is${ENDING}`, "g"), "iz$1"),
  ])];

  // ---- what is called so ----
  /* 0 if a thing is not meant, more the better its name, number or label fits. */
  const fits = (thing, query, words) => {
    const [kind, number, title, label] = thing;
    const name = plain(title);
    const asked = query.replace(/^(equation|eq\.?|section|chapter|figure|fig\.?|table|exercise|theorem|definition)\s+/, "").replace(/[()]/g, "");
    if (number && asked === number) {
      const word = query.split(" ")[0];
      return kind.startsWith(word) || (word.startsWith("eq") && /claim|definition/.test(kind)) ? 120 : 100;
    }
    if (name === query || label.toLowerCase() === query) return 110;
    if (kind === "function" && name.split(".").pop() === query) return 105;
    const phrase = words.length > 1 || /[^\p{L}\p{N}]/u.test(query);
    if (phrase && query.length > 2 && name.includes(query) && !words.every((word) => word.length > 1)) {
      return 66 + 20 * query.length / name.length; // a formula
    }
    if (!words.length) return 0;
    const own = new Set(wordsOf(`${title} ${label}`));
    const begins = (word) => own.has(word) || (word.length > 2 && [...own].some((one) => one.startsWith(word)));
    if (!words.every(begins)) return 0;
    return 50 + (name.startsWith(query) ? 20 : 0) + (name.includes(query) ? 15 : 0)
      + 10 * words.length / Math.max(words.length, wordsOf(name).length) + ({ term: 5, function: 4, page: 6, section: 3 }[kind] ?? 0);
  };

  // ---- where the words are ----
  const pagesWith = (words) => {
    const { index } = Search;
    if (!words.length) return [];
    const stemmer = new Stemmer();
    const scores = new Map();
    const terms = Object.keys(index.terms);
    words.forEach((word, place) => {
      if (stopwords.includes?.(word) || stopwords.has?.(word)) return;
      const stem = stemmer.stemWord(word);
      const found = new Map();
      const note = (pages, points) => {
        for (const page of [pages ?? []].flat()) found.set(page, Math.max(points, found.get(page) ?? 0));
      };
      note(index.terms[stem], 5);
      note(index.terms[word], 5);
      note(index.titleterms[stem], 15);
      if (!found.size && word.length > 2) {
        for (const term of terms) if (term.startsWith(stem)) note(index.terms[term], 2);
      }
      for (const [page, points] of found) {
        const [count, sum] = scores.get(page) ?? [0, 0];
        scores.set(page, [count + 1, sum + points]);
      }
    });
    const most = Math.max(0, ...[...scores.values()].map(([count]) => count));
    return [...scores].filter(([, [count]]) => count === most)
      .sort((a, b) => b[1][1] - a[1][1] || a[0] - b[0]).map(([page]) => page);
  };
  const excerpt = (text, query, words) => {
    const low = text.toLowerCase();
    let at = low.indexOf(query);
    let length = query.length;
    if (at < 0) {
      const places = words.map((word) => [low.indexOf(word), word.length]).filter(([place]) => place >= 0);
      if (!places.length) return null;
      [at, length] = places.sort((a, b) => b[1] - a[1])[0];
    }
    const from = at < 90 ? 0 : low.lastIndexOf(" ", at - 70) + 1;
    const to = at + length + 130 >= text.length ? text.length : low.indexOf(" ", at + length + 110);
    const said = make("p", { className: "search-excerpt" });
    const part = text.slice(from, to < 0 ? text.length : to);
    const marks = [query, ...words].filter((word) => word.length > 1).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    said.append(from ? "… " : "");
    for (const [place, piece] of part.split(new RegExp(`(${marks.join("|")})`, "i")).entries()) {
      said.append(place % 2 ? make("mark", { textContent: piece }) : piece);
    }
    said.append(to > 0 && to < text.length ? " …" : "");
    return said;
  };

  // ---- the page ----
  const results = document.querySelector("#search-results");
  const field = document.querySelector(".bd-search-container input[name=q]");
  if (!results || !field) return;
  const status = make("p", { className: "search-status", role: "status" });
  const list = make("ol", { className: "search-list" });
  results.append(status, list);
  const KINDS = { claim: "Equation", definition: "Definition", function: "Library", page: "Page" };
  const row = (address, title, about, text) => {
    const link = make("a", { href: root + address, textContent: title });
    const line = make("p", { className: "search-title" }, link);
    if (about) line.append(" ", make("span", { className: "search-kind", textContent: about }));
    list.append(make("li", {}, line, ...(text ? [text] : [])));
  };
  let turn = 0;
  const ready = Promise.all([load("_static/search-index.js"), load("_static/search-things.js")]);
  const run = async () => {
    const mine = ++turn;
    const query = plain(field.value);
    const words = [...new Set(wordsOf(query))];
    list.replaceChildren();
    status.textContent = query ? "Searching …" : "";
    if (!query) return;
    await ready;
    if (!Search.index) {
      status.textContent = "The words of the book could not be loaded. Load the page again, or look into the index.";
      return;
    }
    const ways = waysToSay(query).map((way) => [way, [...new Set(wordsOf(way))]]);
    const named = Search.things
      .map((thing) => [Math.max(...ways.map(([way, its], turn) => fits(thing, way, its) - 3 * turn)), thing])
      .filter(([points]) => points > 0).sort((a, b) => b[0] - a[0]).slice(0, 12);
    const [said, its, all] = ways.map(([way, its]) => [way, its, pagesWith(its)]).find(([, , some]) => some.length)
      ?? [query, words, []];
    const pages = all.slice(0, its.length > 3 ? MOST_FOR_PHRASES : MOST);
    const { docnames } = Search.index;
    const titles = new Map(Search.things.filter(([kind]) => kind === "page").map(([, , title, , address]) => [address, title]));
    await Promise.all(pages.map((page) => Search.texts[docnames[page]] ?? load(`_static/search/${docnames[page]}.js`)));
    if (mine !== turn) return;
    const shown = new Set();
    for (const [, [kind, number, title, , address]] of named) {
      shown.add(address);
      const name = title || `${KINDS[kind] ?? kind} ${number}`;
      const mark = address.includes("#equation-") ? `(${number})` : number;
      row(address, number && title ? `${mark} ${title}` : number ? `(${number})` : name,
        KINDS[kind] ?? kind[0].toUpperCase() + kind.slice(1));
    }
    const found = [];
    for (const [rank, page] of pages.entries()) {
      for (const [id, title, text] of Search.texts[docnames[page]] ?? []) {
        const low = text.toLowerCase();
        const present = its.filter((word) => low.includes(word)).length;
        if (!present) continue;
        const points = (its.length > 1 && low.includes(said) ? 100 : 0) + 20 * present / its.length
          + (plain(title).includes(said) ? 10 : 0) - rank / 2;
        found.push([points, `${docnames[page]}.html${id ? `#${id}` : ""}`, title, titles.get(`${docnames[page]}.html`) ?? "", text]);
      }
    }
    found.sort((a, b) => b[0] - a[0]);
    let count = 0;
    for (const [, address, title, page, text] of found) {
      if (count === 25) break;
      if (shown.has(address) && named.length > 3) continue;
      row(address, title || page, title === page ? "" : page, excerpt(text, said, its));
      count += 1;
    }
    const total = list.children.length;
    status.textContent = total ? `${total === 1 ? "One result" : `${total} results`} for “${field.value.trim()}”.`
      : `Nothing found for “${field.value.trim()}”. Try fewer words, or the index.`;
  };
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.focus();
  field.select();
  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(run, 200);
  };
  field.addEventListener("input", soon);
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `?q=${encodeURIComponent(field.value)}`);
    run();
  });
  // From the field into the results and back with the arrow keys.
  document.querySelector(".bd-search-container").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const stops = [field, ...list.querySelectorAll("a")];
    const next = stops[stops.indexOf(document.activeElement) + step];
    if (next && stops.includes(document.activeElement)) {
      event.preventDefault();
      next.focus();
    }
  });
  if (field.value) run();
})();
