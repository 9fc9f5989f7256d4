// Shows a study: pictures, flags, the report with its evidence, and everything beside it.
import { largest, paint, paintScale, shares } from "./heat.js";

export const NO_REPORT = "No report: this is probably no chest X-ray.";

export const $ = (id) => document.getElementById(id);

/** A new element with a class, and text or children. Text never becomes HTML. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

const PARTS = ["flags", "words", "sentence-hint", "take", "anyway", "truth", "match", "findings", "others"];
/** Kinds of flags with which nobody knows which side of a picture is the patient's right. */
const NO_SIDE = new Set([
  ...["orientation", "view", "rotated", "mirrored", "inverted", "lateral", "frontal"],
  ...["unlike", "empty", "body part", "modality"],
]);
let chosen = null; // sentence that stays shown

export function clear() {
  for (const id of [...PARTS, "similar", "add"]) $(id).hidden = true;
  $("legend").classList.add("idle");
  $("sentences").replaceChildren();
  $("pictures").replaceChildren();
  chosen = null;
}

/** Pictures as the model reads them, each with a choice of its view. */
export function showPictures({ pictures, views, flags }, size, onView) {
  const doubtful = (i) => flags.some((flag) => flag.view === i && NO_SIDE.has(flag.kind));
  const figures = pictures.map((source, i) => {
    const picture = make("img");
    picture.src = source;
    picture.alt = `Image ${i + 1}, ${views[i]} view`;
    const view = make("div", "view", picture, make("canvas"));
    if (views[i] === "frontal" && !doubtful(i)) {
      const side = make("span", "side", "R");
      side.title = "the patient's right";
      view.append(side);
    }
    const select = make("select", "", ...["frontal", "lateral"].map((name) => make("option", "", name)));
    select.value = views[i];
    select.setAttribute("aria-label", `View of image ${i + 1}`);
    select.addEventListener("change", () => onView(i, select.value));
    return make("figure", "", view, make("figcaption", "", `${i + 1}`, select));
  });
  $("pictures").replaceChildren(...figures);
  $("size").textContent = `As the model reads them: ${size} × ${size} pixels. R: the patient's right, where nothing speaks against it.`;
  $("study").hidden = false;
}

/** A flag as a line; that of a file which is not read names it itself. */
export function flagText({ view, kind, message }) {
  return kind === "left out" ? message : `Image ${view + 1}: ${message}`;
}

export function showFlags(flags) {
  $("flags").hidden = !flags.length;
  const items = flags.map((flag) => make("li", "", flagText(flag)));
  $("flags").replaceChildren(make("h2", "", "⚠ Look twice"), make("ul", "", ...items));
}

export function showWords(text) {
  $("words").hidden = false;
  $("words").textContent = text;
}

/** The report and all that came with it. */
export function showReport(found) {
  $("words").hidden = true;
  const most = largest(found.sentences);
  $("sentences").replaceChildren(...found.sentences.map((one) => sentenceRow(one, most)));
  $("sentence-hint").hidden = !found.sentences.length;
  const nothing = found.report === null ? NO_REPORT : "The model wrote nothing.";
  if (!found.sentences.length) $("sentences").append(make("li", "", nothing));
  $("anyway").hidden = found.report !== null;
  paintScale($("scale"));
  $("most").textContent = `${most.toFixed(1)}×`;
  $("take").hidden = false;
  showMatch(found.match);
  showFindings(found.findings);
  const others = found.candidates.slice(1);
  $("others").hidden = !others.length;
  $("other-list").replaceChildren(...others.map((one) => reportItem(one)));
}

export function showSimilar(reports) {
  $("similar").hidden = !reports.length;
  $("similar-list").replaceChildren(...reports.map((one) => reportItem(one)));
}

/** Shows the images alone. */
export function letGo() {
  chosen = null;
  look(null);
  for (const why of document.querySelectorAll(".why")) why.hidden = true;
  for (const row of document.querySelectorAll(".sentences button")) {
    row.setAttribute("aria-expanded", "false");
  }
}

function sentenceRow(sentence, most) {
  const button = make("button", sentence.agrees === false ? "differs" : "", sentence.text);
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  if (sentence.agrees === false) button.append(" ", make("span", "mark", "⚠ second opinion differs"));
  const why = reasons(sentence);
  why.hidden = true;
  const own = { button, maps: shares(sentence.attention), most };
  for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => look(own));
  for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => look(chosen));
  button.addEventListener("click", () => {
    const again = chosen === own;
    letGo();
    if (again) return;
    chosen = own;
    why.hidden = false;
    button.setAttribute("aria-expanded", "true");
    look(own);
  });
  return make("li", "", button, why);
}

function look(own) {
  for (const button of document.querySelectorAll(".sentences .active")) button.classList.remove("active");
  own?.button.classList.add("active");
  document.querySelectorAll(".view canvas").forEach((canvas, view) => {
    paint(canvas, own?.maps[view], own?.most);
  });
  $("legend").classList.toggle("idle", !own); // keeps its place: nothing moves under the pointer
}

function reasons(sentence) {
  const words = sentence.finding_words.length
    ? `Where it looked when it wrote “${sentence.finding_words.join("”, “")}”.`
    : "Where it looked on average: no word here names a finding or a place.";
  const items = sentence.opinions.map((one) => {
    const said = { 1: "present", 0: "absent", "-1": "uncertain" }[one.said];
    const verdict = { true: "agrees", false: "⚠ differs", null: "leaves it open" }[one.agrees];
    const text = `${one.observation}: said to be ${said}; the label task gives present `;
    return make("li", one.agrees === false ? "mark" : "", `${text}${number(one.present)} (${verdict}).`);
  });
  const sure = `Probability of its words: ${number(sentence.probability)} (geometric mean).`;
  return make("div", "why", make("p", "", words, " ", sure), make("ul", "", ...items));
}

function showMatch(match) {
  $("match").hidden = match === null;
  if (match === null) return;
  $("match-number").textContent = number(match);
  $("match-bar").style.width = `${100 * match}%`;
}

function showFindings(findings) {
  $("findings").hidden = !findings;
  const sorted = Object.entries(findings ?? {}).sort(([, one], [, other]) => other - one);
  const rows = sorted.map(([name, probability]) => {
    const head = make("th", "", name);
    head.scope = "row";
    const filled = make("i");
    filled.style.width = `${100 * probability}%`;
    const bar = make("div", "bar", filled);
    bar.setAttribute("aria-hidden", "true");
    const cells = [head, make("td", "", bar), make("td", "", number(probability))];
    return make("tr", probability >= 0.5 ? "present" : "", ...cells);
  });
  $("finding-rows").replaceChildren(...rows);
}

function reportItem(one) {
  const numbers = [
    ["matching degree", one.match],
    ["similarity", one.similarity],
    ["log probability", one.log_probability],
  ].filter(([, value]) => typeof value === "number");
  const small = numbers.map(([name, value]) => `${name} ${number(value)}`).join(", ");
  return make("li", "", one.report, make("small", "", small));
}

function number(value) {
  return value.toFixed(2);
}
