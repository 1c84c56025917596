// Lets "5 min ago" go on. The server's clock counts: this machine's may be wrong.

const UNITS = [["y", 31536000], ["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const TICK_MS = 1000;

let aheadMs = 0;

function span(seconds) {
  let left = Math.floor(Math.abs(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    const number = Math.floor(left / size);
    left %= size;
    if (number) parts.push(`${number} ${unit}`);
    else if (parts.length) break;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function relative(moment, now) {
  const seconds = (moment - now) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${span(seconds)}` : `${span(seconds)} ago`;
}

function tick() {
  if (document.hidden) return;
  const now = Date.now() + aheadMs;
  for (const time of document.querySelectorAll("time[data-ticks]")) {
    const moment = Date.parse(time.dateTime);
    const text = time.dataset.ticks === "for" ? span((now - moment) / 1000) : relative(moment, now);
    if (time.textContent !== text) time.textContent = text;
  }
}

function setClock() {
  aheadMs = Date.parse(document.body.dataset.now) - Date.now();
  tick();
}

document.addEventListener("refreshed", setClock);
document.addEventListener("visibilitychange", tick);
setClock();
setInterval(tick, TICK_MS);
