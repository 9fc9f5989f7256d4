// Takes images, sends them once, and shows what comes back, line by line.
import { $, NO_REPORT, clear, flagText, letGo, make, showFlags, showPictures, showReport, showSimilar, showWords } from "./report.js";

let about;
let study = { files: [], views: [], shown: [], truth: "" }; // views: as a person chose; shown: as read
let under_way = new AbortController();
let answer = {}; // found, fhir, flags

async function write(next) {
  under_way.abort();
  const { signal } = (under_way = new AbortController());
  study = next;
  answer = {};
  clear();
  problem("");
  $("study").hidden = true;
  const size = study.files.reduce((sum, file) => sum + file.size, 0);
  if (size > about.upload_mb << 20) return problem(`larger than the ${about.upload_mb} MiB allowed`);
  status("Reading the images …");
  $("state").scrollIntoView({ block: "nearest" });
  const form = new FormData();
  study.files.forEach((file) => form.append("images", file, file.name));
  study.views.forEach((view) => form.append("views", view));
  if (study.anyway) form.append("anyway", "true");
  const candidates = Number($("candidates").value);
  if (candidates !== about.candidates) form.append("candidates", candidates);
  try {
    const response = await fetch("page/study", { method: "POST", body: form, signal });
    if (!response.ok) throw new Error(await refusal(response));
    for await (const event of events(response.body)) {
      if (signal.aborted) return;
      show(event);
    }
    if (!answer.found) throw new Error("the connection ended early; try again");
    status("Ready");
  } catch (error) {
    if (signal.aborted) return;
    problem(error instanceof TypeError ? "the server cannot be reached" : error.message);
  }
}

function show(event) {
  if (event.error) throw new Error(event.error);
  if (event.pictures) {
    answer.flags = event.flags;
    const read = (all) => event.places.map((place) => all[place]); // the others are no chest X-rays
    const views = study.views.length ? read(study.views) : [];
    study = { ...study, files: read(study.files), views, shown: event.views };
    showPictures(event, about.image_size, changeView);
    showFlags(event.flags);
    if ($("pictures").getBoundingClientRect().bottom > innerHeight) $("state").scrollIntoView();
    $("add").hidden = study.files.length >= about.most_images;
    $("truth").hidden = !study.truth;
    $("truth-text").textContent = study.truth;
    status("Writing the report …");
  }
  if (event.words) showWords(event.words);
  if (event.found) {
    Object.assign(answer, event);
    answer.flags = event.found.flags; // and what training says of picture and report
    showFlags(answer.flags);
    showReport(event.found);
    if (about.similar) status("Looking for similar training reports …");
  }
  if (event.similar) showSimilar(event.similar);
}

async function* events(body) {
  let rest = "";
  for await (const text of pieces(body.pipeThrough(new TextDecoderStream()))) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

async function* pieces(stream) {
  const reader = stream.getReader(); // not every browser can iterate a stream
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

async function refusal(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).detail;
  } catch {
    return `the server answered ${response.status}`;
  }
}

function problem(text) {
  $("error").hidden = !text;
  $("error").textContent = text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  if (text) status("");
}

function status(text) {
  $("status").textContent = text;
}

function take(files) {
  if (!files.length) return;
  if (files.length > about.most_images) {
    problem(`a study has one or two images, not ${files.length}`);
  } else {
    // a new study, never added to the one before: that may be another patient
    // what the views are, headers say before the order does
    write({ files, views: [], truth: "" });
  }
}

function addView([file]) {
  if (!file) return;
  const other = study.views[0] === "lateral" ? "frontal" : "lateral";
  const views = study.views.length ? [study.views[0], other] : [];
  write({ files: [study.files[0], file], views, truth: study.truth });
}

function changeView(which, view) {
  write({ ...study, views: study.shown.map((old, i) => (i === which ? view : old)) });
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(await refusal(response));
  return response;
}

async function drawPhantom() {
  try {
    const drawn = await (await fetched(`page/phantoms/${$("phantom").value}`)).json();
    const files = await Promise.all(drawn.pictures.map(async (data, i) => fileOf(data, `phantom-${i}.png`)));
    write({ files, views: ["frontal", "lateral"], truth: drawn.report });
  } catch (error) {
    problem(error.message);
  }
}

function fileOf(data, name) {
  const bytes = Uint8Array.from(atob(data.split(",")[1]), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: "image/png" });
}

function showExamples() {
  const buttons = about.examples.map(({ file, credit }, i) => {
    const picture = make("img");
    picture.src = `page/examples/${file}`;
    picture.alt = `Example ${i + 1}`;
    const button = make("button", "", picture);
    button.type = "button";
    button.title = credit;
    button.addEventListener("click", async () => {
      const content = await (await fetched(picture.src)).blob();
      write({ files: [new File([content], file)], views: ["frontal"], truth: "" });
    });
    return button;
  });
  $("examples").replaceChildren(...buttons);
  const credits = about.examples.map(({ credit }, i) => `${i + 1}: ${credit}.`);
  $("credit").textContent = ["Example images, CC BY.", ...credits].join(" ");
}

function asText() {
  const { found, flags } = answer;
  const doubts = flags.map(flagText);
  return [found.notice, ...doubts, "", found.report ?? NO_REPORT, "", `kia ${about.version}`, ""].join("\n");
}

async function copy() {
  const text = asText();
  try {
    await navigator.clipboard.writeText(text); // absent unless on this machine, or over https
  } catch {
    const area = make("textarea", "unseen", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  status("Copied, with the notice");
}

function save(name, type, text) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function listen() {
  for (const [id, taken] of [["files", take], ["other", addView]]) {
    $(id).addEventListener("change", (event) => {
      taken([...event.target.files]);
      event.target.value = ""; // so that the same file can be chosen again
    });
  }
  // files that miss the box must not replace the page
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") take([...event.dataTransfer.files]);
    });
  }
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("keydown", (event) => event.key === "Escape" && letGo());
  $("phantom").addEventListener("input", () => ($("number").textContent = $("phantom").value));
  $("draw").addEventListener("click", drawPhantom);
  $("anyway").addEventListener("click", () => write({ ...study, anyway: true }));
  $("candidates").addEventListener("change", () => {
    const wanted = Math.round($("candidates").value) || about.candidates;
    $("candidates").value = Math.min(Math.max(wanted, 1), about.most_candidates);
    describeHow();
    if (study.files.length) write(study);
  });
  const full = () => JSON.stringify({ ...answer.found, flags: answer.flags }, null, 2);
  $("copy").addEventListener("click", copy);
  $("text").addEventListener("click", () => save("report.txt", "text/plain", asText()));
  $("json").addEventListener("click", () => save("report.json", "application/json", full()));
  $("fhir").addEventListener("click", () => {
    save("report-fhir.json", "application/fhir+json", JSON.stringify(answer.fhir, null, 2));
  });
}

function describeHow() {
  const words = about.word_by_word && Number($("candidates").value) === 1;
  $("how").textContent = words
    ? "This model writes word by word."
    : "The report is shown when it is finished: this model weighs several versions of it.";
}

async function start() {
  about = await (await fetched("page/about")).json();
  $("phantoms").hidden = !about.phantoms; // the model has never seen one
  $("phantom").max = about.phantoms - 1;
  $("pointing").textContent = about.pointing;
  $("candidates").max = about.most_candidates;
  $("candidates").value = about.candidates;
  $("version").textContent = `kia ${about.version}`;
  showExamples();
  describeHow();
  listen();
  document.body.dataset.ready = "yes";
}

start().catch((error) => problem(error.message));
