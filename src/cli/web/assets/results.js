// What a run of the model says: the map, the class that it explains, and what else was found.

import { mapRegion } from "./geometry.js";
import { explainDetections } from "./detections.js";
import { explainSegments } from "./segments.js";
import { labelOf, mapOf, percent } from "./values.js";

/** With at most so many classes all of them are listed, in their own order, so that a row stays where it is. */
const ALL_LISTED = 6;
const MOST_LISTED = 5;

function probabilities(logits, kind) {
  if (kind === "sigmoid") return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  if (kind !== "softmax") return logits;
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** A quantity in four digits. */
function quantity(value) {
  const size = Math.abs(value);
  if (size >= 1e4 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3);
}

/** The classes that are listed: all of a few, or the likeliest and the chosen one. */
function listed(count, ranking, chosen) {
  if (count <= ALL_LISTED) return [...Array(count).keys()];
  const classes = ranking.slice(0, MOST_LISTED);
  if (chosen !== null && !classes.includes(chosen)) classes.push(chosen);
  return classes;
}

/** Classes, likenesses and values: a row of numbers. */
async function explainRow(model, tensor, chosen) {
  const { about } = model;
  const isValue = about.task === "value";
  const known = about.web?.known;
  // Of values the first is explained, since none is predicted.
  const asked = chosen ?? (isValue ? 0 : -1);
  const outputs = await model.run(tensor, [asked], ["logits", "cam", ...(known ? [known.output] : [])]);
  const logits = Float32Array.from(outputs.logits.data);
  const shares = probabilities(logits, about.probability);
  const order = [...logits.keys()];
  const ranking = isValue ? order : order.sort((a, b) => logits[b] - logits[a] || a - b);
  const predicted = ranking[0];
  const explained = chosen ?? predicted;
  const raw = about.probability === "cosine" || isValue;
  const largest = isValue ? logits.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30) : 1;
  const text = (index) => (isValue ? quantity(logits[index])
    : raw ? logits[index].toFixed(2) : percent(shares[index]));
  const row = (index) => ({
    index,
    label: labelOf(about, index),
    share: Math.min(1, isValue ? Math.abs(logits[index]) / largest : Math.max(shares[index], 0)),
    text: text(index),
  });
  const familiar = known ? outputs[known.output]?.data[0] : undefined;
  return {
    map: mapOf(outputs.cam, isValue),
    rows: listed(logits.length, ranking, chosen).map(row),
    main: { ...row(explained), probability: shares[explained] },
    predicted: row(predicted),
    sure: familiar === undefined || familiar >= known.least,
    logits: logits.length <= 2000 ? [...logits] : undefined,
  };
}

/** Where the cells of the map lie on the model's input. */
function placeOf({ web, candidates, preprocessing }, { height, width }) {
  const stated = web?.map ?? candidates?.find((candidate) => candidate.default);
  if (stated?.first && stated.stride) return stated;
  const stride = [preprocessing.height / height, preprocessing.width / width];
  return { stride, first: stride.map((step) => step / 2) };
}

/**
 * Explains a picture, an ImageData. `chosen` is a class, or null for what the model predicts. Gives
 *   map    {values, height, width, min, max, signed, evidence}
 *   cells  the part of the picture that the map's cells cover
 *   seen   the part of the picture that the model saw
 *   rows   what is listed: {index, label, share, text}
 *   main   what is explained, in the same form, with probability; null where nothing was found
 * and, where the model has them, predicted, sure, logits, boxes, mask and nearMiss.
 */
export async function explain(model, pixels, chosen) {
  const { about, maker } = model;
  const { tensor, seen } = maker.of(pixels);
  const { task } = about;
  const size = { width: pixels.width, height: pixels.height };
  const result = await (task === "detect" ? explainDetections(model, tensor, chosen, seen)
    : task === "segment" ? explainSegments(model, tensor, chosen, seen, size) : explainRow(model, tensor, chosen));
  const { height, width } = result.map;
  const cells = mapRegion(seen, about.preprocessing, placeOf(about, result.map), height, width);
  return { sure: true, ...result, seen, cells };
}
