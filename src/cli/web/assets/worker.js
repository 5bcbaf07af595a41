// Runs the model beside the page, so that the page answers while it runs.

import { download, openModel } from "./runtime.js";
import { explain } from "./results.js";

let model = null;
let opening = null;
let canvas = null;

/** The pixels of a picture, over white where it is transparent. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas?.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function open({ about, folder, address, backend }) {
  const bytes = await download(address, (share) => postMessage({ kind: "loading", share }));
  postMessage({ kind: "starting" });
  opening = (wanted) => openModel(folder, bytes, about, wanted);
  model = await opening(backend);
  postMessage({ kind: "ready", backend: model.backend });
}

async function explainFrame({ bitmap, chosen }) {
  const pixels = pixelsOf(bitmap);
  const began = performance.now();
  const result = await explain(model, pixels, chosen).catch(async (error) => {
    if (model.backend !== "WebGPU") throw error;
    // The graphics processor may be lost at any time.
    await model.close();
    model = await opening("wasm");
    return explain(model, pixels, chosen);
  });
  const took = performance.now() - began;
  postMessage({ kind: "result", bitmap, result: { ...result, took, backend: model.backend } }, [bitmap]);
}

onmessage = async ({ data }) => {
  try {
    await (data.kind === "open" ? open(data) : explainFrame(data));
  } catch (error) {
    const remedy = error.remedy ?? "Reload the page, or try another picture or browser.";
    postMessage({ kind: "failed", message: error.message ?? String(error), remedy });
  }
};
