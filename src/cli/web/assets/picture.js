// Draws the picture with its map, boxes and segments.

import { onPicture } from "./geometry.js";

/** Colours that are easy to tell apart, also with colour blindness (Okabe and Ito, Color Universal Design, 2008). */
const PALETTE = ["#d55e00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#e69f00"];
/** The longer side of the map as it is drawn, before the browser enlarges it. */
const MAP_SIDE = 160;
/** The opacity of the strongest evidence. */
const STRONGEST = 0.8;
/** The level of the line around the strong evidence. */
const LINE = 0.5;

const mapCanvas = document.createElement("canvas");

/** A map between the centres of its cells; beyond them the outermost cells are repeated. */
function between({ values, height, width }, row, column) {
  const clamp = (at, most) => Math.min(Math.max(at, 0), most);
  const [y, x] = [clamp(row - 0.5, height - 1), clamp(column - 0.5, width - 1)];
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [bottom, right] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)];
  const [down, across] = [y - top, x - left];
  const mix = (line) => values[line * width + left] * (1 - across) + values[line * width + right] * across;
  return mix(top) * (1 - down) + mix(bottom) * down;
}

/** The colour of a level -1 to 1: yellow to red for what speaks for the class, blue for what speaks against it. */
function colourOf(level) {
  const strength = Math.min(Math.abs(level), 1);
  const alpha = 255 * STRONGEST * strength ** 1.25;
  if (level < 0) return [30, 110, 255, alpha];
  return [255 - 25 * strength, 214 - 200 * strength ** 1.2, 0, alpha];
}

/** Four bytes of a pixel as one number. */
function packed(bytes) {
  return new Uint32Array(Uint8ClampedArray.from(bytes).buffer)[0];
}

/** The colours of the levels -255 to 255. */
const COLOURS = Uint32Array.from({ length: 511 }, (_, at) => packed(colourOf((at - 255) / 255)));

/** The levels -1 to 1 of a map over a part of the picture, in `height` rows and `width` columns. */
function levelsOf(map, cells, part, height, width) {
  const top = Math.max(map.max, -map.min);
  const levels = new Float32Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    const row = ((part.y + ((y + 0.5) * part.height) / height - cells.y) * map.height) / cells.height;
    for (let x = 0; x < width; x++, at++) {
      const column = ((part.x + ((x + 0.5) * part.width) / width - cells.x) * map.width) / cells.width;
      levels[at] = between(map, row, column) / top;
    }
  }
  return levels;
}

/** The line along which the levels of a part of the picture pass LINE, drawn straight within each square of four of them. */
function lineOf(levels, part, height, width) {
  const line = new Path2D();
  const [x, y] = [(at) => part.x + ((at + 0.5) * part.width) / width, (at) => part.y + ((at + 0.5) * part.height) / height];
  const over = (column, row) => Math.abs(levels[row * width + column]) - LINE;
  for (let row = 0; row < height - 1; row++) {
    for (let column = 0; column < width - 1; column++) {
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const values = corners.map(([across, down]) => over(across, down));
      if (values.every((value) => value >= 0) || values.every((value) => value < 0)) continue;
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const [one, other] = [values[side], values[(side + 1) % 4]];
        if (one >= 0 === other >= 0) continue;
        const [from, to, share] = [corners[side], corners[(side + 1) % 4], one / (one - other)];
        crossings.push([x(from[0] + share * (to[0] - from[0])), y(from[1] + share * (to[1] - from[1]))]);
      }
      for (let at = 0; at + 1 < crossings.length; at += 2) {
        line.moveTo(...crossings[at]);
        line.lineTo(...crossings[at + 1]);
      }
    }
  }
  return line;
}

/** Draws a line that stands out from any picture. */
function strokeClearly(context, line, unit) {
  context.lineCap = "round";
  for (const [colour, thickness] of [["rgb(0 0 0 / 45%)", 3.5], ["#fff", 1.75]]) {
    context.strokeStyle = colour;
    context.lineWidth = thickness * unit;
    context.stroke(line);
  }
}

/** Draws the map where it belongs: the opacity follows the evidence, and a line surrounds the stronger half. */
function drawMap(context, { map, cells, seen }, { width, height, unit }) {
  if (!map.evidence) return;
  const part = onPicture(seen, width, height);
  const scale = MAP_SIDE / Math.max(part.width, part.height);
  mapCanvas.width = Math.max(Math.round(part.width * scale), 2);
  mapCanvas.height = Math.max(Math.round(part.height * scale), 2);
  const image = new ImageData(mapCanvas.width, mapCanvas.height);
  const colours = new Uint32Array(image.data.buffer);
  const levels = levelsOf(map, cells, part, image.height, image.width);
  levels.forEach((level, at) => {
    colours[at] = COLOURS[Math.round(255 * level) + 255];
  });
  mapCanvas.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(mapCanvas, part.x, part.y, part.width, part.height);
  strokeClearly(context, lineOf(levels, part, image.height, image.width), unit);
}

/** Darkens what the model does not see. */
function drawUnseen(context, seen, width, height) {
  const part = onPicture(seen, width, height);
  if (part.width === width && part.height === height) return;
  const unseen = new Path2D();
  unseen.rect(0, 0, width, height);
  unseen.rect(part.x, part.y, part.width, part.height);
  context.fillStyle = "rgb(0 0 0 / 45%)";
  context.fill(unseen, "evenodd");
}

/** The outline of a segment: the sides of its cells where it ends. */
function drawMask(context, { cells, height, width }, seen, unit) {
  const outline = new Path2D();
  const at = (row, column) => (row < 0 || column < 0 || row >= height || column >= width ? 0 : cells[row * width + column]);
  const [x, y] = [(column) => seen.x + (column * seen.width) / width, (row) => seen.y + (row * seen.height) / height];
  for (let row = 0; row <= height; row++) {
    for (let column = 0; column <= width; column++) {
      if (at(row, column) !== at(row, column - 1)) {
        outline.moveTo(x(column), y(row));
        outline.lineTo(x(column), y(row + 1));
      }
      if (at(row, column) !== at(row - 1, column)) {
        outline.moveTo(x(column), y(row));
        outline.lineTo(x(column + 1), y(row));
      }
    }
  }
  context.setLineDash([6 * unit, 4 * unit]);
  strokeClearly(context, outline, unit);
  context.setLineDash([]);
}

/** A box with its label above it, or within it where there is no room above. */
function drawBox(context, box, { unit, mirrored, width, nearMiss }) {
  const left = mirrored ? width - box.x - box.width : box.x;
  const colour = nearMiss && box.explained ? "#bbb" : PALETTE[box.index % PALETTE.length];
  context.globalAlpha = box.explained ? 1 : 0.55;
  context.strokeStyle = colour;
  context.lineWidth = (box.explained ? 3 : 1.5) * unit;
  context.strokeRect(left, box.y, box.width, box.height);
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  const text = `${box.label} ${box.text}`;
  const [high, wide] = [22 * unit, context.measureText(text).width + 12 * unit];
  const x = Math.min(Math.max(left, 0), Math.max(width - wide, 0));
  const y = box.y >= high ? box.y - high : Math.max(box.y, 0);
  context.fillStyle = colour;
  context.fillRect(x, y, wide, high);
  context.fillStyle = ["#d55e00", "#0072b2"].includes(colour) ? "#fff" : "#000";
  context.textBaseline = "middle";
  context.fillText(text, x + 6 * unit, y + high / 2);
  context.globalAlpha = 1;
}

/** Draws a picture and what was found of it; `result` may be null, before the model is ready. */
export function draw(canvas, picture, result, mirrored) {
  const width = picture.videoWidth ?? picture.width;
  const height = picture.videoHeight ?? picture.height;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.save();
  if (mirrored) context.setTransform(-1, 0, 0, 1, width, 0);
  context.drawImage(picture, 0, 0, width, height);
  const unit = Math.max(width / (canvas.clientWidth || width), height / (canvas.clientHeight || height));
  if (result) {
    drawUnseen(context, result.seen, width, height);
    drawMap(context, result, { width, height, unit });
    if (result.mask) drawMask(context, result.mask, result.seen, unit);
  }
  context.restore();
  // The best boxes lie on top.
  for (const box of [...(result?.boxes ?? [])].reverse()) {
    drawBox(context, box, { unit, mirrored, width, nearMiss: result.nearMiss });
  }
}

/** A map that follows the last one over a quarter of a second, as in whycam's window, so that it does not flicker. */
export function smoothed(map, before, seconds) {
  const alike = before && before.values.length === map.values.length && before.evidence && map.evidence;
  if (!alike) return map;
  const share = 1 - Math.exp(-seconds / 0.25);
  const values = map.values.map((value, at) => before.values[at] + share * (value - before.values[at]));
  const [min, max] = [Math.min(0, ...values), Math.max(0, ...values)];
  return { ...map, values, min, max };
}
