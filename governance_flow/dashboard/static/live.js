// Keeps the page current: told of news by the server, it fetches the page again and takes over
// what has changed in the regions marked data-live, without touching what somebody is using.

const NEWS = "/api/v1/pipeline/stream";
const APART_MS = 2000; // Between two fetches, however much happens.
const ANYWAY_MS = 60000; // Ages and deadlines pass without any news.
const POLL_MS = 1000; // While the page shows something that runs.
const PATIENCE_MS = 15000; // To be without the stream for longer is worth saying.

const indicator = document.getElementById("live");
const words = document.getElementById("live-words");
const news = document.getElementById("news");
const motion = document.body.dataset.motion ?? null;

let stream = null;
let known = Number(document.body.dataset.position);
let fetching = false;
let wanted = false;
let lastFetch = performance.now();
let timer = null;
let lostAt = null;
let left = false; // Signed out meanwhile: there is nothing to fetch any more.

// ---- The indicator -------------------------------------------------------------------------------

function show(state, text) {
  indicator.hidden = false;
  if (indicator.dataset.state !== state) indicator.dataset.state = state;
  if (words.textContent !== text) words.textContent = text;
}

function clock(moment) {
  return moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function sayStanding() {
  if (left) return;
  if (lostAt === null) show("live", "Live");
  else if (Date.now() - lostAt < PATIENCE_MS) show("waiting", "Reconnecting");
  else show("stale", `Stale since ${clock(new Date(lostAt))}`);
}

function lost() {
  lostAt ??= Date.now();
  sayStanding();
}

function signedOut() {
  left = true;
  stream?.close();
  show("stale", "Signed out");
  news.textContent = "The session has ended. Load the page again to sign in.";
  news.classList.remove("hidden");
  news.classList.add("notice");
}

// ---- News ----------------------------------------------------------------------------------------

function isAboutThisPage(change, first) {
  if (first) return change.position > known;
  return motion === null || change.more || change.motions.includes(motion);
}

function watch() {
  if (left || stream) return;
  stream = new EventSource(NEWS);
  let first = true;
  stream.addEventListener("changed", (event) => {
    lostAt = null;
    sayStanding();
    const change = JSON.parse(event.data);
    const halted = document.querySelector(".banner.halted") !== null;
    if (isAboutThisPage(change, first) || change.halted !== halted) refreshSoon();
    first = false;
    known = Math.max(known, change.position);
  });
  stream.addEventListener("open", () => {
    lostAt = null;
    sayStanding();
  });
  stream.addEventListener("error", () => {
    lost();
    first = true;
    if (stream.readyState === EventSource.CLOSED) {
      // It was refused, so the browser will not try again by itself.
      stream = null;
      setTimeout(watch, PATIENCE_MS);
      refreshSoon();
    }
  });
}

// A browser opens only a few connections to one host: pages that nobody sees must not hold them.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else {
    watch();
    refreshSoon();
  }
});

// ---- Fetching ------------------------------------------------------------------------------------

function refreshSoon() {
  wanted = true;
  if (timer !== null || fetching || left || document.hidden) return;
  timer = setTimeout(() => {
    timer = null;
    refresh();
  }, Math.max(0, lastFetch + APART_MS - performance.now()));
}

async function refresh() {
  if (fetching || left || document.hidden) return;
  fetching = true;
  wanted = false;
  lastFetch = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (new URL(answer.url).pathname === "/sign-in" || answer.status === 401) {
      signedOut();
    } else if (answer.ok) {
      takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (lostAt !== null && stream) lostAt = null;
      sayStanding();
    } else {
      lost();
    }
  } catch {
    lost();
  } finally {
    fetching = false;
    if (wanted) refreshSoon();
  }
}

// ---- Taking over ---------------------------------------------------------------------------------

const lastHtml = new Map();
for (const region of document.querySelectorAll("[data-live]")) {
  lastHtml.set(region.id, region.outerHTML);
}

function isInUse(region) {
  const focused = document.activeElement;
  if (focused?.matches("input, textarea, select") && region.contains(focused)) return true;
  return [...region.querySelectorAll("input, textarea, select")].some(isEdited);
}

function isEdited(field) {
  if (field.type === "hidden") return false;
  if (field.matches("select")) {
    const first = [...field.options].find((option) => option.defaultSelected) ?? field.options[0];
    return field.selectedOptions[0] !== first;
  }
  return field.value !== field.defaultValue;
}

function takeOver(page) {
  const before = said();
  document.body.dataset.now = page.body.dataset.now;
  document.body.dataset.position = page.body.dataset.position;
  known = Math.max(known, Number(page.body.dataset.position));
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(region.id);
    if (!next || lastHtml.get(region.id) === next.outerHTML || isInUse(region)) continue;
    lastHtml.set(region.id, next.outerHTML);
    morph(region, next);
  }
  document.dispatchEvent(new Event("refreshed"));
  tell(before, said());
}

function said() {
  const found = new Map();
  for (const element of document.querySelectorAll("[data-say]")) {
    found.set(element.dataset.say, element.textContent.trim().replace(/\s+/g, " "));
  }
  return found;
}

// Only what matters is read aloud: a halt, how many wait for a person, who must act next.
function tell(before, after) {
  const lines = [];
  for (const [name, text] of after) {
    if (before.get(name) === text) continue;
    lines.push(text.length < 15 ? `${name}: ${text}` : text);
  }
  if (before.has("halt") && !after.has("halt")) lines.push("The pipeline goes on");
  if (lines.length) news.textContent = `${lines.join(". ")}.`;
}

function morph(from, to) {
  copyAttributes(from, to);
  const keyed = new Map();
  for (const child of from.children) if (child.id) keyed.set(child.id, child);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const moved = next.id ? keyed.get(next.id) : undefined;
    if (moved && moved !== at) from.insertBefore(moved, at);
    const here = moved ?? at;
    if (!here || !isSame(here, next)) {
      from.insertBefore(document.importNode(next, true), at);
      continue;
    }
    at = here.nextSibling;
    if (here.nodeType === Node.ELEMENT_NODE) {
      if (!here.hasAttribute("data-keep")) morph(here, next);
    } else if (here.nodeValue !== next.nodeValue) {
      here.nodeValue = next.nodeValue;
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function isSame(here, next) {
  return here.nodeName === next.nodeName && (here.id ?? "") === (next.id ?? "");
}

// What the reader has opened stays open, and what they have shown stays shown.
function copyAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

// ---- Beginning -----------------------------------------------------------------------------------

watch();
setInterval(sayStanding, 1000);
setInterval(refreshSoon, ANYWAY_MS);
setInterval(() => {
  if (document.querySelector("[data-poll]")) refresh();
}, POLL_MS);
