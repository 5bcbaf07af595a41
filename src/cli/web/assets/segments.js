// What a segmenter says: a class for each cell, and the map of one of them. The rules are whycam's: src/explain/segment.rs.

import { labelOf, mapOf, percent } from "./values.js";

const BACKGROUNDS = ["background", "__background__", "bg", "unlabeled", "void"];
const MOST_LISTED = 6;

/** The class of each cell, or -1; of one mask, or of classes that do not exclude each other, those above 0 count. */
function cellsOf({ data, dims: [, classes, height, width] }, probability) {
  const area = height * width;
  const isIn = Array.from({ length: classes }, () => new Uint8Array(area));
  for (let cell = 0; cell < area; cell++) {
    let best = 0;
    for (let index = 0; index < classes; index++) {
      const logit = data[index * area + cell];
      if (probability === "sigmoid") isIn[index][cell] = logit > 0 ? 1 : 0;
      else if (logit > data[best * area + cell]) best = index;
    }
    if (probability !== "sigmoid") isIn[best][cell] = 1;
  }
  return { isIn, height, width };
}

/** Which cells have their middle on the picture; bars beside it do not count. */
function counted({ height, width }, seen, size) {
  const inside = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const x = seen.x + ((column + 0.5) * seen.width) / width;
      const y = seen.y + ((row + 0.5) * seen.height) / height;
      inside[row * width + column] = x >= 0 && y >= 0 && x < size.width && y < size.height ? 1 : 0;
    }
  }
  return inside;
}

export async function explainSegments(model, tensor, chosen, seen, size) {
  const { about } = model;
  const first = await model.run(tensor, [chosen ?? -1], ["logits", "cam"]);
  const cells = cellsOf(first.logits, about.probability);
  const inside = counted(cells, seen, size);
  const total = inside.reduce((a, b) => a + b, 0) || 1;
  const shares = cells.isIn.map((own) => own.reduce((sum, is, at) => sum + (is & inside[at]), 0) / total);
  const isBackground = (index) => BACKGROUNDS.includes(about.labels?.[index]?.toLowerCase());
  const ranking = [...shares.keys()]
    .filter((index) => shares[index] > 0)
    .sort((a, b) => isBackground(a) - isBackground(b) || shares[b] - shares[a] || a - b);
  const listed = ranking.slice(0, MOST_LISTED);
  if (chosen !== null && !listed.includes(chosen)) listed.push(chosen);
  const explained = chosen ?? ranking[0] ?? null;
  const row = (index) => ({ index, label: labelOf(about, index), share: shares[index], text: percent(shares[index]) });
  // Left to itself, the model explains the class of most cells, be it the background or the bars of a letterbox.
  const again = chosen === null && explained !== null ? await model.run(tensor, [explained], ["cam"]) : first;
  const map = mapOf(again.cam, false);
  return {
    map,
    rows: listed.map(row),
    main: explained === null ? null : { ...row(explained), probability: null },
    mask: explained === null ? null : { cells: cells.isIn[explained], height: cells.height, width: cells.width },
  };
}
