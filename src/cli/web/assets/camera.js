// The camera, and what to do where there is none.

const OTHERWISE = "Or choose a picture.";

/** An error of the camera in plain words: {message, remedy}. */
export function cameraProblem(error) {
  const problem = (message, remedy) => Object.assign(new Error(message), { remedy: `${remedy} ${OTHERWISE}` });
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return problem("The camera was not allowed.",
        "Allow it for this page, by the symbol in the address bar or in the browser’s settings, and start it again.");
    case "NotFoundError":
    case "OverconstrainedError":
      return problem("No camera was found.", "Plug one in and start again.");
    case "NotReadableError":
    case "AbortError":
      return problem("The camera does not start.", "Close other programs that use it, and start again.");
    case "InsecureError":
      return problem("Browsers give their camera to safe pages only.",
        "Open this page by an address with https://, or on this computer by http://localhost.");
    default:
      return problem(`The camera does not start (${error.message ?? error}).`, "Try another browser.");
  }
}

/** The camera that shows in a video element. */
export class Camera {
  constructor(video) {
    this.video = video;
    this.facing = "environment";
    this.device = null;
    this.stream = null;
  }

  /** Phones have one camera to the front and several to the back; other devices a list. */
  get isPhone() {
    return matchMedia("(pointer: coarse)").matches;
  }

  /** Whether the picture is shown as in a mirror. */
  get mirrored() {
    return this.stream?.getVideoTracks()[0]?.getSettings().facingMode === "user";
  }

  get current() {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) throw cameraProblem({ name: "InsecureError" });
    this.stop();
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    const which = this.device ? { deviceId: { exact: this.device } } : { facingMode: this.facing };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...size, ...which } });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      throw cameraProblem(error);
    }
    // A screen that goes dark would end the picture.
    navigator.wakeLock?.request("screen").catch(() => {});
  }

  /** Whether there is another camera to change to. */
  async hasOthers() {
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }

  /** Changes between front and back, or to the next camera. */
  async flip() {
    const before = this.current;
    if (this.isPhone) {
      this.facing = this.facing === "user" ? "environment" : "user";
      this.device = null;
      await this.start();
      if (this.current !== before) return;
    }
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    const at = devices.findIndex(({ deviceId }) => deviceId === before);
    this.device = devices[(at + 1) % devices.length]?.deviceId ?? null;
    await this.start();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }
}
