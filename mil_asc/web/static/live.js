// The live view: the microphone goes to the server, which says about once a second what it scores.

import { breakable, byId, make } from "./dom.js";
import { LiveStrip } from "./live-strip.js";
import { microphoneMissing, openMicrophone } from "./microphone.js";
import { Refused } from "./server.js";
import { clock, probabilityWords, score } from "./words.js";

const MOST_WAITING = 4e6; // bytes that the server has not taken yet
const LAST_WORDS = 10000; // milliseconds to wait for the last answer

// ``model`` is the answer of /model; ``rule`` gives the decision rule chosen.
export function connectLive(model, rule) {
  const { available, reason, delay_seconds: delay, window_seconds: length } = model.live;
  const missing = available ? microphoneMissing() : reason;
  const toggle = byId("live-toggle");
  if (missing) {
    byId("live-words").textContent = `Not available: ${missing}`;
    return;
  }
  byId("live-words").textContent = `Follows the microphone: the scene of the last ${length} s. A moment is final ` +
    `${delay.toFixed(2)} s after it sounded; before that its scores are provisional and may change.`;
  toggle.disabled = false;
  let session = null;
  toggle.addEventListener("click", async () => {
    if (session) {
      session.stop();
      return;
    }
    byId("live-error").textContent = "";
    toggle.textContent = "Stop listening";
    session = new Session(model, rule(), (error) => {
      session = null;
      toggle.textContent = "Start listening";
      byId("live-error").textContent = error ? error.message : "";
    });
    await session.start();
  });
}

class Session {
  #model;
  #rule;
  #done;
  #microphone = null;
  #socket = null;
  #view = null;
  #heard = false;
  #ended = false;
  #timer = null;

  // ``done`` is called once, with an error or nothing.
  constructor(model, rule, done) {
    this.#model = model;
    this.#rule = rule;
    this.#done = done;
  }

  async start() {
    try {
      const lost = () => this.#end(new Refused("The microphone went away."));
      const microphone = await openMicrophone((block) => this.#send(block), lost);
      if (this.#ended) {
        microphone.close();
        return;
      }
      this.#microphone = microphone;
      this.#connect(microphone.rate);
    } catch (error) {
      this.#end(error);
    }
  }

  // Asks for the last answers; what has been heard is judged to its end.
  stop() {
    this.#microphone?.close();
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#timer !== null) {
      this.#end();
      return;
    }
    this.#socket.send("finish");
    this.#timer = setTimeout(() => this.#end(new Refused("The server did not say what the end of the sound was.")),
      LAST_WORDS);
  }

  #connect(rate) {
    const query = new URLSearchParams({ rate: String(Math.round(rate)), window: String(this.#model.live.window_seconds) });
    if (this.#rule) {
      query.set("assumption", this.#rule);
    }
    const base = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
    this.#socket = new WebSocket(`${base}/live?${query}`);
    this.#socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    this.#socket.onclose = () => this.#end(new Refused(this.#heard
      ? "The connection to the server was lost."
      : "The server did not take the sound: it may be busy. Try again in a moment."));
  }

  #send(block) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return;
    }
    if (this.#socket.bufferedAmount > MOST_WAITING) {
      this.#end(new Refused("The server is slower than the sound arrives, so the live view was stopped."));
      return;
    }
    this.#socket.send(block);
  }

  #take(message) {
    if (message.event === "begin") {
      this.#heard = true;
      this.#view = new LiveView(message.labels);
    } else if (message.event === "second") {
      this.#view.second(message);
    } else if (message.event === "error") {
      this.#end(new Refused(message.error));
    } else if (message.event === "end") {
      this.#view.finish(message);
      this.#end();
    }
  }

  #end(error) {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#microphone?.close();
    this.#socket?.close();
    this.#done(error);
  }
}

class LiveView {
  #final = new SceneCard("Final", "final");
  #running = new SceneCard("Provisional", "provisional");
  #strip;
  #label = null;

  constructor(labels) {
    this.#strip = new LiveStrip(labels);
    byId("live-view").replaceChildren(
      make("div", { class: "cards" }, this.#final.element, this.#running.element),
      this.#strip.element,
      make("p", { class: "soft" },
        "The last 60 s, a row per class: the taller, the more confident. Pale and hatched: provisional."),
    );
    byId("live-view").hidden = false;
  }

  second(message) {
    byId("live-time").textContent = `${clock(message.time, 0)}, final until ${clock(message.final_until, 1)}`;
    this.#final.show(message.final, message.silent);
    this.#running.show(message.running, message.silent);
    this.#strip.add(message.instances, message.time);
    const label = message.final?.label ?? null;
    if (label !== null && label !== this.#label) {
      byId("live-status").textContent = `Final: ${label}`;
      this.#label = label;
    }
  }

  finish(message) {
    const counts = Object.entries(message.counts).sort((one, other) => other[1] - one[1]);
    if (message.silent_instances > 0) {
      counts.push(["silent", message.silent_instances]);
    }
    const words = counts.map(([label, count]) => `${label} ${count}`).join(", ") || "none";
    byId("live-time").textContent = `Stopped at ${clock(message.time, 1)}. Most confident class of the instances: ${words}.`;
  }
}

class SceneCard {
  #label = make("p", { class: "scene" }, "–");
  #scores = make("p", { class: "digits" });
  #chance = make("p", { class: "soft" });
  #mark = make("p", { class: "unfamiliar", hidden: true }, make("strong", {}, "Unlike the training data."),
    " The class means little here.");

  constructor(title, kind) {
    this.element = make("article", { class: `card ${kind}`, "aria-label": title }, make("h3", {}, title), this.#label,
      this.#mark, this.#scores, this.#chance);
  }

  show(scene, isSilent) {
    this.#mark.hidden = scene?.familiar !== false;
    if (scene === null) {
      this.#label.textContent = "–";
      this.#scores.textContent = isSilent ? "Silent: every sample is zero." : "Not enough sound yet.";
      this.#chance.textContent = "";
      return;
    }
    const { smi, cmi } = scene.scores;
    this.#label.replaceChildren(...breakable(scene.label));
    this.#scores.textContent = `SMI ${score(smi[scene.label])} · CMI ${score(cmi[scene.label])} · ` +
      `${clock(scene.start, 1)} to ${clock(scene.end, 1)}`;
    this.#chance.textContent = probabilityWords(scene);
  }
}
