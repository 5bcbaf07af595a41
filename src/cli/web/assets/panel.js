// What the model says, beside the picture.

const element = (id) => document.getElementById(id);
const UNIT = { classify: "class", detect: "class", segment: "class", embed: "name", value: "value" };

/** The names of the first classes. */
function someLabels(labels, count) {
  if (labels.length <= 8) return labels.join(", ");
  return `${count} in all, such as ${labels.slice(0, 5).join(", ")}`;
}

/** What the start screen says of the model. */
export function introduction({ task, labels = [], classes, model }) {
  const names = labels.length ? ` (${someLabels(labels, classes)})` : "";
  const shows = "and colours the parts of the picture that speak for";
  switch (task) {
    case "detect": return `Point your camera at something. “${model}” boxes the things that it knows${names}, ${shows} them.`;
    case "segment": return `Point your camera at something. “${model}” gives each part of the picture a class${names}, ${shows} one.`;
    case "embed": return `Point your camera at something. “${model}” compares it with what it was shown${names}, ${shows} the likeness.`;
    case "value": return `Point your camera at something. “${model}” gives ${classes} number${classes === 1 ? "" : "s"}; the picture is coloured where it raises or lowers one.`;
    default: return `Point your camera at something. “${model}” says which of its classes it shows${names}, ${shows} that class.`;
  }
}

/** What the colours mean, and what is not shown. */
export function meaning({ task, web, preprocessing }, map) {
  const method = web?.method ?? "class activation mapping";
  const lines = [
    `Warm is what speaks for the explained ${UNIT[task] ?? "class"}; where there is no evidence, the picture stays clear. The strongest cell of each picture has the strongest colour, and a white line surrounds what is at least half as strong: colours tell where the evidence lies, not how sure the model is.`,
    `The map is made by ${method} and has ${map.width} × ${map.height} cells. It does not outline objects.`,
  ];
  if (task === "detect") {
    lines.push("Boxes are the model’s own, from a score of 25 % on; the numbers are those of the best one. The map is that of all of them, or of the class that you choose. Masks, keypoints and rotated boxes are not shown.");
  }
  if (task === "segment") lines.push("The dashed line is the outline of the explained class. Numbers are shares of the picture.");
  if (task === "value") lines.push("Yellow to red raises the value, blue lowers it.");
  if (task === "embed") lines.push("Numbers are likenesses (cosines, unless the model says otherwise), not probabilities.");
  if (preprocessing.fit === "crop") lines.push("The model does not see the dark margin.");
  lines.push(`Written by whycam${web?.version ? ` ${web.version}` : ""}.`);
  return lines.join("\n\n");
}

/** The line below the headline. */
function remarkOf({ main, sure, predicted, map, rows, boxes, nearMiss }, chosen, task) {
  if (!main) {
    return rows.some(({ index }) => index === chosen) ? "There is none in this picture. Choose it again for all."
      : "The model finds nothing that it knows.";
  }
  if (!map.evidence) return `No evidence: no part of the picture speaks for ${main.label}.`;
  if (!sure && chosen === null) return `Unlike the pictures that the model knows. The nearest is ${main.label}, ${main.text}.`;
  if (nearMiss) return "A near miss: below the score from which boxes count.";
  if (chosen === null && boxes?.length > 1) return "The map is that of all boxes. Choose a class to see its own.";
  if (chosen === null && rows.length < 2) return "";
  if (chosen === null) return `Choose ${task === "value" ? "another value" : "another one"} to see what speaks for it.`;
  const usual = predicted && task !== "value" && predicted.index !== chosen ? ` The model says ${predicted.label}, ${predicted.text}.` : "";
  return `Chosen by you.${usual} Choose it again to let go.`;
}

/** A class, and how many boxes it has. */
function nameOf({ label, count }) {
  return count > 1 ? `${label} × ${count}` : label;
}

function headlineOf({ main, sure, rows }, chosen) {
  if (main) return !sure && chosen === null ? "Not sure" : nameOf(main);
  const missing = rows.find(({ index }) => index === chosen);
  return missing ? `No ${missing.label}` : "Nothing found";
}

/** Text only where it changes, so that screen readers and selections are left in peace. */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A bar that can be chosen. Rows are kept and filled anew, so that a tap meets the row that it began on. */
function newRow(choose) {
  const item = document.createElement("li");
  item.innerHTML = '<button class="row" type="button"><span class="name"></span><span class="text"></span></button>';
  const button = item.firstChild;
  let armed = null;
  button.addEventListener("pointerdown", () => {
    armed = button.index;
  });
  button.addEventListener("click", () => {
    choose(armed ?? button.index);
    armed = null;
  });
  return item;
}

let spokenAt = 0;

/** Says the answer to screen readers, at most every three seconds. */
function speak(text) {
  if (performance.now() - spokenAt < 3000 || element("spoken").textContent === text) return;
  spokenAt = performance.now();
  element("spoken").textContent = text;
}

/** Shows a result. `chosen` is the class that the visitor chose, or null; `choose` is called with a tapped one. */
export function show(result, { chosen, choose, about, rate }) {
  const { main, sure, rows, map, backend, took } = result;
  const unsure = !sure && chosen === null;
  write(element("label"), headlineOf(result, chosen));
  write(element("number"), main && !unsure ? main.text : "");
  write(element("remark"), remarkOf(result, chosen, about.task));
  speak(`${element("label").textContent} ${element("number").textContent}`);
  const list = element("rows");
  while (list.children.length < rows.length) list.append(newRow(choose));
  [...list.children].forEach((item, at) => {
    const row = rows[at];
    item.hidden = !row;
    if (!row) return;
    const button = item.firstChild;
    button.index = row.index;
    write(button.children[0], nameOf(row));
    write(button.children[1], row.text);
    button.style.setProperty("--share", row.share.toFixed(4));
    button.classList.toggle("explained", row.index === main?.index);
    button.setAttribute("aria-pressed", String(row.index === chosen));
  });
  write(element("meaning"), meaning(about, map));
  const speed = rate ? `${rate < 9.95 ? rate.toFixed(1) : Math.round(rate)} frames a second` : `${Math.round(took)} ms`;
  write(element("small"), `${speed} · ${backend} · ${about.model}`);
}
