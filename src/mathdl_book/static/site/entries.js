/** What `sections.json` has of the book. */

/**
 * @typedef {object} Entry of sections.json
 * @property {string} id
 * @property {string} kind
 * @property {string} number
 * @property {string} title
 * @property {string} page
 * @property {string} url
 */

/** What an entry is called: kind and number, then title. @param {Entry} entry */
export function named(entry) {
  const plain = ["page", "section", "step", "objective"].includes(entry.kind);
  const first = plain ? "" : entry.kind[0].toUpperCase() + entry.kind.slice(1);
  const head = [first, entry.number].filter(Boolean).join(" ");
  const said = entry.title || `(${entry.id})`;
  return entry.title && !plain ? `${head}: ${said}` : `${head} ${said}`.trim();
}
