// What a detector finds, and the map of it. The rules are whycam's: src/explain/candidates.rs.

import { boxRegion } from "./geometry.js";
import { emptyMap, labelOf, mapOf, percent } from "./values.js";

const LEAST_SCORE = 0.25;
const LEAST_NEAR_MISS = 0.05;
const MOST_OVERLAP = 0.45;
const MOST_FOUND = 16;
const MOST_COMPARED = 4096;
const MOST_LISTED = 6;
const NAMES = ["boxes", "scores", "labels", "indices"].map((name) => `whycam.${name}`);

/** The intersection over union of two boxes [left, top, right, bottom]. */
function overlap(a, b) {
  const side = (low, high) => Math.max(Math.min(a[high], b[high]) - Math.max(a[low], b[low]), 0);
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  const both = side(0, 2) * side(1, 3);
  return both / Math.max(area(a) + area(b) - both, 1e-30);
}

/** The class of an entry of the scores; null for the background. */
function classOf(column, background) {
  if (background === null || background === undefined || column < background) return column;
  return column === background ? null : column - 1;
}

/** All detections of at least this score: {entry, index, score, bounds}. */
function scored(outputs, about, least) {
  const [boxes, scores, labels, indices] = NAMES.map((name) => outputs[name]?.data);
  const columns = about.classes + (typeof about.background === "number" ? 1 : 0);
  const found = [];
  for (let at = 0; at < scores.length; at++) {
    if (!(scores[at] >= least)) continue;
    const row = about.chosen ? at : Math.floor(at / columns);
    const index = about.chosen ? Number(labels[at]) : classOf(at % columns, about.background);
    const entry = about.chosen ? Number(indices[at]) : at;
    const bounds = [...boxes.slice(4 * row, 4 * row + 4)];
    const sound = bounds.every(Number.isFinite) && bounds[2] > bounds[0] && bounds[3] > bounds[1];
    if (sound && index !== null && index >= 0 && entry >= 0) found.push({ entry, row, index, score: scores[at], bounds });
  }
  return found.sort((a, b) => b.score - a.score || a.entry - b.entry);
}

/** The detections that count: the best of those that overlap. */
function above(found, about, chosen) {
  let left = found;
  if (about.one_class) {
    const rows = new Set();
    left = left.filter(({ row }) => !rows.has(row) && rows.add(row));
  }
  if (chosen !== null) left = left.filter(({ index }) => index === chosen);
  if (!about.overlapping) return left.slice(0, MOST_FOUND);
  const kept = [];
  for (const candidate of left.slice(0, MOST_COMPARED)) {
    if (kept.length === MOST_FOUND) break;
    const hidden = kept.some((b) => b.index === candidate.index && overlap(b.bounds, candidate.bounds) > MOST_OVERLAP);
    if (!hidden) kept.push(candidate);
  }
  return kept;
}

/** A row for each class that was found, with its best score. */
function rowsOf(found, about, chosen) {
  const rows = new Map();
  for (const { index, score } of found) {
    const row = rows.get(index) ?? { index, label: labelOf(about, index), share: score, count: 0 };
    rows.set(index, { ...row, count: row.count + 1 });
  }
  if (chosen !== null && !rows.has(chosen)) rows.set(chosen, { index: chosen, label: labelOf(about, chosen), share: 0, count: 0 });
  const all = [...rows.values()];
  const listed = all.slice(0, MOST_LISTED);
  listed.push(...all.slice(MOST_LISTED).filter(({ index }) => index === chosen));
  return listed.map((row) => ({ ...row, text: row.count ? percent(row.share) : "none" }));
}

export async function explainDetections(model, tensor, chosen, seen) {
  const { about } = model;
  const first = await model.run(tensor, [-1], [...NAMES, "cam"]);
  const candidates = scored(first, about, LEAST_NEAR_MISS);
  const passing = candidates.filter(({ score }) => score >= LEAST_SCORE);
  const all = above(passing, about, null);
  let explained = chosen === null ? all : above(passing, about, chosen);
  const nearMiss = explained.length === 0 && (chosen === null || all.length === 0)
    ? candidates.find(({ index }) => chosen === null || index === chosen) : undefined;
  if (nearMiss) explained = [nearMiss];
  const entries = explained.map(({ entry }) => entry);
  // The first run explains the best box. A second one explains others.
  const isBest = entries.length === 1 && entries[0] === candidates[0].entry;
  let map = emptyMap(first.cam);
  if (isBest) map = mapOf(first.cam, false);
  else if (entries.length) map = mapOf((await model.run(tensor, entries, ["cam"])).cam, false);
  const box = (found) => ({
    index: found.index,
    label: labelOf(about, found.index),
    score: found.score,
    text: percent(found.score),
    explained: entries.includes(found.entry),
    ...boxRegion(seen, about.preprocessing, found.bounds),
  });
  const rows = rowsOf(nearMiss ? [...all, nearMiss] : all, about, chosen);
  const main = rows.find(({ index }) => index === explained[0]?.index);
  return {
    map,
    rows,
    main: main ? { ...main, probability: explained[0].score } : null,
    boxes: (nearMiss ? [...all, nearMiss] : all).map(box),
    nearMiss: Boolean(nearMiss),
    entries,
  };
}
