// One request: what it is called, and its row. The row is a <details>, so that it opens by keyboard and is read aloud
// as what it is, without a line of script.

import { ago, clock, copyButton, duration, make, say, size } from "./dom.js";

const REFERER = "http-referer";
const TITLES = ["x-openrouter-title", "x-title"];

const folded = (name) => name.toLowerCase().replaceAll("_", "-");
const value = (lines, name) => lines?.find(([each]) => folded(each) === name)?.[1]?.trim();

/** By which name a set of attribution lines is known: the title, else the URL; null if it names nobody. */
export function nameOf(lines) {
  return TITLES.map((title) => value(lines, title)).find(Boolean) || value(lines, REFERER) || null;
}

/** What was sent of a request's attribution: our stamp, or what the tool has sent itself. */
export function sentOf(entry, setup) {
  if (entry.outcome === "refused") return null;
  if (entry.outcome !== "stamped") return entry.claimed ?? [];
  return appOf(entry, setup)?.stamp ?? [];
}

export const appOf = (entry, setup) => setup.apps.find((app) => app.profile === (entry.profile ?? ""));

/** In one word: what became of it. */
export function kindOf(entry) {
  return entry.error && entry.outcome !== "refused" ? "failed" : entry.outcome;
}

const isUnderWay = (entry) => entry.took === undefined;

/** What to do about it, if something is in the way; null if nothing is. `status` is OpenRouter's own. */
export function troubleOf(entry, setup) {
  if (entry.error) return { key: entry.error, ...(setup.advice[entry.error] ?? { title: entry.error, text: "" }) };
  if (entry.outcome === "refused" || entry.ended_by === "client") return null;
  const own = setup.advice[`status-${entry.status}`];
  return own ? { key: `status-${entry.status}`, ...own } : null;
}

export class Row {
  constructor(entry, setup, ask) {
    this.setup = setup;
    this.ask = ask;
    this.cells = Object.fromEntries(
      ["time", "tool", "request", "claim", "outcome", "status", "first", "took", "bytes"].map((name) => [
        name,
        make("span", { className: ["status", "first", "took", "bytes"].includes(name) ? `${name} num` : name }),
      ]),
    );
    this.summary = make("summary", { className: "row" }, ...Object.values(this.cells));
    this.details = make("details", {}, this.summary);
    this.details.addEventListener("toggle", () => this.showMore());
    this.element = make("li", {}, this.details);
    this.seen = []; // [time, bytes] of the last moments, for the rate
    this.update(entry);
  }

  update(entry) {
    const first = this.entry === undefined;
    const at = first ? entry.at : this.entry.at; // computed anew each time; the first one stands
    this.entry = { ...entry, at, began: performance.now() - (entry.age ?? 0) };
    const { cells, setup } = this;
    if (first) {
      say(cells.time, clock(at));
      cells.time.title = new Date(at).toLocaleString();
      say(cells.tool, entry.tool || "no name");
      const path = make("span", { className: "path", textContent: entry.path, title: entry.path });
      cells.request.append(make("span", { className: "method", textContent: entry.method }), " ", path);
    }
    cells.claim.replaceChildren(...this.claim());
    this.element.className = `is-${kindOf(entry)}${entry.status >= 400 && !entry.error ? " is-odd" : ""}`;
    this.progress(entry.up, entry.down);
    if (this.details.open) this.showMore();
    return this;
  }

  /** The cells that change while it is under way. */
  progress(up, down) {
    const { cells, entry } = this;
    Object.assign(entry, { up, down });
    const now = performance.now();
    if (isUnderWay(entry)) {
      this.seen = [...this.seen.filter(([at]) => now - at < 2500), [now, down]];
      this.flow ??= this.element.appendChild(make("span", { className: "flow" }));
      this.flow.classList.toggle("waiting", down === 0);
      this.flow.style.backgroundPositionX = `${Math.round(Math.sqrt(down) * 4)}px`;
    } else {
      this.flow?.remove();
      this.flow = undefined;
    }
    say(cells.outcome, kindOf(entry));
    say(cells.status, this.status());
    say(cells.first, duration(entry.first_byte));
    say(cells.bytes, this.bytes());
    this.tick(now);
  }

  /** The clock of a request under way. */
  tick(now) {
    const running = isUnderWay(this.entry);
    say(this.cells.took, running ? duration(Math.max(0, now - this.entry.began)) : duration(this.entry.took));
    if (running && this.seen.length) say(this.cells.bytes, this.bytes(now));
  }

  status() {
    const { status } = this.entry;
    if (isUnderWay(this.entry)) return status === undefined ? "…" : String(status);
    if (status === 499) return "left";
    return status === undefined ? "–" : String(status);
  }

  bytes(now = performance.now()) {
    const rate = isUnderWay(this.entry) ? this.rate(now) : 0;
    return rate ? `${size(rate)}/s` : size(this.entry.down);
  }

  /** Bytes a second over the last moments. */
  rate(now) {
    const recent = this.seen.filter(([at]) => now - at < 2500);
    if (recent.length < 2) return 0;
    const [[from, before], [to, after]] = [recent[0], recent.at(-1)];
    return to > from ? (after - before) / ((now - from) / 1000) : 0;
  }

  /** Claimed, and what was sent in its place, in one glance. */
  claim() {
    const { entry, setup } = this;
    const claimed = nameOf(entry.claimed);
    const sent = nameOf(sentOf(entry, setup));
    const quiet = (text) => make("span", { className: "none", textContent: text });
    const spoken = (text) => make("span", { className: "unseen", textContent: text });
    const arrow = [spoken(", sent as "), make("span", { className: "arrow", textContent: " → ", ariaHidden: "true" })];
    const own = claimed ? [spoken("claimed "), claimed] : [quiet("no claim")];
    if (entry.outcome === "refused") return [...own, ...arrow, quiet("nothing sent")];
    if (entry.outcome !== "stamped") {
      return claimed ? [make("span", { className: "sent", textContent: claimed }), spoken(", the tool’s own")] : own;
    }
    const same = claimed === sent;
    return [
      ...(claimed && !same ? [spoken("claimed "), make("s", { textContent: claimed })] : own),
      ...arrow,
      make("span", { className: "sent", textContent: sent ?? "" }),
    ];
  }

  text() {
    return this.summary.textContent;
  }

  showMore() {
    if (!this.details.open) {
      this.more?.remove();
      this.more = undefined;
      this.ask.stop(this.entry);
      return;
    }
    const focused = this.more?.contains(document.activeElement);
    if (focused || this.more?.contains(document.getSelection()?.anchorNode)) return; // somebody is at it
    const made = this.makeMore();
    if (this.more) this.more.replaceWith(made);
    else this.details.append(made);
    this.more = made;
  }

  makeMore() {
    const { entry, setup } = this;
    const trouble = troubleOf(entry, setup);
    return make(
      "div",
      { className: "more" },
      make("div", {}, make("h3", { textContent: "Claimed by the tool, and what OpenRouter got" }), this.lines()),
      make("dl", { className: "facts" }, ...this.facts()),
      trouble && make("p", { className: "advice" }, make("b", { textContent: `${trouble.title}. ` }), trouble.text),
      this.ask.part(entry),
    );
  }

  /** The tool's lines and ours, one below the other: gone, added, kept. */
  lines() {
    const { entry, setup } = this;
    const claimed = entry.claimed ?? [];
    const replaced = entry.outcome === "stamped" || entry.outcome === "refused";
    const line = (mark, name, text, said, className = "") =>
      make(
        "div",
        {},
        make("span", { className: "mark", textContent: mark, ariaHidden: "true" }),
        make("span", { className: "unseen", textContent: said }),
        make("span", { className: "name", textContent: `${name}: ` }),
        make(mark === "−" ? "s" : "span", { className, textContent: text }),
      );
    const theirs = claimed.map(([name, text]) =>
      replaced ? line("−", name, text, "removed: ") : line("=", name, text, "as the tool sent it: "),
    );
    const stamp = entry.outcome === "stamped" ? (appOf(entry, setup)?.stamp ?? []) : [];
    const ours = stamp.map(([name, text]) => line("+", name, text, "added: ", "by"));
    const all = [...theirs, ...ours];
    return make("div", { className: "lines" }, ...(all.length ? all : ["Neither: the request names no app."]));
  }

  facts() {
    const { entry } = this;
    const over = (bytes) => `${size(bytes)}${bytes >= 1000 ? ` (${bytes.toLocaleString("en")} bytes)` : ""}`;
    const known = [
      ["Began", new Date(entry.at).toLocaleString()],
      ["Request", `${entry.method} ${entry.path}`],
      ["Profile", entry.profile],
      ["Status", entry.status === 499 ? "499: the client left before the end" : entry.status],
      ["First byte", entry.first_byte === undefined ? null : `after ${duration(entry.first_byte)}`],
      ["Total", entry.took === undefined ? "under way" : duration(entry.took)],
      ["Sent up", over(entry.up)],
      ["Came down", over(entry.down)],
      ["Mean rate", this.meanRate()],
      ["Ended by", { upstream: "OpenRouter", client: "the tool", proxy: "the proxy" }[entry.ended_by]],
      ["Error", entry.error],
    ];
    const rows = known.filter(([, text]) => text !== null && text !== undefined && text !== "");
    const made = rows.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", { textContent: text })]);
    if (entry.generation) {
      const id = make("code", { textContent: entry.generation });
      made.push(
        make("dt", { textContent: "Generation" }),
        make("dd", {}, id, copyButton(entry.generation, "the generation id", true)),
      );
    }
    return made;
  }

  meanRate() {
    const { took, first_byte: first, down } = this.entry;
    const seconds = (took - (first ?? 0)) / 1000;
    return took === undefined || seconds < 0.05 || !down ? null : `${size(down / seconds)}/s after the first byte`;
  }
}

/** The last request in one sentence: parts of text and of <b>. */
export function sentence(entry, setup, now) {
  const bold = (text) => make("b", { textContent: text });
  const claimed = nameOf(entry.claimed);
  const app = nameOf(sentOf(entry, setup));
  const tool = bold(entry.tool || "A tool without a name");
  const end = ` (${entry.status === 499 ? "left early" : (entry.status ?? "no answer")}, ${ago(now - entry.at - (entry.took ?? 0))})`;
  if (entry.outcome === "refused") return ["Last: ", tool, ` was refused: ${entry.error}`, end, "."];
  const claims = claimed ? [" claimed ", bold(claimed)] : [" claimed nothing"];
  const sent =
    entry.outcome === "stamped" ? [", sent as ", bold(app ?? "nobody")] : [entry.outcome === "kept" ? ", kept" : ", passed on"];
  return ["Last: ", tool, ...claims, ...sent, end, "."];
}
