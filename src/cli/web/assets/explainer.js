// The page's side of worker.js.

/** Explains one picture after another, in a worker. */
export class Explainer {
  /** Begins to load the model. `tell` hears {kind: "loading", share} and {kind: "starting"}. */
  constructor(about, backend, tell) {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.pending = null;
    this.ready = new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
    });
    this.last = this.ready.catch(() => {});
    this.worker.onmessage = ({ data }) => this.hear(data, tell);
    this.worker.onerror = (event) => this.hear({ kind: "failed", message: event.message || "The model's worker did not start." });
    const base = document.baseURI;
    const folder = new URL(about.web?.runtime ?? "./runtime/", base).href;
    const address = new URL(about.web?.model ?? "model.onnx", base).href;
    this.worker.postMessage({ kind: "open", about, folder, address, backend });
  }

  hear(data, tell) {
    if (data.kind === "loading" || data.kind === "starting") return tell(data);
    const { resolve, reject } = this.pending ?? {};
    this.pending = null;
    if (data.kind === "failed") {
      const remedy = data.remedy ?? "Reload the page, or try another browser.";
      return reject?.(Object.assign(new Error(data.message), { remedy }));
    }
    return resolve?.(data);
  }

  /** Explains an ImageBitmap, after those before it: {bitmap, result}. The bitmap that comes back is the one that was given. */
  explain(bitmap, chosen) {
    const turn = this.last.then(() => new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      this.worker.postMessage({ kind: "frame", bitmap, chosen }, [bitmap]);
    }));
    this.last = turn.catch(() => {});
    return this.ready.then(() => turn);
  }
}
