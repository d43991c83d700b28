// The last ten minutes as stacked bars, and the time to the first byte as a distribution. Each is one path for each
// colour: redrawn once a second at most, whatever the traffic.

import { byId, draw, duration, make, plural, say } from "./dom.js";

const [LEAST, MOST, BINS] = [50, 60_000, 36]; // milliseconds, on a logarithmic scale

export class Picture {
  constructor(setup) {
    this.kinds = setup.kinds;
    this.timeline = byId("timeline");
    this.spread = byId("spread");
  }

  /** `slots` are counts by kind, the oldest first. */
  draw(slots) {
    const width = slots.length;
    const most = Math.max(1, ...slots.map((counts) => counts.reduce((a, b) => a + b, 0)));
    const totals = this.kinds.map((_, kind) => slots.reduce((sum, counts) => sum + counts[kind], 0));
    const paths = this.kinds.map(() => "");
    let empty = "";
    slots.forEach((counts, at) => {
      let bottom = 0;
      counts.forEach((count, kind) => {
        if (!count) return;
        const height = Math.max((count / most) * 100, 2);
        paths[kind] += `M${at + 0.12} ${100 - bottom}v${-height}h.76v${height}z`;
        bottom += height;
      });
      if (!bottom) empty += `M${at + 0.12} 100v-1.2h.76v1.2z`;
    });
    this.timeline.setAttribute("viewBox", `0 0 ${width} 100`);
    this.timeline.replaceChildren(
      draw("path", { d: empty, class: "k-none" }),
      ...this.kinds.map((kind, at) => draw("path", { d: paths[at], class: `k-${kind}` })),
    );
    const told = this.kinds.map((kind, at) => [kind, totals[at]]).filter(([, count]) => count);
    byId("legend").replaceChildren(
      ...told.map(([kind, count]) => make("span", { className: `k-${kind}` }, make("i"), `${count} ${kind}`)),
    );
    const all = totals.reduce((a, b) => a + b, 0);
    this.timeline.setAttribute(
      "aria-label",
      `${plural(all, "request")} in the last 10 minutes${told.map(([kind, count]) => `, ${count} ${kind}`).join("")}`,
    );
    say(byId("fig-total"), all.toLocaleString("en"));
  }

  /** `times` to the first byte, in milliseconds, in any order. */
  drawSpread(times) {
    const sorted = times.toSorted ? times.toSorted((a, b) => a - b) : [...times].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    const place = (ms) => (Math.log(Math.min(Math.max(ms, LEAST), MOST) / LEAST) / Math.log(MOST / LEAST)) * BINS;
    const bins = new Array(BINS).fill(0);
    for (const ms of sorted) bins[Math.min(BINS - 1, Math.floor(place(ms)))]++;
    const most = Math.max(1, ...bins);
    let path = "";
    let empty = "";
    bins.forEach((count, bin) => {
      const height = (count / most) * 96;
      if (count) path += `M${bin + 0.1} 100v${-height}h.8v${height}z`;
      else empty += `M${bin + 0.1} 100v-1.2h.8v1.2z`;
    });
    this.spread.setAttribute("viewBox", `0 0 ${BINS} 100`);
    const marks = sorted.length ? [at(0.5), at(0.95)] : [];
    this.spread.replaceChildren(
      draw("path", { d: empty, class: "k-none" }),
      draw("path", { d: path, class: "k-spread" }),
      ...marks.map((ms) => draw("path", { d: `M${place(ms)} 100v-100`, class: "k-mark" })),
    );
    const [p50, p95] = marks.map(duration);
    say(byId("fig-p50"), p50 ?? "–");
    say(byId("fig-p95"), p95 ?? "–");
    say(byId("spread-count"), String(sorted.length));
    this.spread.setAttribute(
      "aria-label",
      sorted.length
        ? `Time to the first byte of the last ${plural(sorted.length, "answer")}: half within ${p50}, 95 of 100 within ${p95}`
        : "Time to the first byte: no answer yet",
    );
  }
}
