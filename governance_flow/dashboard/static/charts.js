// Draws each chart from the table beneath it, so that both always say the same.

const CHARTS = new Map();
const SAMPLES_MAX = 120;
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const POINTS = ["circle", "rect", "triangle", "rectRot"];
const UNITS = [["y", 31536000], ["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

const samples = [];
const probe = document.body.appendChild(document.createElement("span"));
probe.hidden = true;
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// A canvas knows no custom properties: an element is coloured with one, and asked what came of it.
function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function span(seconds) {
  const found = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  const number = seconds / found[1];
  return `${number >= 10 ? Math.round(number) : Math.round(number * 10) / 10} ${found[0]}`;
}

function read(figure) {
  const table = figure.querySelector("table");
  const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows];
  const value = (cell) => Number(cell.dataset.value ?? cell.textContent.replaceAll(",", ""));
  return {
    labels: rows.map((row) => row.cells[0].textContent),
    series: names.map((name, at) => ({ name, values: rows.map((row) => value(row.cells[at + 1])) })),
  };
}

function sampled({ labels, series }) {
  const now = new Date().toLocaleTimeString([], { timeStyle: "medium" });
  samples.push({ now, values: series[0].values });
  if (samples.length > SAMPLES_MAX) samples.shift();
  return {
    labels: samples.map((sample) => sample.now),
    series: labels.map((name, at) => ({ name, values: samples.map((one) => one.values[at] ?? 0) })),
  };
}

function datasets(kind, series) {
  const own = kind === "stacked" ? ["--chart-1", "--chart-4", "--chart-3"] : null;
  return series.map(({ name, values }, at) => {
    const shade = colour(own?.[at] ?? `--chart-${(at % 5) + 1}`);
    return {
      label: name,
      data: values,
      borderColor: shade,
      backgroundColor: shade,
      borderWidth: kind === "stacked" || kind === "spans" ? 0 : 2,
      borderDash: DASHES[at % DASHES.length],
      pointStyle: POINTS[at % POINTS.length],
      pointRadius: 2.5,
      tension: 0,
    };
  });
}

function options(kind) {
  const bars = kind === "stacked" || kind === "spans";
  const text = colour("--quiet");
  const grid = { color: colour("--line") };
  const amount = {
    beginAtZero: true,
    stacked: kind === "stacked",
    grid,
    ticks: { color: text, precision: 0, maxTicksLimit: 6 },
  };
  if (kind === "spans") amount.ticks.callback = (value) => span(value);
  const along = {
    stacked: kind === "stacked",
    grid: { display: false },
    ticks: { color: text, autoSkip: !bars, maxRotation: 0, autoSkipPadding: 12 },
  };
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: stillness.matches ? false : { duration: 250 },
    indexAxis: bars ? "y" : "x",
    interaction: { mode: "index", axis: bars ? "y" : "x", intersect: false },
    scales: bars ? { x: amount, y: along } : { x: along, y: amount },
    plugins: {
      legend: { labels: { color: colour("--text"), usePointStyle: true, boxHeight: 7 } },
      tooltip: {
        callbacks: {
          label: ({ dataset, raw }) => `${dataset.label}: ${kind === "spans" ? span(raw) : raw}`,
        },
      },
    },
  };
}

function draw(figure, isNews) {
  const kind = figure.dataset.chart;
  let data = read(figure);
  if (kind === "samples") {
    data = isNews || !samples.length ? sampled(data) : sampledAgain(data);
  }
  const drawn = CHARTS.get(figure);
  if (drawn) {
    drawn.data = { labels: data.labels, datasets: datasets(kind, data.series) };
    drawn.options = options(kind);
    drawn.update(isNews ? undefined : "none");
    return;
  }
  const chart = new Chart(figure.querySelector("canvas"), {
    type: kind === "stacked" || kind === "spans" ? "bar" : "line",
    data: { labels: data.labels, datasets: datasets(kind, data.series) },
    options: options(kind),
  });
  CHARTS.set(figure, chart);
}

function sampledAgain(data) {
  samples.pop();
  return sampled(data);
}

function drawAll(isNews) {
  for (const figure of document.querySelectorAll("figure[data-chart]")) draw(figure, isNews);
}

// Without the library the tables say it all.
if (window.Chart) {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.addEventListener("refreshed", () => drawAll(true));
  document.addEventListener("recoloured", () => drawAll(false));
  drawAll(true);
}
