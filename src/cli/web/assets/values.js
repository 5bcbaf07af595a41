// Names, numbers and maps, for all tasks.

/** The name of a class. */
export function labelOf(about, index) {
  return about.labels?.[index] ?? `${about.task === "value" ? "value" : "class"} ${index}`;
}

/** 0.973 as "97 %". */
export function percent(share) {
  const hundredths = 100 * share;
  return `${hundredths >= 9.95 || hundredths < 0.05 ? Math.round(hundredths) : hundredths.toFixed(1)}\u00a0%`;
}

/** The map [1, h, w] of a run. */
export function mapOf(tensor, signed) {
  const [height, width] = tensor.dims.slice(-2);
  let values = Float32Array.from(tensor.data);
  const finite = values.every(Number.isFinite);
  if (!finite) values = new Float32Array(values.length);
  let [min, max] = [0, 0];
  for (const value of values) [min, max] = [Math.min(min, value), Math.max(max, value)];
  return { values, height, width, min, max, signed, evidence: max > 0 || min < 0 };
}

/** A map of zeros, where there is nothing to explain. */
export function emptyMap(tensor) {
  return mapOf({ dims: tensor.dims, data: new Float32Array(tensor.data.length) }, false);
}
