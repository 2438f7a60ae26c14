// The page of `tsgbench demo`. Text from anywhere becomes text nodes, never markup.
"use strict";
const $ = id => document.getElementById(id);
const video = $("video");
const POLL_MS = 500, SHOWN = 400, SUGGESTED = 6;
let offers, chosen = null;  // chosen: a video of the offers
let answer = null, row = 0;  // answer: of each cell, for the chosen video; row: which sentence
let playing = null;  // the moment that plays: {start_s, end_s, button}

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    key in made ? made[key] = value : made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function draw(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10), minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths - minutes * 600) / 10).toFixed(1).padStart(4, "0")}`;
}

const shortened = score => Number(score.toPrecision(3)).toString().replace("-", "−");

async function request(path, options) {
  let response;
  try { response = await fetch(path, options); }
  catch { throw Error("The server does not answer: is it still running?"); }
  const told = await response.json().catch(() => ({error: `The server said ${response.status}`}));
  if (!response.ok) throw Error(told.error);
  return told;
}

function say(text, {share, isTrouble = false} = {}) {
  const parts = text ? [make("div", {className: isTrouble ? "trouble" : ""}, text)] : [];
  if (share !== undefined) {  // null: of unknown length
    const bar = make("progress", {"aria-label": "Progress"});
    if (share !== null) bar.value = share;
    parts.unshift(bar);
  }
  $("status").replaceChildren(...parts);
}

// ---- What there is to choose from

function listVideos() {
  const wanted = $("filter").value.toLowerCase(), groups = new Map();
  const fitting = offers.videos.filter(one => one.name.toLowerCase().includes(wanted));
  for (const one of fitting.slice(0, SHOWN)) {
    if (!groups.has(one.group)) groups.set(one.group, make("optgroup", {label: one.group}));
    groups.get(one.group).append(
      make("option", {value: one.key, selected: chosen?.key === one.key}, one.name));
  }
  if (fitting.length > SHOWN)
    groups.set("", make("optgroup", {label: `and ${fitting.length - SHOWN} more; filter by name`}));
  if (!fitting.length) groups.set("", make("optgroup", {label: "no video of that name"}));
  $("videos").replaceChildren(...groups.values());
}

function listCells() {
  const full = offers.cells.filter(one => !one.label.includes(","));
  const labels = [...new Set(full.map(one => one.label))].slice(0, 2);
  const first = labels.map(label => full.find(one => one.label === label).key);
  if (!first.length) first.push(offers.cells[0].key);
  $("cells").replaceChildren(...offers.cells.map(one => make("label", {},
    make("input", {type: "checkbox", value: one.key, checked: first.includes(one.key)}),
    make("span", {}, one.label + " ", make("small", {}, one.about)))));
}

function choose(one) {
  chosen = one;
  answer = playing = null;
  $("empty").hidden = true;
  $("player").hidden = false;
  $("answer").hidden = $("trouble").hidden = true;
  video.hidden = false;
  $("title").textContent = one.name;
  video.src = `/videos/${encodeURIComponent(one.key)}`;
  $("suggested").hidden = !one.sentences.length;
  const texts = [...new Set(one.sentences.map(([text]) => text))].slice(0, SUGGESTED);
  $("suggested").querySelector("ul").replaceChildren(...texts.map(text => make("li", {},
    make("button", {type: "button", className: "plain", onclick: () => suggest(text)}, text))));
}

function suggest(text) {
  const lines = $("sentences").value.split("\n").filter(line => line.trim());
  if (!lines.includes(text)) $("sentences").value = [...lines, text].join("\n");
  $("sentences").focus();
}

function upload(file) {
  const {bytes, endings} = offers.limits, ending = "." + file.name.split(".").pop().toLowerCase();
  if (!endings.includes(ending))
    return say(`${file.name}: not named as a video is (${endings.join(", ")})`, {isTrouble: true});
  if (file.size > bytes) {
    const limit = `${Math.round(bytes / 1e6)} MB`;
    return say(`${file.name}: larger than ${limit}; start the page with a larger --max-upload`,
      {isTrouble: true});
  }
  const sending = new XMLHttpRequest();  // fetch says nothing of how far it is
  sending.open("POST", `/videos?name=${encodeURIComponent(file.name)}`);
  sending.setRequestHeader("Content-Type", "application/octet-stream");
  sending.responseType = "json";
  sending.upload.onprogress = event =>
    say(`Uploading ${file.name}`, {share: event.loaded / event.total});
  sending.onerror = () =>
    say(`${file.name}: the server did not take it, or ended`, {isTrouble: true});
  sending.onload = () => {
    const told = sending.response ?? {error: `The server said ${sending.status}`};
    if (sending.status !== 200) return say(told.error, {isTrouble: true});
    offers.videos = [told, ...offers.videos];
    $("filter").value = "";
    choose(told);
    listVideos();
    say("");
  };
  sending.send(file);
}

// ---- Questions and answers

async function ask() {
  if (!chosen) return say("No video yet; choose one, or upload one.", {isTrouble: true});
  const asked = chosen;
  const cells = [...$("cells").querySelectorAll(":checked")].map(box => box.value);
  const sentences = $("sentences").value.split("\n");
  $("ask").disabled = true;
  try {
    const {number} = await request("/questions", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({video: asked.key, sentences, cells}),
    });
    const told = await wait(number);
    if (told.state === "failed") throw Error(told.said);
    say("");
    if (chosen === asked) show(told.answers);
    else say(`Answered for ${asked.name}; choose it and ask again to see it.`);
  } catch (error) {
    say(error.message, {isTrouble: true});
  } finally {
    $("ask").disabled = false;
  }
}

async function wait(number) {
  for (;;) {
    const told = await request(`/questions/${number}`);
    if (told.state === "done" || told.state === "failed") return told;
    say(told.said, {share: told.share});
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}

function show(answers) {
  answer = answers;
  row = 0;
  $("answer").hidden = false;
  const texts = answers.find(one => one.answers)?.answers.map(one => one.sentence) ?? [];
  $("asked").replaceChildren(...texts.map((text, place) => make("button", {
    type: "button",
    "aria-pressed": place === row,
    onclick: () => { row = place; stop(); showSentence(); },
  }, `“${text}”`)));
  showSentence();
  $("answer").scrollIntoView({block: "nearest"});
}

function showSentence() {
  [...$("asked").children].forEach((button, place) =>
    button.setAttribute("aria-pressed", place === row));
  $("moments").replaceChildren(...answer.map(listMoments));
  drawCharts();
}

function listMoments(one, place) {
  const column = make("div", {className: `column c${place}`},
    make("h2", {}, one.label, make("small", {}, one.about)));
  if (one.error) {
    column.append(make("p", {className: "trouble"}, one.error));
    return column;
  }
  const {moments, unknown, untrained} = one.answers[row];
  for (const [words, said] of [
    [unknown, "Words that it does not know: "],
    [untrained, "Words that no sentence of its training has: "],
  ]) if (words.length)
    column.append(make("p", {className: "words"}, said, make("b", {}, words.join(", "))));
  column.append(make("p", {className: "heads"}, make("span", {}, "time"), make("span", {}, "score")));
  column.append(make("ol", {}, ...moments.map(moment => {
    const button = make("button", {type: "button", className: "moment", "aria-pressed": false},
      make("span", {}, `${clock(moment.start_s)} – ${clock(moment.end_s)}`),
      make("span", {}, shortened(moment.score)));
    button.onclick = () => play({...moment, button});
    return make("li", {}, button);
  })));
  if (moments.length === 1) column.append(make("p", {className: "hint"}, "It gives no other."));
  return column;
}

// ---- Player: one moment, and no more of it

function play(moment) {
  if (playing?.button === moment.button) return stop();
  stop();
  playing = moment;
  moment.button.setAttribute("aria-pressed", true);
  video.currentTime = moment.start_s;
  video.play().catch(() => stop());
}

function stop() {
  playing?.button.setAttribute("aria-pressed", false);
  if (playing) video.pause();
  playing = null;
}

function follow() {
  if (playing && !video.seeking && video.currentTime >= playing.end_s) stop();
  const length_s = video.duration;
  for (const line of document.querySelectorAll(".now")) {
    const x = length_s ? video.currentTime / length_s * $("charts").clientWidth : 0;
    line.setAttribute("transform", `translate(${x} 0)`);
  }
  requestAnimationFrame(follow);
}

// ---- Charts: as wide as the player, on one axis of time

const TOP = 18, HEIGHT = 54, LANE = 6, AXIS = 20;

function drawCharts() {
  const width = $("charts").clientWidth, heard = answer.filter(one => one.answers);
  if (!heard.length) return $("charts").replaceChildren();
  const length_s = heard[0].duration_s, x = time_s => time_s / length_s * width;
  const annotated = annotatedMoments(heard[0].answers[row].sentence);
  const charts = answer.map((one, place) => one.answers && drawCell(one, place, width, x));
  $("charts").replaceChildren(...charts.filter(Boolean), drawAxis(width, x, length_s, annotated));
  for (const chart of $("charts").children) chart.onclick = event => {
    stop();
    video.currentTime = event.offsetX / width * length_s;
  };
}

const annotatedMoments = text =>
  chosen.sentences.filter(([known]) => known === text).map(([, start_s, end_s]) => [start_s, end_s]);

function drawCell(one, place, width, x) {
  const {curve, moments} = one.answers[row], low = TOP + HEIGHT;
  const height = low + LANE * moments.length + 8;
  const svg = draw("svg", {height, viewBox: `0 0 ${width} ${height}`, class: `c${place}`,
    role: "img", "aria-label": `Scores of ${one.label} over time`});
  const scores = curve.filter(score => score !== null);
  const min = Math.min(...scores), max = Math.max(...scores);
  const y = score => max > min ? low - 2 - (score - min) / (max - min) * (HEIGHT - 4) : TOP + HEIGHT / 2;
  svg.append(draw("rect", {class: "frame", x: 0, y: TOP, width, height: HEIGHT}));
  svg.append(draw("text", {class: "name", x: 0, y: 12}, `${one.label}, ${one.about}`));
  if (scores.length) svg.append(
    draw("text", {x: width, y: 12, "text-anchor": "end"},
      (max > min ? `scores ${shortened(min)} to ` : "score ") + shortened(max)));
  for (const [line, under] of steps(curve, width, y, low)) svg.append(
    draw("path", {class: "under", d: under}), draw("path", {class: "curve", d: line}));
  svg.append(...moments.map((moment, place) => draw("rect", {
    class: place ? "band later" : "band", x: x(moment.start_s), y: low + 3 + LANE * place,
    width: Math.max(1, x(moment.end_s) - x(moment.start_s)), height: LANE - 2,
  })));
  svg.append(draw("line", {class: "now", x1: 0, x2: 0, y1: TOP, y2: height}));
  return svg;
}

// Paths of each run of scores: the line, and the area under it
function steps(curve, width, y, low) {
  const step = width / curve.length, paths = [];
  let line = "", from = 0;
  const end = place => paths.push([line, `${line}V${low}H${from * step}Z`]);
  curve.forEach((score, place) => {
    if (score === null) {
      if (line) end(place);
      line = "";
      return;
    }
    if (!line) from = place;
    line += (line ? `V${y(score)}` : `M${place * step} ${y(score)}`) + `H${(place + 1) * step}`;
  });
  if (line) end(curve.length);
  return paths;
}

function drawAxis(width, x, length_s, annotated) {
  const top = annotated.length ? 14 : 0, height = top + AXIS;
  const svg = draw("svg", {height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": "Time"});
  for (const [start_s, end_s] of annotated) svg.append(draw("rect", {class: "annotated",
    x: x(start_s), y: 5, width: Math.max(1, x(end_s) - x(start_s)), height: 6}));
  if (annotated.length) {
    const [start_s, end_s] = annotated[0], isLate = x(end_s) > width - 70;
    svg.append(draw("text", {x: isLate ? x(start_s) - 5 : x(end_s) + 5, y: 12,
      "text-anchor": isLate ? "end" : "start"}, "annotated"));
  }
  const every = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]
    .find(one => length_s / one * 58 <= width) ?? 7200;
  for (let time_s = 0; time_s <= length_s; time_s += every) {
    const anchor = time_s === 0 ? "start" : x(time_s) > width - 14 ? "end" : "middle";
    svg.append(draw("line", {class: "tick", x1: x(time_s), x2: x(time_s), y1: top, y2: top + 5}),
      draw("text", {x: x(time_s), y: top + 17, "text-anchor": anchor},
        every < 1 ? clock(time_s) : clock(time_s).slice(0, -2)));
  }
  svg.append(draw("line", {class: "now", x1: 0, x2: 0, y1: 0, y2: top + 5}));
  return svg;
}

// ---- Start

$("filter").oninput = listVideos;
$("videos").onchange = event => choose(offers.videos.find(one => one.key === event.target.value));
$("file").onchange = event => {
  if (event.target.files.length) upload(event.target.files[0]);
  event.target.value = "";
};
$("form").onsubmit = event => { event.preventDefault(); ask(); };
video.onloadedmetadata = () => {
  $("title").textContent = `${chosen.name} · ${clock(video.duration)}`;
};
video.onerror = () => {
  $("trouble").textContent = "This browser cannot play this file; moments are found in it all the "
    + "same. For playback, encode it as H.264 in MP4.";
  $("trouble").hidden = false;
  video.hidden = true;
};
new ResizeObserver(() => { if (answer) drawCharts(); }).observe($("charts"));
(async () => {
  try {
    offers = await request("/offers");
    $("file").accept = offers.limits.endings.join(",");
    listVideos();
    listCells();
  } catch (error) {
    say(error.message, {isTrouble: true});
  }
  follow();
})();
