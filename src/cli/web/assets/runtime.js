// Loads ONNX Runtime and the model: by WebGPU where it works, else by WebAssembly.

import { InputMaker } from "./input.js";

/** An error with what to do about it. */
export class Problem extends Error {
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

/** The bytes of a file, telling how much of it has come, 0 to 1. */
export async function download(address, tell) {
  const whole = "Copy the whole folder that whycam web wrote, and reload the page.";
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) {
    throw new Problem(`The model could not be loaded (${answer ? `error ${answer.status}` : "no connection"}).`, whole);
  }
  const total = Number(answer.headers.get("content-length"));
  if (!total || !answer.body || answer.headers.get("content-encoding")) return new Uint8Array(await answer.arrayBuffer());
  const bytes = new Uint8Array(total);
  const reader = answer.body.getReader();
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes.set(part.value, at);
    at += part.value.length;
    tell(at / total);
  }
  return bytes;
}

/** Whether there is a graphics processor that the model may run on. `wanted` is "webgpu", "wasm" or null. */
async function hasGpu(wanted) {
  if (wanted === "wasm" || !navigator.gpu) return false;
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  // A processor that plays the part of a graphics processor is slower than WebAssembly.
  return Boolean(adapter) && (wanted === "webgpu" || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter));
}

async function loadRuntime(folder, file) {
  const ort = await import(new URL(file, folder).href).catch((error) => {
    const remedy = "Check the connection to the internet, or write the folder again with whycam web --runtime.";
    throw new Problem(`ONNX Runtime could not be loaded from ${folder} (${error.message}).`, remedy);
  });
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = folder;
  // Threads need headers that few servers of static files send.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
  return ort;
}

/** A model that is ready to run. */
class OpenModel {
  constructor(ort, session, about, backend) {
    const names = new Set(session.outputNames);
    const input = session.inputMetadata.find((info) => info.name === about.inputs[0].name);
    Object.assign(this, { ort, session, about, backend, names });
    this.maker = new InputMaker(ort, about.preprocessing, input?.type ?? "float32");
    this.index = session.inputNames.find((name) => name === "class_index" || name === "detection_index");
  }

  /** The outputs of these names, as far as the model has them. `entries` are what is explained. */
  async run(tensor, entries, wanted) {
    const dims = this.index === "detection_index" ? [1, entries.length] : [1];
    const index = new this.ort.Tensor("int64", BigInt64Array.from(entries, BigInt), dims);
    const feeds = { [this.about.inputs[0].name]: tensor };
    if (this.index) feeds[this.index] = index;
    return this.session.run(feeds, wanted.filter((name) => this.names.has(name)));
  }

  close() {
    return this.session.release().catch(() => {});
  }
}

async function openOn(backend, folder, bytes, about) {
  const gpu = backend === "WebGPU";
  const ort = await loadRuntime(folder, gpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs");
  const executionProviders = gpu ? ["webgpu", "wasm"] : ["wasm"];
  const session = await ort.InferenceSession.create(bytes, { executionProviders, logSeverityLevel: 3 });
  const model = new OpenModel(ort, session, about, backend);
  // The first run compiles, and shows whether all operators are there.
  const { cam } = await model.run(model.maker.empty(), [-1], ["cam"]);
  if (!cam || !(cam.data.length > 0)) throw new Problem("The model gives no map.", "Write the folder again with whycam web.");
  return model;
}

/** Opens the model. `wanted` chooses WebGPU or WebAssembly. */
export async function openModel(folder, bytes, about, wanted) {
  if (await hasGpu(wanted)) {
    try {
      return await openOn("WebGPU", folder, bytes, about);
    } catch (error) {
      console.info("whycam: WebGPU does not run this model; WebAssembly does it.", error);
    }
  }
  try {
    return await openOn("WASM", folder, bytes, about);
  } catch (error) {
    if (error instanceof Problem) throw error;
    const remedy = "Close other tabs and reload the page, or try another browser.";
    throw new Problem(`The model does not run in this browser (${error.message ?? error}).`, remedy);
  }
}
