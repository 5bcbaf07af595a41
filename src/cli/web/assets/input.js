// From a picture to the model's input.

import { filledShare, seenRegion } from "./geometry.js";
import { resized } from "./resize.js";

/** The picture as the model sees it: RGB bytes of the input's size. */
function fitted(picture, spec, seen) {
  const { width, height, fit, resample = "bilinear", bars = 0 } = spec;
  if (fit === "crop" || fit === "stretch") return resized(picture, seen, width, height, resample);
  const share = filledShare(seen, picture.width, picture.height);
  const [wide, high] = [Math.max(Math.round(share.width * width), 1), Math.max(Math.round(share.height * height), 1)];
  const [left, top] = [Math.round(share.x * width), Math.round(share.y * height)];
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  const small = resized(picture, whole, wide, high, resample);
  const pixels = new Uint8ClampedArray(3 * width * height).fill(bars);
  const columns = Math.min(wide, width - left);
  for (let y = 0; y < Math.min(high, height - top); y++) {
    pixels.set(small.subarray(3 * y * wide, 3 * (y * wide + columns)), 3 * ((top + y) * width + left));
  }
  return pixels;
}

/** The number in the input for each level of each channel: (level * scale - mean) / std, in float32 as whycam has it. */
function levelTables({ channels, scale, mean, std }) {
  const f = Math.fround;
  return Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: 256 }, (_, level) => f(f(f(level * f(scale)) - f(mean[channel])) / f(std[channel]))));
}

/** The luma of a pixel by ITU-R BT.601, rounded. */
function luma(red, green, blue) {
  return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

/** Makes inputs of one model. `kind` is the type of its input, such as "float32". */
export class InputMaker {
  constructor(ort, spec, kind) {
    this.ort = ort;
    this.spec = spec;
    this.kind = kind;
    this.tables = levelTables(spec);
    const { width, height, channels, layout } = spec;
    this.dims = layout === "NHWC" ? [1, height, width, channels] : [1, channels, height, width];
  }

  /** The tensor for a picture, an ImageData, and the part of the picture that it covers. */
  of(picture) {
    const seen = seenRegion(this.spec, picture.width, picture.height);
    const pixels = fitted(picture, this.spec, seen);
    return { tensor: this.tensor(this.values(pixels)), seen };
  }

  /** A tensor of zeros, to try the model with. */
  empty() {
    return this.tensor(new Float32Array(this.dims.reduce((a, b) => a * b)));
  }

  values(pixels) {
    const { width, height, channels, layout, colour } = this.spec;
    const area = width * height;
    const values = new Float32Array(channels * area);
    const [step, plane] = layout === "NHWC" ? [channels, 1] : [1, area];
    for (let channel = 0; channel < channels; channel++) {
      const table = this.tables[channel];
      const from = colour === "BGR" ? 2 - channel : channel;
      for (let at = 0, to = channel * plane; at < area; at++, to += step) {
        const level = channels === 1
          ? luma(pixels[3 * at], pixels[3 * at + 1], pixels[3 * at + 2])
          : pixels[3 * at + from];
        values[to] = table[level];
      }
    }
    return values;
  }

  tensor(values) {
    return new this.ort.Tensor(this.kind, converted(values, this.kind), this.dims);
  }
}

const WHOLE = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array };

/** Numbers in the type of the input. */
function converted(values, kind) {
  if (kind === "float32") return values;
  if (kind === "float64") return Float64Array.from(values);
  if (kind === "float16") return globalThis.Float16Array ? Float16Array.from(values) : halves(values);
  if (kind in WHOLE) return WHOLE[kind].from(values, Math.round);
  throw new Error(`its input is of the type ${kind}, which this page does not write`);
}

/** The bits of float16 numbers, for browsers that lack them; numbers below 6e-5 become 0. */
function halves(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => {
    const sign = (word >>> 16) & 0x8000;
    const rounded = (word & 0x7fffffff) + 0x0fff + ((word >>> 13) & 1);
    if (rounded < 0x38800000) return sign;
    return rounded >= 0x47800000 ? sign | 0x7c00 : sign | ((rounded - 0x38000000) >>> 13);
  });
}
