// The trend of a point: a band from least to most and a line, broken where nothing was measured.

const language = document.documentElement.lang;
const zone = document.body.dataset.zone;
const HOUR_S = 3600;

for (const box of document.querySelectorAll("[data-trend]")) draw(box);

function span(box) {
  if (box.dataset.start) return [new Date(box.dataset.start), new Date(box.dataset.end)];
  const end = new Date();
  return [new Date(end - 4 * HOUR_S * 1000), end];
}

async function draw(box) {
  const [start, end] = span(box);
  const { trend, resolution } = box.dataset;
  const query = new URLSearchParams({ point: trend, from: start.toISOString(), to: end.toISOString(), values: values(box) });
  if (resolution) query.set("resolution", resolution);
  const answer = await fetch(`/api/readings/chart?${query}`);
  if (!answer.ok) {
    box.textContent = (await answer.json()).error;
    return;
  }
  const [line] = (await answer.json()).lines;
  if (!line.at.length) return;
  box.replaceChildren();
  plot(box, columns(line, start / 1000, end / 1000));
}

// About one value for each two pixels: more nobody sees.
function values(box) {
  return Math.min(2000, Math.max(200, Math.round(box.clientWidth / 2)));
}

// The hub has thinned the line and broken it where nothing was measured; the axis shows what was asked for, not only
// what there is.
function columns({ at, value, min, max }, first, past) {
  const out = [at.map((time) => Date.parse(time) / 1000), value, min, max];
  if (first < out[0][0]) out.forEach((column, i) => column.unshift(i ? null : first));
  if (past > out[0].at(-1)) out.forEach((column, i) => column.push(i ? null : past));
  return out;
}

function plot(box, data) {
  const { unit, wordsValue, wordsTime, mark } = box.dataset;
  const dayTick = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone: zone });
  const hourTick = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  const tick = (at) => {
    const hour = hourTick.format(at);
    return hour === "00:00" ? dayTick.format(at) : hour;
  };
  const full = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 3 });
  const written = (value) => (value === null || value === undefined ? "–" : `${number.format(value)} ${unit}`);
  const limit = box.dataset.limit === undefined ? null : Number(box.dataset.limit);
  if (limit !== null) data.push(data[0].map(() => limit));
  const chart = new uPlot({
    width: box.clientWidth,
    height: 300,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    axes: [
      { values: (u, ticks) => ticks.map((at) => tick(new Date(at * 1000))), stroke: "#5a6670", grid: { stroke: "#e6eaed", width: 1 }, ticks: { stroke: "#e6eaed", width: 1 } },
      { values: (u, ticks) => ticks.map((value) => number.format(value)), size: 70, stroke: "#5a6670", grid: { stroke: "#e6eaed", width: 1 }, ticks: { stroke: "#e6eaed", width: 1 }, label: unit, labelSize: 18 },
    ],
    series: [
      { label: wordsTime ?? "", value: (u, at) => (at === null ? "–" : full.format(new Date(at * 1000))) },
      { label: wordsValue ?? unit, stroke: "#2f5f86", width: 1.4, spanGaps: false, value: (u, v) => written(v) },
      { label: box.dataset.wordsMin ?? "min", stroke: "transparent", spanGaps: false, value: (u, v) => written(v), points: { show: false } },
      { label: box.dataset.wordsMax ?? "max", stroke: "transparent", spanGaps: false, value: (u, v) => written(v), points: { show: false } },
      ...(limit === null ? [] : [{ label: box.dataset.wordsLimit ?? "limit", stroke: "#1f272e", width: 1.2, dash: [7, 4], value: () => written(limit), points: { show: false } }]),
    ],
    bands: [{ series: [3, 2], fill: "rgba(47, 95, 134, 0.14)" }],
    hooks: mark ? { draw: [(u) => line(u, Date.parse(mark) / 1000)] } : {},
  }, data, box);
  new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: 300 })).observe(box);
}

function line(chart, at) {
  const x = Math.round(chart.valToPos(at, "x", true));
  chart.ctx.save();
  chart.ctx.strokeStyle = "#1f272e";
  chart.ctx.setLineDash([4, 3]);
  chart.ctx.beginPath();
  chart.ctx.moveTo(x, chart.bbox.top);
  chart.ctx.lineTo(x, chart.bbox.top + chart.bbox.height);
  chart.ctx.stroke();
  chart.ctx.restore();
}
