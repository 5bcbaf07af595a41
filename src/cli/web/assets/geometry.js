// Where the model's input, its map and its boxes lie on the picture: the same arithmetic as whycam's src/model/preprocess.rs.

/** The part {x, y, width, height} of a picture, in its pixels, that the model's input covers. A letterbox covers more. */
export function seenRegion(spec, width, height) {
  if (spec.fit === "stretch") return { x: 0, y: 0, width, height };
  const [across, down] = [width / spec.width, height / spec.height];
  const scale = spec.fit === "crop" ? Math.min(across, down) * spec.crop : Math.max(across, down);
  const [wide, high] = [spec.width * scale, spec.height * scale];
  const before = spec.fit === "corner" ? 0 : 0.5;
  return { x: (width - wide) * before, y: (height - high) * before, width: wide, height: high };
}

/** The part of the input that the picture fills: {x, y, width, height} as shares of the input. */
export function filledShare(seen, width, height) {
  const left = Math.max(-seen.x / seen.width, 0);
  const top = Math.max(-seen.y / seen.height, 0);
  const right = Math.min((width - seen.x) / seen.width, 1);
  const bottom = Math.min((height - seen.y) / seen.height, 1);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The part of the picture that the cells of a map of `rows` by `columns` cover. `place` is {first, stride}, each [y, x]. */
export function mapRegion(seen, spec, place, rows, columns) {
  const [down, across] = [seen.height / spec.height, seen.width / spec.width];
  const [y, x] = [0, 1].map((axis) => place.first[axis] - place.stride[axis] / 2);
  return {
    x: seen.x + x * across,
    y: seen.y + y * down,
    width: place.stride[1] * columns * across,
    height: place.stride[0] * rows * down,
  };
}

/** Where a box [left, top, right, bottom] in pixels of the input lies on the picture. */
export function boxRegion(seen, spec, [left, top, right, bottom]) {
  const [across, down] = [seen.width / spec.width, seen.height / spec.height];
  return {
    x: seen.x + left * across,
    y: seen.y + top * down,
    width: (right - left) * across,
    height: (bottom - top) * down,
  };
}

/** The part of a region that lies on the picture, in whole pixels. */
export function onPicture(region, width, height) {
  const left = Math.round(Math.max(region.x, 0));
  const top = Math.round(Math.max(region.y, 0));
  const right = Math.min(Math.max(Math.round(region.x + region.width), left + 1), width);
  const bottom = Math.min(Math.max(Math.round(region.y + region.height), top + 1), height);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
