// The page of `whycam live --serve`: the connection to whycam, the commands and the state.

import { Cards, Hold, Settings, listenToKeys, scaleColours } from "./controls.js";
import { $, Bars, Plot, drawVerdict, setText } from "./results.js";

const RETRY_MS = 1000;
/** The state comes once a second. After this time without any event the connection counts as lost. */
const SILENCE_MS = 6000;
/** The picture is looked at so often, and may stand still for so long. */
const WATCH_MS = 1000;
const STILL_MS = 4000;
const DRAW_MS = 120;
/** A label that is read aloud has held for so long. */
const SPOKEN_MS = 2000;
const TOAST_MS = 3000;

let state = null;
let frame = null;
/** The number of the object that is explained alone. */
let chosen = null;

// Commands, one after the other, so that none overtakes another.

let toastTimer = null;

function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), TOAST_MS);
}

async function post(command) {
  const headers = { "Content-Type": "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify(command), keepalive: true };
  const answer = await fetch("/command", { ...request, signal: AbortSignal.timeout(5000) });
  if (!answer.ok) toast((await answer.json().catch(() => null))?.error ?? `whycam answered ${answer.status}`);
}

let queue = Promise.resolve();

/** Sends a command. One that must arrive is tried again. */
function send(command, tries = 1) {
  queue = queue.then(async () => {
    for (let left = tries; left > 0; left--) {
      try {
        return await post(command);
      } catch {
        if (left > 1) await new Promise((next) => setTimeout(next, 400));
      }
    }
    toast("whycam does not answer");
  });
}

// The picture.

/** The stream that takes the place of the shown one as soon as it has a picture. */
let pending = null;

function openStream() {
  const next = $("live").cloneNode();
  pending?.removeAttribute("src");
  pending = next;
  next.src = `/live.mjpg?at=${Date.now()}`;
  next.addEventListener("error", () => {
    if (next !== pending && next !== $("live")) return;
    if (next === $("live")) $("stage").classList.add("empty");
    setTimeout(openStream, RETRY_MS);
  });
  const timer = setInterval(() => {
    if (next === pending && !next.naturalWidth) return;
    clearInterval(timer);
    if (next === pending) showStream(next);
  }, 50);
}

function showStream(next) {
  const before = $("live");
  before.replaceWith(next);
  before.removeAttribute("src");
  pending = null;
  fitStage();
}

const sample = new OffscreenCanvas(32, 18).getContext("2d", { willReadFrequently: true });
const seen = { pixels: "", frame: 0, since: 0, patience: STILL_MS };

/** Opens the stream again if the picture stands still while frames are explained: some browsers do not say when it ends. */
function watchStream() {
  if (!frame || !$("live").naturalWidth) return;
  sample.drawImage($("live"), 0, 0, 32, 18);
  const pixels = sample.getImageData(0, 0, 32, 18).data.join();
  const now = performance.now();
  const moved = pixels !== seen.pixels;
  const idle = state?.paused || state?.waiting || document.hidden || frame.frame === seen.frame;
  Object.assign(seen, { pixels, frame: frame.frame });
  if (moved) seen.patience = STILL_MS;
  if (moved || idle) seen.since = now;
  if (now - seen.since < seen.patience) return;
  // A source that does not move looks the same, so the stream is opened less and less often.
  Object.assign(seen, { since: now, patience: Math.min(2 * seen.patience, 60_000) });
  openStream();
}
setInterval(watchStream, WATCH_MS);

/** Gives the stage the shape of the picture. */
function fitStage() {
  const { naturalWidth: width, naturalHeight: height } = $("live");
  const shape = width && height ? `${width} / ${height}` : "";
  if (shape && $("stage").dataset.shape !== shape) {
    $("stage").dataset.shape = shape;
    $("stage").style.aspectRatio = shape;
  }
  $("stage").classList.toggle("empty", !width);
}

// Events.

let events = null;
let lastEvent = 0;
let wasLost = false;

function setLink(link, text) {
  if ($("link").dataset.link !== link) $("link").dataset.link = link;
  setText($("link"), text);
}

function lose() {
  wasLost = true;
  setLink("lost", "Connection to whycam lost. Trying again …");
}

async function explainRefusal() {
  const answer = await fetch("/history").catch(() => null);
  if (![401, 403].includes(answer?.status)) return;
  setLink("lost", "whycam does not know this page. Open the address that it printed.");
}

function connect() {
  events?.close();
  lastEvent = performance.now();
  events = new EventSource("/events");
  const on = (name, take) => events.addEventListener(name, ({ data }) => {
    lastEvent = performance.now();
    take(JSON.parse(data));
  });
  events.addEventListener("open", () => {
    if (wasLost) restore();
    wasLost = false;
    setLink("live", "Live");
  });
  events.addEventListener("error", () => {
    lose();
    if (events.readyState !== EventSource.CLOSED) return;
    explainRefusal();
    setTimeout(connect, 2 * RETRY_MS);
  });
  on("state", takeState);
  on("frame", takeFrame);
  on("message", ({ text }) => toast(text));
}

/** The connection is back. */
function restore() {
  openStream();
  loadHistory();
}

setInterval(() => {
  if (performance.now() - lastEvent < SILENCE_MS || document.hidden) return;
  lose();
  connect();
}, 2000);

const plot = new Plot($("history"), $("plot"), $("span"));

async function loadHistory() {
  const answer = await fetch("/history").catch(() => null);
  if (answer?.ok) plot.load(await answer.json());
}

let drawTimer = null;
let task = null;

function takeFrame(next) {
  if (frame && (next.model !== frame.model || next.task !== frame.task)) bars.clear();
  frame = next;
  if (chosen !== null && frame.task !== "detect") chosen = null;
  plot.add(frame.label ?? null, frame.sure === false ? null : frame.probability);
  fitStage();
  drawTimer ??= setTimeout(() => {
    drawTimer = null;
    drawFrame();
  }, DRAW_MS);
}

const spoken = { name: "", since: 0, told: "" };

/** A label that changes with each frame is not read aloud. */
function speak({ name, sure }) {
  const now = performance.now();
  if (name !== spoken.name) Object.assign(spoken, { name, since: now });
  else if (name !== spoken.told && now - spoken.since > SPOKEN_MS) {
    spoken.told = name;
    $("spoken").textContent = `${name} ${sure}`;
  }
}

function drawFrame() {
  speak(drawVerdict(frame, chosen));
  bars.draw(frame, state, chosen);
  $("history").hidden = frame.task === "value" || (frame.task === "embed" && frame.probability === null);
  $("waiting").hidden = !state?.waiting;
  const empty = frame.map?.evidence === false;
  $("legend").hidden = empty;
  $("no-evidence").hidden = !empty;
}

// The state.

function takeState(next) {
  state = next;
  if (state.object !== undefined) chosen = state.object;
  document.title = state.source ? `${state.source} · whycam` : "whycam";
  setText($("about"), [state.source, state.model].filter(Boolean).join(" · "));
  $("waiting").hidden = !state.waiting;
  setText($("waiting"), state.waiting ?? "");
  drawTools();
  settings.draw(state);
  drawLegend();
  drawTeaching();
  drawLikeness();
  const { age_ms: age, explained, dropped } = state.pace ?? {};
  const rates = `${(explained ?? 0).toFixed(1)} explained a second, ${Math.round(age ?? 0)} ms old`;
  if (state.pace) setText($("pace"), `${rates}, ${dropped ?? 0} dropped`);
}

function setPressed(id, on) {
  $(id).setAttribute("aria-pressed", String(Boolean(on)));
}

function drawTools() {
  setPressed("pause", state.paused);
  setText($("pause-text"), state.paused ? "Resume" : "Pause");
  setPressed("record", state.recording);
  setText($("record-text"), state.recording ? "Stop" : "Record");
  $("paused").hidden = !state.paused;
  $("recording").hidden = !state.recording;
  for (const id of ["record", "snapshot", "save", "writing-keys"]) $(id).hidden = Boolean(state.kiosk);
  $("teach").hidden = Boolean(state.teaching);
}

function drawLegend() {
  const twoSided = (frame?.map?.min ?? 0) < 0;
  const colours = frame?.others?.length ? null : scaleColours(state.colormap, twoSided);
  for (const id of ["cold", "scale", "hot"]) $(id).style.visibility = colours ? "" : "hidden";
  if (colours && $("scale").dataset.colours !== colours) {
    $("scale").dataset.colours = colours;
    $("scale").style.background = colours;
  }
  setText($("cold"), twoSided ? "speaks against" : "counts little");
  setText($("hot"), twoSided ? "speaks for" : "counts most");
}

// What is explained.

const bars = new Bars((row) => {
  if (row.object !== undefined) chosen = row.object;
  send(row.command);
  if (frame) drawFrame();
});

/** All objects, or the predicted class. */
function explainAll() {
  chosen = null;
  send({ do: "rank", rank: null });
  if (frame) drawFrame();
}
$("all-objects").addEventListener("click", explainAll);

const settings = new Settings(send, toast);

/** Buttons whose command has no more to it than its name. */
for (const button of document.querySelectorAll("button[data-do]")) {
  button.addEventListener("click", () => send({ do: button.dataset.do }));
}

// Words and references of an embedding.

function listenToWords(form, input) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $(input).value.trim();
    if (text) send({ do: "words", text });
    $(input).blur();
  });
}
listenToWords("words-form", "words");
listenToWords("names-form", "names");

const references = Array.from({ length: 9 }, (_, at) => {
  const [button, number, name] = ["button", "b", "span"].map((tag) => document.createElement(tag));
  button.type = "button";
  number.textContent = at + 1;
  button.append(number, name);
  button.addEventListener("click", () => {
    send({ do: "reference", number: at + 1 });
    toast(`the picture is now reference ${at + 1}`);
  });
  $("references").append(button);
  return { button, name };
});

function drawLikeness() {
  $("likeness").hidden = state.task !== "embed" || Boolean(state.teaching);
  if ($("likeness").hidden) return;
  references.forEach(({ button, name }, at) => {
    const label = state.classes?.[at] ?? "";
    setText(name, label);
    button.setAttribute("aria-label", `Take the picture as reference ${at + 1}${label && `, ${label}`}`);
  });
}

// Teaching.

const hold = new Hold(send);
const cards = new Cards(hold);
$("forget").addEventListener("click", () => hold.setForgetting(!hold.forgetting));

function drawTeaching() {
  const { teaching } = state;
  $("teaching").hidden = !teaching;
  if (!teaching) return hold.release();
  cards.draw({ classes: teaching.classes ?? [], held: teaching.held, evidence: teaching.evidence });
  setPressed("evidence", teaching.evidence);
  const names = $("names");
  const text = (teaching.classes ?? []).map(({ name }) => name).join(", ");
  if (document.activeElement !== names && names.dataset.known !== text) {
    names.dataset.known = text;
    names.value = text;
  }
}

// Keys.

const unlessKiosk = (command) => () => state?.kiosk || send({ do: command });
const whileTeaching = (act) => () => state?.teaching && act();

function focusWords() {
  const input = state?.teaching ? $("names") : $("words");
  if (input.offsetParent) input.focus();
}

listenToKeys(
  {
    " ": () => send({ do: "pause" }), s: unlessKiosk("snapshot"), r: unlessKiosk("record"),
    m: () => settings.next("method"), l: () => settings.next("layer"),
    c: () => settings.next("colormap"), b: () => settings.next("blend"),
    "+": () => settings.step(0.1), "=": () => settings.step(0.1), "-": () => settings.step(-0.1),
    v: () => settings.toggle("side-by-side"), f: () => settings.toggle("fluid"), n: () => send({ do: "teach" }),
    u: whileTeaching(() => send({ do: "undo" })), e: whileTeaching(() => send({ do: "evidence" })), w: focusWords,
    x: whileTeaching(() => hold.setForgetting(!hold.forgetting)),
  },
  (number, down) => {
    if (number && state?.teaching) return down ? hold.press(number, cards.button(number)) : hold.release(number);
    if (down) return number ? bars.press(number) : explainAll();
  },
);

openStream();
loadHistory();
connect();
