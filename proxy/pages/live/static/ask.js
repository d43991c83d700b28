// Asking OpenRouter to whom a generation was credited. Its record appears after seconds, or minutes: so it is asked
// again, less and less often, for as long as the request is open on the page.

import { make } from "./dom.js";

const AGAIN_AFTER = [2, 4, 8, 15, 30, 30, 60, 60, 120, 120, 120]; // seconds: about ten minutes

export class Asking {
  constructor(setup) {
    this.setup = setup;
    this.asked = new Map(); // by generation id: what is known, and the timer
  }

  /** The part of an open request in which OpenRouter can be asked; null where it cannot. */
  part(entry) {
    const app = this.setup.apps.find((each) => each.profile === (entry.profile ?? ""));
    if (!entry.generation || !app?.can_ask || entry.outcome === "refused") return null;
    const button = make("button", { type: "button", textContent: "Ask OpenRouter who was credited" });
    const output = make("output", { textContent: "" });
    output.setAttribute("aria-live", "polite");
    const state = this.asked.get(entry.generation) ?? { tries: 0, answer: null, timer: null };
    this.asked.set(entry.generation, state);
    Object.assign(state, { button, output });
    button.addEventListener("click", () => this.begin(entry.generation));
    if (state.answer) this.show(state);
    return make("div", { className: "ask" }, button, output);
  }

  begin(generation) {
    const state = this.asked.get(generation);
    clearTimeout(state.timer);
    state.tries = 0;
    this.once(generation, state);
  }

  async once(generation, state) {
    state.answer = { kind: "wait", text: "Asking …" };
    state.button.disabled = true;
    this.show(state);
    try {
      const response = await fetch("/live/ask", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ generation }),
      });
      state.answer = response.ok
        ? await response.json()
        : { kind: "bad", bold: "No answer. ", text: `The proxy says ${response.status}.` };
    } catch {
      state.answer = { kind: "bad", bold: "No answer. ", text: "The proxy cannot be reached." };
    }
    state.button.disabled = false;
    if (state.answer.kind === "later" && state.tries < AGAIN_AFTER.length) {
      const seconds = AGAIN_AFTER[state.tries++];
      state.answer.text += ` Asking again in ${seconds} s.`;
      state.timer = setTimeout(() => this.once(generation, state), seconds * 1000);
    }
    this.show(state);
  }

  show({ answer, output, button }) {
    output.dataset.kind = answer.kind;
    output.replaceChildren(make("b", { textContent: answer.bold ?? "" }), answer.text ?? "");
    button.textContent = answer.kind === "wait" ? "Asking …" : "Ask OpenRouter again";
  }

  /** Nobody looks at it any more. */
  stop(entry) {
    clearTimeout(this.asked.get(entry.generation)?.timer);
  }
}
