/** Throw a coin and watch the belief move. */

import { fixed } from "../lib/format.js";
import { axes, inside, legend, line } from "../lib/plot.js";
import { cumulative, densityOf, mean, posterior, quantile, variance } from "./math.js";

const COUNT = 300;
const THETA = Array.from({ length: COUNT }, (_, k) => (k + 0.5) / COUNT);

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set }) {
  return {
    draw(g, { width, height, state, theme }) {
      const { heads, tails, worth, centre } = state;
      const prior = { a: worth * centre, b: worth * (1 - centre) };
      const after = posterior(prior, heads, tails);
      const curve = ({ a, b }) => THETA.map(densityOf(a, b));
      const [before, now] = [curve(prior), curve(after)];
      const likelihood = curve({ a: 1 + heads, b: 1 + tails });
      const most = Math.max(...now, ...likelihood.filter(Number.isFinite), 1.5);
      const top = Math.min(most, 14) * 1.08;
      const p = axes(g, theme, {
        box: [0, 0, width, height], x: [0, 1], y: [0, top],
        xlabel: "probability of heads θ", ylabel: "density",
      });
      const [low, high] = [quantile(0.025, after.a, after.b), quantile(0.975, after.a, after.b)];
      inside(g, p, () => {
        const [from, to] = [Math.ceil(low * COUNT - 0.5), Math.floor(high * COUNT - 0.5) + 1];
        if (to - from > 1) {
          line(g, p, THETA.slice(from, to), now.slice(from, to), {
            color: "transparent", fill: `${theme.blue}33`,
          });
        }
        line(g, p, [0.5, 0.5], [0, top], { color: theme.muted, dash: [2, 4], width: 1.2 });
        line(g, p, THETA, before, { color: theme.green, dash: [8, 5] });
        line(g, p, THETA, likelihood, { color: theme.vermillion, dash: [2, 4], width: 2.6 });
        line(g, p, THETA, now, { color: theme.blue, width: 2.6 });
      });
      const side = mean(after) > 0.5 ? p.left + 12 : p.right - 150;
      legend(g, theme, side, p.top + 14, [
        { color: theme.green, dash: [8, 5], text: "prior" },
        { color: theme.vermillion, dash: [2, 4], text: "likelihood, scaled" },
        { color: theme.blue, text: "posterior" },
      ]);
      return report(state, prior, after, low, high);
    },
    action(name) {
      const { heads, tails } = get();
      if (name === "heads") set({ heads: heads + 1 });
      else if (name === "tails") set({ tails: tails + 1 });
      else {
        const factor = Math.min(10, 100 / Math.max(heads, tails, 1));
        set({ heads: Math.round(factor * heads), tails: Math.round(factor * tails) });
      }
    },
  };
}

const short = (x) => String(+x.toFixed(2));

function report({ heads, tails, worth }, prior, after, low, high) {
  const n = heads + tails;
  const above = 1 - cumulative(0.5, after.a, after.b);
  const share = worth / (worth + n);
  return {
    values: {
      mean: fixed(mean(after), 3),
      sd: fixed(Math.sqrt(variance(after)), 3),
      interval: `${fixed(low, 2)} to ${fixed(high, 2)}`,
      fair: above > 0.9995 ? "> 0.999" : fixed(above, 3),
    },
    sentence:
      `From Beta(${short(prior.a)}, ${short(prior.b)}) to Beta(${short(after.a)}, ` +
      `${short(after.b)}) after ${heads} heads in ${n} throws. ` +
      (n
        ? `The data alone say ${fixed(heads / n, 2)}, the prior alone ${fixed(mean(prior), 2)}; the ` +
          `prior still has ${fixed(100 * share, 0)} % of the say in the mean, ${fixed(mean(after), 3)}.`
        : "Without a throw the posterior is the prior."),
  };
}
