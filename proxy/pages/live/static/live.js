// The live page: hears what happens from /live/events, and shows it. Nothing is asked of any other host.

import { Asking } from "./ask.js";
import { byId, clock, copyButton, make, plural, say } from "./dom.js";
import { Picture } from "./picture.js";
import { Row, kindOf, sentence, troubleOf } from "./request.js";

const KEPT = 200; // ended requests on the page
const TOO_LONG_HIDDEN = 60_000; // ms; a browser has six connections to a host, and other tabs want some

let setup = null;
let picture = null;
let asking = null;
let source = null;
let heardAt = 0;
let rows = new Map(); // by number, the newest last
let paused = false;
let waiting = new Map(); // entries that came while paused, and how many ever did
let held = 0;
const vanished = new Set(); // of those on the page, what ended unseen while paused
let unsaid = { total: 0, kinds: {} };
const troubles = new Map();

// What the server says

function connect() {
  source?.close();
  source = new EventSource("/live/events");
  source.addEventListener("setup", (event) => begin(JSON.parse(event.data)));
  source.addEventListener("changes", (event) => {
    heard();
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    gone();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000); // it was answered, but not with events
  });
}

function begin(told) {
  if (setup && told.version !== setup.version) return location.reload(); // this page is the old version's
  const isAnother = setup?.run !== told.run;
  setup = told;
  heard();
  if (!isAnother) return undefined;
  rows.forEach((row) => row.element.remove());
  rows = new Map();
  waiting = new Map();
  held = 0;
  troubles.clear();
  picture = new Picture(setup);
  asking = new Asking(setup);
  say(byId("version"), setup.version);
  showApps();
  showBases();
  showNotices();
  return refresh();
}

function heard() {
  heardAt = Date.now();
  const state = byId("state");
  if (state.dataset.state === "live") return;
  state.dataset.state = "live";
  say(byId("state-text"), "Live");
  showNotices();
}

function gone() {
  const state = byId("state");
  if (state.dataset.state === "gone" || document.hidden) return;
  state.dataset.state = "gone";
  say(byId("state-text"), "Not reachable");
  showNotices();
}

function take(changes) {
  if (changes.all) forgetUnseenEnds(new Set((changes.requests ?? []).map((entry) => entry.n)));
  if (changes.lost) announce(`${plural(changes.lost, "request")} went by too fast to be shown one by one.`);
  for (const entry of changes.requests ?? []) note(entry);
  for (const [number, up, down] of changes.progress ?? []) {
    const kept = waiting.get(number);
    if (kept) Object.assign(kept, { up, down });
    else if (!paused) rows.get(number)?.progress(up, down);
  }
  if (changes.under_way !== undefined) {
    say(byId("fig-now"), changes.under_way.toLocaleString("en"));
    document.title = changes.under_way ? `${changes.under_way} under way · openrouter-proxy` : "openrouter-proxy";
  }
  if (changes.picture && setup) picture.draw(changes.picture);
  refresh();
}

/** What was under way and is no longer told of has ended, and nobody knows how. What is read or held still stays. */
function forgetUnseenEnds(told) {
  for (const [number, row] of rows) {
    if (row.entry.took !== undefined || told.has(number) || waiting.get(number)?.took !== undefined) continue;
    if (paused) vanished.add(number);
    else remove(number);
  }
  for (const [number, entry] of waiting) {
    if (entry.took === undefined && !told.has(number)) waiting.delete(number);
  }
}

function remove(number) {
  rows.get(number)?.element.remove();
  rows.delete(number);
}

function note(entry) {
  const known = waiting.get(entry.n) ?? rows.get(entry.n)?.entry;
  if (known?.took !== undefined) return; // told again, with all
  if (entry.took !== undefined) {
    unsaid.total++;
    unsaid.kinds[kindOf(entry)] = (unsaid.kinds[kindOf(entry)] ?? 0) + 1;
    judge(entry);
  }
  if (!paused) return show(entry);
  if (!waiting.has(entry.n)) held++;
  waiting.set(entry.n, entry);
  if (waiting.size > 2 * KEPT) forgetOldest();
  return undefined;
}

/** Of what came while paused, only the newest will be shown. */
function forgetOldest() {
  const ended = [...waiting].filter(([, entry]) => entry.took !== undefined).sort(([a], [b]) => a - b);
  for (const [number] of ended.slice(0, -KEPT)) waiting.delete(number);
}

function show(entry) {
  const known = rows.get(entry.n);
  if (known) {
    known.update(entry);
    known.element.hidden = !matches(known.entry);
    return;
  }
  const row = new Row(entry, setup, asking);
  rows.set(entry.n, row);
  row.element.hidden = !matches(entry);
  if (entry.age !== undefined && entry.age < 2000) row.element.classList.add("is-new");
  const list = byId("list");
  let below = list.firstElementChild; // it began before; nearly always the first one did
  while (below && Number(below.dataset.n) > entry.n) below = below.nextElementSibling;
  row.element.dataset.n = entry.n;
  list.insertBefore(row.element, below);
}

/** The newest stay, and those that somebody reads. */
function trim() {
  let surplus = rows.size - KEPT;
  if (surplus <= 0) return;
  for (const [number, row] of [...rows].sort(([a], [b]) => a - b)) {
    if (surplus <= 0) break;
    if (row.details.open || row.entry.took === undefined) continue;
    remove(number);
    surplus--;
  }
}

// What is in the way

const RESOLVED_BY_SUCCESS = /^(upstream|connect|response|outbound|upload|status|overloaded|stopping)/;

function judge(entry) {
  const trouble = troubleOf(entry, setup);
  if (trouble) {
    const known = troubles.get(trouble.key);
    troubles.set(trouble.key, { ...trouble, count: (known?.count ?? 0) + 1, at: entry.at, entry });
  } else if (entry.status < 400) {
    for (const key of troubles.keys()) if (RESOLVED_BY_SUCCESS.test(key)) troubles.delete(key);
  }
}

function showNotices() {
  const isGone = byId("state").dataset.state === "gone";
  const since = heardAt ? ` It was last heard at ${clock(heardAt)}.` : "";
  const notices = [];
  if (isGone) {
    notices.push(notice("gone", "The proxy has stopped, or cannot be reached", `Tools that call it get no answer.${since} This page comes back by itself.`));
  }
  for (const [key, trouble] of [...troubles].sort((a, b) => b[1].at - a[1].at).slice(0, 4)) {
    if (Date.now() - trouble.at > 600_000) {
      troubles.delete(key);
      continue;
    }
    const who = trouble.entry.tool || "a tool without a name";
    const often = trouble.count > 1 ? `${trouble.count} times, last ` : "";
    notices.push(
      notice(trouble.severe ? "bad" : "warn", trouble.title, trouble.text, `${often}${clock(trouble.at)}, ${who}, ${trouble.entry.path}`),
    );
  }
  for (const text of setup?.warnings ?? []) notices.push(notice("warn", "Check the configuration", text));
  const place = byId("notices");
  const made = make("div", {}, ...notices);
  if (place.innerHTML !== made.innerHTML) place.replaceChildren(...made.children);
}

function notice(kind, title, text, when = null) {
  const made = make(
    "div",
    { className: "notice" },
    make("strong", { textContent: title }),
    make("span", { textContent: text }),
    when && make("small", { textContent: when }),
  );
  made.dataset.kind = kind;
  if (kind === "gone") made.setAttribute("role", "alert");
  return made;
}

// Who is credited, and how a tool gets here

function showApps() {
  const main = setup.apps[0];
  const profiles = setup.apps.slice(main.profile ? 0 : 1);
  const parts = main.profile ? [] : [showApp(main)];
  if (profiles.length) {
    parts.push(make("div", { className: "profiles" }, ...profiles.map((app) => showProfile(app))));
  }
  byId("apps").replaceChildren(...parts);
}

function showApp(app) {
  const name = app.title ?? app.url ?? "Whoever the tool names";
  const facts = [
    app.url && make("code", { textContent: app.url }),
    ...app.categories.map((each) => make("span", { className: "chip", textContent: each })),
    app.hidden && make("span", { className: "chip", textContent: "hidden" }),
    make("span", { textContent: `${app.mode}: ${app.meaning}` }),
  ];
  return make(
    "div",
    { className: "app" },
    make("div", {}, make("p", { className: "app-name", textContent: name }), make("p", { className: "app-facts" }, ...facts)),
    app.page && outward(app.page),
  );
}

function outward(page) {
  return make("a", { className: "app-link", href: page, target: "_blank", rel: "noopener noreferrer", textContent: "App page on OpenRouter ↗" });
}

function showProfile(app) {
  return make(
    "div",
    { className: "profile" },
    make("p", {}, `${app.profile} → `, make("b", { textContent: app.title ?? app.url ?? "whoever the tool names" })),
    make("p", { className: "mono", textContent: `${location.origin}/${app.profile}/api/v1` }),
    app.page && make("p", {}, outward(app.page)),
  );
}

function showBases() {
  const line = (title, text, wide = false) =>
    make(
      "div",
      { className: wide ? "base wide" : "base" },
      make("p", { textContent: title }),
      make("div", { className: "copyable" }, make("code", { textContent: text, tabIndex: 0, role: "group", ariaLabel: title }), copyButton(text, title)),
    );
  byId("bases").replaceChildren(
    ...setup.bases.map(([title, path]) => line(title, location.origin + path)),
    line("Try it in a terminal", setup.curl.replaceAll("BASE", location.origin), true),
  );
}

// The list as it is wanted

const filters = { tool: byId("by-tool"), profile: byId("by-profile"), outcome: byId("by-outcome") };

function matches(entry) {
  return (
    (!filters.tool.value || (entry.tool || "no name") === filters.tool.value) &&
    (!filters.profile.value || (entry.profile || "(none)") === filters.profile.value) &&
    (!filters.outcome.value || kindOf(entry) === filters.outcome.value)
  );
}

function offer(select, found) {
  const had = new Set([...select.options].map((option) => option.value));
  for (const value of [...found].sort()) {
    if (!had.has(value)) select.append(make("option", { value, textContent: value }));
  }
}

for (const select of Object.values(filters)) {
  select.addEventListener("change", () => {
    for (const row of rows.values()) row.element.hidden = !matches(row.entry);
    refresh();
  });
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) {
    vanished.forEach(remove);
    vanished.clear();
    waiting.forEach(show);
    waiting = new Map();
    held = 0;
  }
  refresh();
});

let drawnAt = 0;

function refresh() {
  if (!setup) return;
  trim();
  const entries = [...rows.values()].map((row) => row.entry);
  const any = entries.length > 0 || waiting.size > 0;
  byId("nothing").hidden = any;
  for (const id of ["filters", "columns", "picture"]) byId(id).hidden = !any;
  if (any && !byId("connect").dataset.folded) {
    byId("connect").dataset.folded = "yes"; // once: who opens it again means it
    byId("connect").open = false;
  }
  const visible = entries.filter(matches).length;
  say(byId("shown"), any ? (visible === entries.length ? `the last ${visible}` : `${visible} of ${entries.length}`) : "");
  say(byId("pause"), paused ? (held ? `Resume (${held} new)` : "Resume") : "Pause");
  const now = performance.now();
  if (now - drawnAt < 900) return;
  drawnAt = now;
  offer(filters.tool, new Set(entries.map((entry) => entry.tool || "no name")));
  offer(filters.outcome, new Set(entries.map(kindOf)));
  byId("by-profile-label").hidden = setup.apps.length < 2;
  offer(filters.profile, new Set(entries.map((entry) => entry.profile || "(none)")));
  picture.drawSpread(entries.filter((entry) => entry.first_byte !== undefined && !entry.error).map((entry) => entry.first_byte));
  const last = entries.reduce((a, b) => (a && a.n > b.n ? a : b), null);
  byId("latest").replaceChildren(...(last ? sentence(last, setup, Date.now()) : ["No request yet."]));
  showNotices();
}

function announce(text) {
  say(byId("said"), text);
}

setInterval(() => {
  const now = performance.now();
  if (!paused) for (const row of rows.values()) if (row.entry.took === undefined) row.tick(now);
}, 200);
setInterval(refresh, 1000);
setInterval(() => {
  if (!unsaid.total) return;
  const kinds = Object.entries(unsaid.kinds).map(([kind, count]) => `${count} ${kind}`);
  announce(`${plural(unsaid.total, "more request")}: ${kinds.join(", ")}`);
  unsaid = { total: 0, kinds: {} };
}, 15_000);

let hiding = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => source.close(), TOO_LONG_HIDDEN);
  else if (source.readyState === EventSource.CLOSED) connect();
});

connect();
