// The page: from the start screen to the explained picture.
//   ?picture=FILE    explains that picture
//   ?start=camera    starts the camera without a tap, where the browser allows it
//   ?report=ADDRESS  posts each result as JSON, for tests
//   ?backend=wasm    runs by WebAssembly; webgpu runs by WebGPU even where a processor plays its part

import { Camera } from "./camera.js";
import { Explainer } from "./explainer.js";
import { introduction, show } from "./panel.js";
import { draw, smoothed } from "./picture.js";

const element = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const camera = new Camera(element("video"));
/** Whether the model's description is there; where it is not, the page says so. */
let described = null;
/** The longest side of a chosen picture, which canvases of phones still hold. */
const LARGEST = 4096;

const state = {
  about: null,
  explainer: null,
  /** The class that the visitor chose. */
  chosen: null,
  /** The picture that is explained, where it is not the camera's. */
  still: null,
  shown: null,
  frame: 0,
  /** Counts the sources, so that an older loop ends. */
  turn: 0,
  rate: 0,
  drawnAt: 0,
};

function complain(error) {
  element("what").textContent = error.message ?? String(error);
  element("remedy").textContent = error.remedy ?? "Reload the page.";
  element("problem").hidden = false;
  element("waiting").hidden = true;
}

function showLive() {
  document.body.dataset.shown = "live";
  element("problem").hidden = true;
  element("to-camera").hidden = !state.still || element("hold").getAttribute("aria-pressed") === "true";
  element("hold").hidden = Boolean(state.still) && element("hold").getAttribute("aria-pressed") !== "true";
}

async function report({ result }) {
  // Another site learns nothing of what the visitor's camera sees.
  if (!asked.has("report") || new URL(asked.get("report"), location).origin !== location.origin) return;
  const { main, map, logits, sure, boxes, cells, seen, backend, took, entries, nearMiss } = result;
  const { label = null, index = null, probability = null, share = null } = main ?? {};
  const { height, width } = map;
  const told = { frame: state.frame, label, index, probability, share, sure, logits, boxes, entries, nearMiss, cells, seen, took, backend };
  const body = JSON.stringify({ ...told, map: [...map.values], grid: [height, width] });
  await fetch(asked.get("report"), { method: "POST", body }).catch(() => {});
}

/** Explains one picture and shows it. The bitmap goes to the worker and comes back for drawing. */
async function explainOne(bitmap, turn) {
  const { chosen } = state;
  const explained = await state.explainer.explain(bitmap, chosen);
  if (turn !== state.turn) {
    explained.bitmap.close();
    return;
  }
  const now = performance.now();
  const seconds = (now - state.drawnAt) / 1000;
  state.frame += 1;
  await report(explained);
  const before = state.shown;
  const follows = !state.still && before?.turn === turn;
  const same = follows && before.result.main?.index === explained.result.main?.index;
  const map = same ? smoothed(explained.result.map, before.result.map, seconds) : explained.result.map;
  state.rate = follows && seconds < 10 ? 0.8 * (state.rate || 1 / seconds) + 0.2 / seconds : 0;
  state.drawnAt = now;
  before?.bitmap.close();
  state.shown = { bitmap: explained.bitmap, result: { ...explained.result, map }, turn };
  render();
}

function render() {
  if (!state.shown) return;
  const { bitmap, result } = state.shown;
  element("waiting").hidden = true;
  draw(element("shown"), bitmap, result, camera.mirrored);
  show(result, { chosen: state.chosen, choose, about: state.about, rate: state.still ? 0 : state.rate });
}

/** Shows the plain picture until the model is ready. */
function wait(picture) {
  draw(element("shown"), picture, null, camera.mirrored);
  element("waiting").hidden = false;
  element("waiting").textContent = "The model is being loaded…";
}

const nextFrame = () => new Promise((next) => {
  requestAnimationFrame(next);
});

async function runCamera(turn) {
  const { video } = camera;
  let ready = false;
  state.explainer.ready.then(() => { ready = true; }, () => { state.turn += 1; });
  while (turn === state.turn) {
    await nextFrame();
    if (turn !== state.turn || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !video.videoWidth) continue;
    if (!ready) wait(video);
    else await explainOne(await createImageBitmap(video), turn);
  }
}

/** Explains a picture again whenever another class is chosen. */
async function runStill(bitmap, turn) {
  let explainedFor;
  while (turn === state.turn) {
    if (explainedFor !== state.chosen) {
      explainedFor = state.chosen;
      await explainOne(await createImageBitmap(bitmap), turn);
    }
    await nextFrame();
  }
}

/** Runs one source until the next one begins. */
async function begin(run) {
  const turn = ++state.turn;
  try {
    await run(turn);
  } catch (error) {
    if (turn === state.turn) complain(error);
  }
}

async function startCamera() {
  element("hold").setAttribute("aria-pressed", "false");
  try {
    if (!(await described)) return;
    await camera.start();
    state.still = null;
    element("flip").hidden = !(await camera.hasOthers());
    showLive();
    await begin(runCamera);
  } catch (error) {
    complain(error);
  }
}

async function startPicture(blob) {
  try {
    if (!(await described)) return;
    let bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
      const remedy = "Choose a JPEG, PNG or WebP.";
      throw Object.assign(new Error("The browser cannot read this file as a picture."), { remedy });
    });
    const scale = LARGEST / Math.max(bitmap.width, bitmap.height);
    if (scale < 1) {
      const size = { resizeWidth: Math.round(bitmap.width * scale), resizeHeight: Math.round(bitmap.height * scale) };
      bitmap = await createImageBitmap(bitmap, { ...size, resizeQuality: "high" });
    }
    camera.stop();
    element("hold").setAttribute("aria-pressed", "false");
    element("flip").hidden = true;
    state.still = bitmap;
    showLive();
    wait(bitmap);
    await begin((turn) => runStill(bitmap, turn));
  } catch (error) {
    complain(error);
  }
}

/** Holds the camera's picture, or lets it go on. */
async function hold() {
  const held = element("hold").getAttribute("aria-pressed") === "true";
  if (!held && (!state.shown || state.still)) return;
  element("hold").setAttribute("aria-pressed", String(!held));
  const still = held ? null : await createImageBitmap(state.shown.bitmap);
  state.still = still;
  await begin(held ? runCamera : (turn) => runStill(still, turn));
}

function choose(index) {
  state.chosen = state.chosen === index ? null : index;
}

function listen() {
  element("camera").addEventListener("click", startCamera);
  element("to-camera").addEventListener("click", startCamera);
  element("hold").addEventListener("click", hold);
  element("flip").addEventListener("click", () => camera.flip().catch(complain));
  element("dismiss").addEventListener("click", () => { element("problem").hidden = true; });
  element("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) startPicture(target.files[0]);
    target.value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files[0]) startPicture(event.dataTransfer.files[0]);
  });
  addEventListener("resize", render);
}

function tellLoading({ kind, share }) {
  if (kind === "loading") element("progress").value = share;
  else element("progress").removeAttribute("value");
  element("loading-text").textContent = kind === "loading" ? `Loading the model: ${Math.round(100 * share)} %` : "Starting the model…";
}

async function fetchAll(address, what) {
  const answer = await fetch(address).catch(() => null);
  if (answer?.ok) return answer;
  throw Object.assign(new Error(`${what} could not be loaded from ${address}.`), { remedy: "Check the address, and reload the page." });
}

/** Reads the model's description, and begins to load the model. */
async function describe() {
  try {
    state.about = await (await fetchAll("model.json", "The model’s description")).json();
  } catch (error) {
    complain(error);
    return false;
  }
  element("about").textContent = introduction(state.about);
  document.title = `${state.about.model}: whycam`;
  state.explainer = new Explainer(state.about, asked.get("backend"), tellLoading);
  state.explainer.ready.catch(complain).finally(() => { element("loading").hidden = true; });
  return true;
}

listen();
described = describe();
if (!(await described)) element("loading").hidden = true;
else if (asked.has("picture")) {
  fetchAll(asked.get("picture"), "The picture").then((got) => got.blob()).then(startPicture).catch(complain);
} else if (asked.get("start") === "camera") startCamera();
