// Building elements and saying numbers. All text from outside goes through `textContent`: nothing here takes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with those properties and children; a string child is text. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG, whose properties are attributes. */
export function draw(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets text only where it has changed: else a screen reader would hear it again, and a selection be lost. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function duration(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function size(count) {
  if (count < 1000) return `${Math.round(count)} B`;
  for (const unit of ["kB", "MB", "GB"]) {
    count /= 1000;
    if (count < 999.5 || unit === "GB") return `${count < 9.95 ? count.toFixed(1) : Math.round(count)} ${unit}`;
  }
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const clock = (at) => CLOCK.format(at);

export function ago(ms) {
  if (ms < 1500) return "just now";
  if (ms < 60_000) return `${Math.round(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min ago`;
  return `${Math.round(ms / 3_600_000)} h ago`;
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** A button that puts text on the clipboard, and says so. */
export function copyButton(text, label, small = false) {
  const button = make("button", { type: "button", textContent: "Copy", className: small ? "small" : "" });
  button.setAttribute("aria-label", `Copy ${label}`);
  button.addEventListener("click", async () => {
    const done = await copy(text);
    say(button, done ? "Copied" : "Press Ctrl+C");
    button.setAttribute("aria-label", done ? `Copied ${label}` : `Press Ctrl+C to copy ${label}`);
    setTimeout(() => {
      say(button, "Copy");
      button.setAttribute("aria-label", `Copy ${label}`);
    }, 1600);
  });
  return button;
}

/** Whether it worked. The clipboard is there on localhost and behind HTTPS; elsewhere the old way is left. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { value: text, readOnly: true, className: "unseen" });
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}
