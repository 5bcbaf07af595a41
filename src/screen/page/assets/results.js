// What is shown of a frame: what the model says, the bars of its classes or objects, and the confidence over time.

export const $ = (id) => document.getElementById(id);

export const percent = (share) => `${(100 * share).toFixed(0)} %`;

/** Sets a text, unless it is there already, so that nothing is laid out anew. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const MOST_ROWS = 9;
/** So long an unused row keeps its place. */
const KEEP_ROW_MS = 8000;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A number in about three digits, as people write it. */
function figure(value) {
  const size = Math.abs(value);
  if ((size >= 1e4 || size < 1e-3) && size > 0) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3);
}

function scoreText({ probability, logit }) {
  if (isNumber(probability)) return percent(probability);
  return isNumber(logit) ? figure(logit) : "";
}
const scoreShare = ({ probability, logit }) => Math.min(1, Math.max(0, probability ?? logit ?? 0));
const labelOf = (entry) => entry.label ?? (isNumber(entry.class_index) ? `class ${entry.class_index}` : "nothing");

/** "person × 2, clock" */
function counted(objects) {
  const counts = new Map();
  for (const object of objects) counts.set(labelOf(object), (counts.get(labelOf(object)) ?? 0) + 1);
  return [...counts].map(([label, count]) => (count > 1 ? `${label} × ${count}` : label)).join(", ");
}

/** The objects that a detector finds, with their numbers on the picture. */
function objectsOf(frame) {
  const found = frame.detections ?? [];
  const numbered = found.some((object) => isNumber(object.number));
  const objects = found.map((object, at) => ({ ...object, number: numbered ? object.number : at + 1 }));
  return objects.filter((object) => isNumber(object.number)).sort((one, other) => one.number - other.number);
}

const hotter = (why) => `The hotter a spot in the picture, the more it ${why}.`;
const nothing = (note) => ({ name: "nothing", sure: "", share: 0, note });
const verdict = (entry, note) => ({ name: labelOf(entry), sure: scoreText(entry), share: scoreShare(entry), note });

function detectorVerdict(frame, chosen) {
  const found = frame.detections ?? [];
  const [best] = found;
  const object = objectsOf(frame).find(({ number }) => number === chosen);
  if (object) return verdict(object, `The map explains object ${chosen} alone.`);
  if (found.length === 1) return verdict(best, hotter(`speaks for ${labelOf(best)}`));
  if (best) {
    const note = `${found.length} objects. The most certain one, ${labelOf(best)}, has ${scoreText(best)}.`;
    return { ...verdict(best, note), name: counted(found) };
  }
  const near = frame.near_miss;
  return nothing(near ? `The closest is ${labelOf(near)}, ${scoreText(near)}.` : "");
}

/** The name, the number, and what to say about it. */
function verdictOf(frame, chosen) {
  if (frame.task === "detect") return detectorVerdict(frame, chosen);
  if (frame.task === "value") {
    const value = { label: labelOf(frame), logit: frame.value ?? frame.logit };
    return { ...verdict(value, hotter("moves this value")), share: null };
  }
  if (frame.task === "segment") {
    const share = (frame.segments ?? []).find((one) => one.class_index === frame.class_index)?.share;
    const note = isNumber(share) ? `It covers ${percent(share)} of the picture.` : "";
    return frame.label == null ? nothing(note) : verdict(frame, note);
  }
  const best = frame.top?.[0] ?? frame;
  if (best.label == null) return nothing("");
  if (frame.sure === false) {
    const note = `The picture is unfamiliar to the model. The likeliest is ${best.label}, ${scoreText(best)}.`;
    return { ...nothing(note), name: "not sure" };
  }
  const other = frame.class_index !== best.class_index;
  const note = `The map shows what speaks for ${labelOf(frame)}, ${scoreText(frame)}.`;
  return verdict(best, other ? note : hotter(`speaks for ${best.label}`));
}

const HEADINGS = { detect: "The model finds", embed: "Most alike", value: "The model says", segment: "The map explains" };

/** Takes the largest of the four sizes in which the name fits. */
function fitName(name) {
  const fitted = `${name.textContent} ${innerWidth}`;
  if (name.dataset.fitted === fitted) return;
  name.dataset.fitted = fitted;
  for (const length of [0, 1, 2, 3]) {
    name.dataset.length = length;
    if (name.scrollWidth <= name.clientWidth) return;
  }
}

/** Shows the verdict, and returns its name and number. */
export function drawVerdict(frame, chosen) {
  const { name, sure, share, note } = verdictOf(frame, chosen);
  setText($("says"), HEADINGS[frame.task] ?? "The model says");
  setText($("name"), name);
  $("name").title = name;
  setText($("sure"), sure);
  fitName($("name"));
  setText($("note"), note);
  $("meter").hidden = share === null;
  $("meter-fill").style.transform = `scaleX(${share ?? 0})`;
  return { name, sure };
}

function rowOf(entry, explained) {
  const command = { do: "class", index: entry.class_index };
  return { text: labelOf(entry), number: scoreText(entry), share: scoreShare(entry), explained, command };
}

function rowOfObject(object, chosen) {
  const { number } = object;
  const text = `${number}  ${labelOf(object)}`;
  return { ...rowOf(object, number === chosen), text, command: { do: "rank", rank: number - 1 }, object: number };
}

function rowsOfValues(frame, state) {
  const values = frame.values ?? [];
  const most = Math.max(...values.map(Math.abs), Number.MIN_VALUE);
  return values.map((value, index) => {
    const explained = index === frame.class_index;
    const label = explained ? labelOf(frame) : (state?.classes?.[index] ?? `value ${index}`);
    return { ...rowOf({ label, class_index: index, logit: value }, explained), share: Math.abs(value) / most };
  });
}

/** The rows of bars: what can be explained. */
function rowsOf(frame, state, chosen) {
  if (frame.task === "detect") return objectsOf(frame).map((object) => rowOfObject(object, chosen));
  if (frame.task === "value") return rowsOfValues(frame, state);
  const isExplained = (entry) => entry.class_index === frame.class_index;
  if (frame.task === "segment") {
    return (frame.segments ?? []).map((entry) => rowOf({ ...entry, probability: entry.share }, isExplained(entry)));
  }
  const entries = [...(frame.top ?? [])];
  // A list of all classes keeps its order, so that each bar stays where it is.
  const isWhole = state?.classes?.length && state.classes.length <= entries.length;
  if (isWhole) entries.sort((one, other) => one.class_index - other.class_index);
  return entries.map((entry) => rowOf(entry, isExplained(entry)));
}

const TITLES = { detect: "Objects", segment: "Segments, by their share of the picture", embed: "References", value: "Values" };
const HINTS = {
  detect: "Press an object to explain it alone.",
  segment: "Press a segment to explain it.",
  embed: "Press a reference to see where the picture is like it.",
  value: "Press a value to explain it.",
};

/** The list of bars. Its rows are kept, so that one can be pressed while the numbers change. */
export class Bars {
  #rows = [];
  #needed = 0;
  #since = 0;

  /** `choose` gets the row that is pressed. */
  constructor(choose) {
    this.choose = choose;
  }

  clear() {
    this.#needed = 0;
  }

  /** Presses the row of this number, counted from 1. */
  press(number) {
    const numbered = this.#rows.find(({ row }) => row?.object === number)?.row;
    const row = numbered ?? this.#rows[number - 1]?.row;
    if (row && (row.object ?? number) === number) this.choose(row);
  }

  draw(frame, state, chosen) {
    const rows = rowsOf(frame, state, chosen);
    const shown = rows.slice(0, MOST_ROWS);
    const now = performance.now();
    if (shown.length >= this.#needed || now - this.#since > KEEP_ROW_MS) {
      this.#needed = shown.length;
      this.#since = now;
    }
    while (this.#rows.length < this.#needed) this.#rows.push(this.#newRow());
    this.#rows.forEach((row, at) => this.#fill(row, shown[at], at < this.#needed));
    $("results").hidden = frame.task !== "detect" && this.#needed < (frame.task === "value" ? 2 : 1);
    setText($("results-title"), TITLES[frame.task] ?? "Classes");
    const more = rows.length > shown.length ? ` There are ${rows.length - shown.length} more.` : "";
    setText($("results-hint"), (HINTS[frame.task] ?? "Press a class to see what speaks for it.") + more);
    $("object-tools").hidden = frame.task !== "detect";
    $("all-objects").setAttribute("aria-pressed", String(chosen === null));
  }

  #newRow() {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "bar" });
    const [text, number, track, fill] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
    [text.className, number.className, track.className] = ["text", "number", "track"];
    track.append(fill);
    button.append(text, number, track);
    $("bars").append(button);
    const row = { button, text, number, fill, row: null };
    button.addEventListener("click", () => row.row && this.choose(row.row));
    return row;
  }

  #fill(row, content, kept) {
    row.row = content ?? null;
    row.button.hidden = !kept;
    row.button.classList.toggle("off", !content);
    if (!content) return;
    setText(row.text, content.text);
    setText(row.number, content.number);
    row.button.title = content.text;
    row.button.setAttribute("aria-pressed", String(content.explained));
    row.fill.style.transform = `scaleX(${Math.min(1, Math.max(0, content.share))})`;
  }
}

const MINUTE = 60_000;
const SPANS = [MINUTE, 2 * MINUTE, 5 * MINUTE];
const SPAN_NAMES = ["in the last minute", "in the last two minutes", "in the last five minutes"];
/** A longer time without a frame is a gap in the line. */
const GAP_MS = 2500;
/** A label that holds for less time is not written. */
const BRIEF_MS = 400;
const REDRAW_MS = 250;
const FONT = "13px system-ui, sans-serif";

/** Okabe and Ito's colours that stand out against white, and against black. */
const LIGHT = ["#d55e00", "#0072b2", "#009e73", "#b3528a", "#7a6a00", "#3c4650"];
const DARK = ["#e69f00", "#56b4e9", "#00b886", "#e08fbb", "#f0e442", "#d5dae0"];

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The confidence of the last five minutes. */
export class Plot {
  #points = [];
  #colours = new Map();
  #drawn = 0;
  #timer = null;

  constructor(panel, canvas, spanText) {
    Object.assign(this, { panel, canvas, spanText });
    new ResizeObserver(() => this.#draw()).observe(canvas);
    dark.addEventListener("change", () => this.#draw());
    setInterval(() => this.#soon(), 1000);
  }

  /** Takes up whycam's own history: [milliseconds before now, label, probability], oldest first. */
  load(history) {
    const now = Date.now();
    const earlier = history.map(([before, label, probability]) => ({ at: now - before, label, probability }));
    this.#points = earlier.filter((point) => point.probability !== null && point.label !== null);
    this.#soon();
  }

  add(label, probability) {
    const now = Date.now();
    if (label !== null && typeof probability === "number") this.#points.push({ at: now, label, probability });
    const kept = this.#points.findIndex((point) => point.at >= now - SPANS.at(-1) - MINUTE / 6);
    if (kept > 200) this.#points.splice(0, kept);
    this.#soon();
  }

  #soon() {
    if (this.#timer || document.hidden) return;
    const wait = Math.max(0, this.#drawn + REDRAW_MS - performance.now());
    this.#timer = setTimeout(() => requestAnimationFrame(() => {
      this.#timer = null;
      this.#draw();
    }), wait);
  }

  #colour(label) {
    if (!this.#colours.has(label)) this.#colours.set(label, this.#colours.size);
    const colours = dark.matches ? DARK : LIGHT;
    return colours[this.#colours.get(label) % colours.length];
  }

  #draw() {
    this.#drawn = performance.now();
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width) return;
    const scale = devicePixelRatio || 1;
    const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== across || this.canvas.height !== down) Object.assign(this.canvas, { width: across, height: down });
    const ink = getComputedStyle(this.canvas);
    const frame = { left: 46, right: width - 12, top: 28, bottom: height - 22 };
    const view = { context: this.canvas.getContext("2d"), ...frame, ...this.#span() };
    view.x = (at) => view.right - ((view.now - at) / view.span) * (view.right - view.left);
    view.y = (probability) => view.bottom - Math.min(1, Math.max(0, probability)) * (view.bottom - view.top);
    view.ink = ink.getPropertyValue("--ink");
    view.soft = ink.getPropertyValue("--soft");
    view.line = ink.getPropertyValue("--line");
    view.context.setTransform(scale, 0, 0, scale, 0, 0);
    view.context.clearRect(0, 0, width, height);
    view.context.font = FONT;
    drawAxes(view);
    const runs = runsOf(this.#points, view.now - view.span);
    for (const run of runs) this.#drawRun(view, run);
    this.#drawLabels(view, runs);
  }

  /** The shortest span that has room for all points. */
  #span() {
    const now = Date.now();
    const oldest = this.#points.length ? now - this.#points[0].at : 0;
    const found = SPANS.findIndex((span) => oldest <= span);
    const at = found < 0 ? SPANS.length - 1 : found;
    if (this.spanText.textContent !== SPAN_NAMES[at]) this.spanText.textContent = SPAN_NAMES[at];
    return { now, span: SPANS[at] };
  }

  #drawRun({ context, x, y, bottom, left }, run) {
    const colour = this.#colour(run.label);
    const path = new Path2D();
    for (const [number, { at, probability }] of run.points.entries()) {
      const to = [Math.max(left, x(at)), y(probability)];
      if (number) path.lineTo(...to);
      else path.moveTo(...to);
    }
    Object.assign(context, { strokeStyle: colour, lineWidth: 2.25, lineJoin: "round", lineCap: "round" });
    context.stroke(path);
    path.lineTo(x(run.points.at(-1).at), bottom);
    path.lineTo(Math.max(left, x(run.points[0].at)), bottom);
    Object.assign(context, { fillStyle: colour, globalAlpha: dark.matches ? 0.16 : 0.1 });
    context.fill(path);
    context.globalAlpha = 1;
  }

  /** Writes labels where they change, the newest first, as far as there is room. */
  #drawLabels({ context, x, left, right, ink }, runs) {
    let free = right;
    const lasting = runs.filter((run, at) => at === runs.length - 1 || run.points.at(-1).at - run.points[0].at >= BRIEF_MS);
    const changes = lasting.filter((run, at) => at === 0 || lasting[at - 1].label !== run.label);
    Object.assign(context, { textBaseline: "middle", textAlign: "left" });
    for (const run of changes.reverse()) {
      const width = Math.min(context.measureText(run.label).width, 150) + 14;
      const start = Math.min(Math.max(left, x(run.points[0].at)), right - width);
      if (start + width > free) continue;
      context.fillStyle = this.#colour(run.label);
      context.fillRect(start, 6, 8, 8);
      context.fillStyle = ink;
      context.fillText(shortened(context, run.label, 150), start + 13, 11);
      free = start - 12;
    }
  }
}

/** Stretches of one label without a gap. Each begins where the one before ends, so that the line is whole. */
function runsOf(points, since) {
  const runs = [];
  let last = null;
  for (const point of points) {
    if (point.at < since) continue;
    const whole = last && point.at - last.at <= GAP_MS;
    if (whole && runs.at(-1).label === point.label) runs.at(-1).points.push(point);
    else runs.push({ label: point.label, points: whole ? [{ ...last, label: point.label }, point] : [point] });
    last = point;
  }
  return runs;
}

function shortened(context, text, most) {
  if (context.measureText(text).width <= most) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > most) end -= 1;
  return `${text.slice(0, end)}…`;
}

function drawAxes({ context, left, right, bottom, y, x, now, span, line, soft }) {
  Object.assign(context, { strokeStyle: line, fillStyle: soft, lineWidth: 1, textBaseline: "middle", textAlign: "right" });
  for (const share of [0, 0.5, 1]) {
    const height = Math.round(y(share)) + 0.5;
    context.beginPath();
    context.moveTo(left, height);
    context.lineTo(right, height);
    context.stroke();
    context.fillText(`${100 * share} %`, left - 8, height);
  }
  const parts = span > 2 * MINUTE ? 5 : 4;
  for (let part = 0; part <= parts; part++) {
    const before = (span * part) / parts;
    if (right - left < 420 && span > 2 * MINUTE && part % 2) continue;
    context.textAlign = part === 0 ? "right" : part === parts ? "left" : "center";
    context.fillText(part === 0 ? "now" : beforeNow(before), x(now - before), bottom + 14);
  }
}

function beforeNow(before) {
  return before % MINUTE ? `${Math.round(before / 1000)} s` : `${before / MINUTE} min`;
}
