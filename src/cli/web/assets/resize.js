// Resizing with antialiasing, bit for bit as whycam does it (the crate fast_image_resize). Browsers each resize in their own
// way, and a detector's boxes tell the difference.

const FILTERS = {
  bilinear: { radius: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  // Catmull and Rom's spline.
  bicubic: {
    radius: 2,
    weight: (x) => {
      const t = Math.abs(x);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
    },
  },
};

/** The binary places with which weights are written in 16 bits. */
function placesOf(weights) {
  const largest = weights.reduce((a, b) => Math.max(a, b), 0);
  let places = 0;
  while (places < 21 && Math.round(largest * 2 ** (places + 1)) < 2 ** 15) places += 1;
  return places;
}

/** For each of `out` pixels, which of `size` pixels it is made from and by which weights; they span `from` to `from + over`. */
function tapsOf(size, out, from, over, filter) {
  const { radius, weight } = FILTERS[filter];
  const scale = over / out;
  const spread = Math.max(scale, 1);
  const most = Math.ceil(radius * spread) * 2 + 1;
  const exact = new Float64Array(out * most);
  const [first, count] = [new Int32Array(out), new Int32Array(out)];
  for (let at = 0; at < out; at++) {
    const centre = from + (at + 0.5) * scale;
    first[at] = Math.min(Math.max(Math.floor(centre - radius * spread), 0), size - 1);
    const end = Math.max(Math.min(Math.ceil(centre + radius * spread), size), first[at] + 1);
    count[at] = Math.min(end - first[at], most);
    let sum = 0;
    for (let tap = 0; tap < count[at]; tap++) {
      const value = weight((first[at] + tap + 0.5 - centre) / spread);
      exact[at * most + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < count[at]; tap++) exact[at * most + tap] /= sum || 1;
  }
  const places = placesOf(exact);
  return { most, first, count, places, weights: Int32Array.from(exact, (value) => Math.round(value * 2 ** places)) };
}

/** Columns `left` to `right` of an RGBA picture at another height. Rows come first, since rounding depends on the order. */
function resizeDown({ data, width }, taps, out, left, right) {
  const row = 4 * (right - left);
  const resized = new Uint8ClampedArray(out * row);
  const sum = new Int32Array(row);
  for (let y = 0; y < out; y++) {
    sum.fill(1 << (taps.places - 1));
    for (let tap = 0; tap < taps.count[y]; tap++) {
      const weight = taps.weights[y * taps.most + tap];
      const from = 4 * ((taps.first[y] + tap) * width + left);
      for (let x = 0; x < row; x++) sum[x] += weight * data[from + x];
    }
    for (let x = 0, to = y * row; x < row; x++, to++) resized[to] = sum[x] >> taps.places;
  }
  return resized;
}

/** RGBA rows at another width, as RGB. The first column of `data` is column `left` of the picture. */
function resizeAcross(data, rows, columns, taps, out, left) {
  const resized = new Uint8ClampedArray(rows * out * 3);
  const { most, first, count, weights, places } = taps;
  const half = 1 << (places - 1);
  let to = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < out; x++, to += 3) {
      let [red, green, blue] = [half, half, half];
      let from = 4 * (y * columns + first[x] - left);
      for (let tap = x * most; tap < x * most + count[x]; tap++, from += 4) {
        red += weights[tap] * data[from];
        green += weights[tap] * data[from + 1];
        blue += weights[tap] * data[from + 2];
      }
      resized[to] = red >> places;
      resized[to + 1] = green >> places;
      resized[to + 2] = blue >> places;
    }
  }
  return resized;
}

const kept = new Map();

/** As tapsOf, but kept for the next frame. */
function taps(...which) {
  const key = which.join();
  if (!kept.has(key)) {
    if (kept.size > 16) kept.clear();
    kept.set(key, tapsOf(...which));
  }
  return kept.get(key);
}

/** A part {x, y, width, height} of an ImageData, resized to `width` by `height`: RGB bytes. */
export function resized(picture, part, width, height, filter) {
  const across = taps(picture.width, width, part.x, part.width, filter);
  const down = taps(picture.height, height, part.y, part.height, filter);
  const left = across.first[0];
  const right = across.first[width - 1] + across.count[width - 1];
  return resizeAcross(resizeDown(picture, down, height, left, right), height, right - left, across, width, left);
}
