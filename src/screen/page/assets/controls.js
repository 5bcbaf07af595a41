// What steers whycam: the settings, the buttons that teach, and the keys.

import { $, percent, setText } from "./results.js";

/** So long a setting that was just changed is not overwritten by an older state. */
const SETTLE_MS = 1500;
const MANY_CLASSES = 50;
const MOST_TAUGHT = 9;
/** That a button is let go must arrive. */
const RELEASE_TRIES = 8;

const justChanged = (element) => performance.now() < Number(element.dataset.settled ?? 0);

function settle(element) {
  element.dataset.settled = String(performance.now() + SETTLE_MS);
}

/** Fills a menu with [value, text] and shows the value, unless the user is changing it. */
function fillMenu(menu, items, value) {
  const key = JSON.stringify(items);
  if (menu.dataset.items !== key) {
    menu.dataset.items = key;
    menu.replaceChildren(...items.map(([item, text]) => new Option(text, item)));
  } else if (justChanged(menu)) return;
  if (menu.value !== value) menu.value = value;
}

const named = (names, current) => {
  const list = names?.length ? names : current ? [current] : [];
  return list.map((name) => [name, name]);
};

const PREDICTED = { segment: "the largest segment", embed: "the most alike", value: "the first value" };

/** What a class is called in the search: its label, with its number where several have the same label. */
function searchNames(classes) {
  const counts = new Map();
  for (const label of classes) counts.set(label, (counts.get(label) ?? 0) + 1);
  return classes.map((label, index) => (counts.get(label) > 1 ? `${label} (${index})` : label));
}

/** The menus, the slider and the switches. */
export class Settings {
  #state = null;
  #opacityTimer = null;

  constructor(send, toast) {
    Object.assign(this, { send, toast });
    for (const id of ["method", "layer", "colormap", "blend"]) {
      this.#onChange(id, (menu) => send({ do: id, name: menu.value }));
    }
    this.#onChange("class", (menu) => send({ do: "class", index: menu.value === "" ? null : Number(menu.value) }));
    $("class-search").addEventListener("change", () => this.#chooseSearched());
    $("class-clear").addEventListener("click", () => {
      $("class-search").value = "";
      this.#chooseSearched();
    });
    for (const id of ["side-by-side", "fluid"]) $(id).addEventListener("click", () => this.toggle(id));
    $("opacity").addEventListener("input", () => this.#changeOpacity());
  }

  #onChange(id, take) {
    $(id).addEventListener("change", () => {
      settle($(id));
      take($(id));
    });
  }

  toggle(id) {
    const on = $(id).getAttribute("aria-checked") !== "true";
    $(id).setAttribute("aria-checked", String(on));
    settle($(id));
    this.send({ do: id, on });
  }

  /** Chooses the next entry of a menu. */
  next(id) {
    const menu = $(id);
    if (menu.options.length < 2) return;
    menu.selectedIndex = (menu.selectedIndex + 1) % menu.options.length;
    menu.dispatchEvent(new Event("change"));
    this.toast(menu.value);
  }

  step(by) {
    $("opacity").value = $("opacity").valueAsNumber + by;
    this.#changeOpacity();
  }

  /** At most ten a second while the slider moves, and always the last. */
  #changeOpacity() {
    settle($("opacity"));
    setText($("opacity-text"), percent($("opacity").valueAsNumber));
    this.#opacityTimer ??= setTimeout(() => {
      this.#opacityTimer = null;
      this.send({ do: "opacity", value: $("opacity").valueAsNumber });
    }, 100);
  }

  #chooseSearched() {
    const text = $("class-search").value.trim().toLowerCase();
    const index = searchNames(this.#state?.classes ?? []).findIndex((name) => name.toLowerCase() === text);
    if (text && index < 0) return this.toast("the model has no class of that name");
    settle($("class-search"));
    this.send({ do: "class", index: text ? index : null });
  }

  draw(state) {
    this.#state = state;
    this.#drawClassMenu(state);
    fillMenu($("method"), named(state.methods, state.method), state.method);
    fillMenu($("layer"), named(state.layers, state.layer), state.layer);
    fillMenu($("colormap"), named(state.colormaps, state.colormap), state.colormap);
    fillMenu($("blend"), named(state.blends, state.blend), state.blend);
    $("layer").title = state.layer ?? "";
    if (!justChanged($("opacity"))) {
      $("opacity").value = state.opacity ?? 0;
      setText($("opacity-text"), percent(state.opacity ?? 0));
    }
    for (const [id, on] of [["side-by-side", state.side_by_side], ["fluid", state.fluid]]) {
      if (!justChanged($(id))) $(id).setAttribute("aria-checked", String(Boolean(on)));
    }
  }

  #drawClassMenu(state) {
    const classes = state.classes ?? [];
    const choice = state.task !== "detect" && classes.length > 1;
    const many = classes.length > MANY_CLASSES;
    $("class-field").hidden = !choice || many;
    $("class-search-field").hidden = !choice || !many;
    if (!choice) return;
    const predicted = PREDICTED[state.task] ?? "the predicted class";
    const value = String(state.class ?? "");
    if (many) this.#drawSearch(classes, predicted, value);
    else fillMenu($("class"), [["", predicted], ...classes.map((label, index) => [String(index), label])], value);
  }

  #drawSearch(classes, predicted, value) {
    const search = $("class-search");
    const key = JSON.stringify(classes);
    if (search.dataset.items !== key) {
      search.dataset.items = key;
      $("class-list").replaceChildren(...searchNames(classes).map((name) => new Option("", name)));
    }
    search.placeholder = predicted.replace("the ", "");
    if (document.activeElement === search || justChanged(search)) return;
    search.value = value ? (searchNames(classes)[Number(value)] ?? "") : "";
  }
}

const SCALES = {
  jet: ["#000080", "#0000ff", "#00ffff", "#ffff00", "#ff0000", "#800000"],
  turbo: ["#30123b", "#4777ef", "#1bd0d5", "#62fc6b", "#d2e935", "#fe9b2d", "#db3a07", "#7a0403"],
  viridis: ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"],
  inferno: ["#000004", "#57106e", "#bc3754", "#f98e09", "#fcffa4"],
  magma: ["#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf"],
  plasma: ["#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921"],
  cividis: ["#00224e", "#414d6b", "#7c7b78", "#bcae6c", "#fee838"],
};
const JET_AT = [0, 12.5, 37.5, 62.5, 87.5, 100];

/** The colours from little to much as a CSS gradient, or null where they are not known. */
export function scaleColours(colormap, twoSided) {
  if (twoSided) return "linear-gradient(90deg, #56b4e9, #000, #d55e00)";
  const colours = SCALES[colormap];
  if (!colours) return null;
  const stops = colormap === "jet" ? colours.map((colour, at) => `${colour} ${JET_AT[at]}%`) : colours;
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

/** Where the evidence of a taught class lies. */
function learned({ in_middle: middle, by_background: background }, evidence) {
  if (!evidence) return "";
  const share = typeof middle === "number" ? `${percent(middle)} in the middle` : "";
  if (background) return share ? `by its background, ${share}` : "by its background";
  return share;
}

/** A card for each taught class, and one for a new class. */
export class Cards {
  #cards = [];

  /** Each card is held down by `hold`. */
  constructor(hold) {
    this.hold = hold;
  }

  /** The button of a number, if it is shown. */
  button(number) {
    return this.#cards[number - 1]?.button;
  }

  draw({ classes, held, evidence }) {
    const count = Math.min(MOST_TAUGHT, classes.length + 1);
    while (this.#cards.length < count) this.#cards.push(this.#newCard(this.#cards.length + 1));
    this.#cards.forEach((card, at) => {
      card.button.hidden = at >= count;
      if (at < count) this.#fill(card, classes[at], at === held, evidence);
    });
  }

  #newCard(number) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "card" });
    const [key, text, pictures, note] = ["key", "text", "number", "learned"].map((name) => {
      const part = document.createElement("span");
      part.className = name;
      return part;
    });
    key.textContent = number;
    button.append(key, text, pictures, note);
    $("cards").append(button);
    this.hold.listen(button, number);
    return { button, text, pictures, note };
  }

  #fill({ button, text, pictures, note }, taught, isHeld, evidence) {
    button.classList.toggle("new", !taught);
    button.classList.toggle("held", isHeld || button.dataset.held === "true");
    button.classList.toggle("background", Boolean(evidence && taught?.by_background));
    const count = taught?.pictures ?? 0;
    setText(text, taught?.name ?? "new class");
    setText(pictures, !taught ? "hold to begin" : count === 1 ? "1 picture" : `${count} pictures`);
    setText(note, taught ? learned(taught, evidence) : "");
  }
}

/** Buttons that take pictures as long as they are held down. */
export class Hold {
  #held = null;
  forgetting = false;

  constructor(send) {
    this.send = send;
    for (const name of ["blur", "pagehide"]) addEventListener(name, () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  listen(button, number) {
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.press(number, button);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      button.addEventListener(name, () => this.release(number));
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    const isPress = (event) => event.key === " " || event.key === "Enter";
    button.addEventListener("keydown", (event) => {
      if (!isPress(event)) return;
      event.preventDefault();
      if (!event.repeat) this.press(number, button);
    });
    button.addEventListener("keyup", (event) => isPress(event) && this.release(number));
  }

  press(number, button) {
    if (this.#held) return;
    if (this.forgetting) return this.#forget(number);
    this.#held = { number, button };
    if (button) button.dataset.held = "true";
    button?.classList.add("held");
    this.send({ do: "number", number, down: true });
  }

  /** Lets go of this number, or of whatever is held. */
  release(number = this.#held?.number) {
    if (!this.#held || this.#held.number !== number) return;
    const { button } = this.#held;
    this.#held = null;
    if (button) button.dataset.held = "false";
    button?.classList.remove("held");
    this.send({ do: "number", number, down: false }, RELEASE_TRIES);
  }

  /** The next number is forgotten, or not. */
  setForgetting(on) {
    this.forgetting = on;
    $("forget").setAttribute("aria-pressed", String(on));
    $("cards").classList.toggle("forgetting", on);
    const hint = on ? "Press the class that whycam shall forget." : "Show a thing to the camera and hold its button.";
    setText($("teaching-hint"), hint);
  }

  #forget(number) {
    this.setForgetting(false);
    this.send({ do: "forget" });
    this.send({ do: "number", number, down: true });
    this.send({ do: "number", number, down: false }, RELEASE_TRIES);
  }
}

/** Keys as in whycam's own window. `actions` has a function for each key; `number` gets the number keys. */
export function listenToKeys(actions, number) {
  const isTyping = ({ target }) => target.matches("input:not([type=range]), select, textarea");
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event)) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    const key = event.key.toLowerCase();
    if (/^[0-9]$/.test(key)) return number(Number(key), true);
    if (!actions[key]) return;
    event.preventDefault();
    actions[key]();
  });
  addEventListener("keyup", (event) => /^[0-9]$/.test(event.key) && number(Number(event.key), false));
}
