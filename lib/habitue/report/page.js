"use strict";
const PRINT_WIDTH = 640; // pixels: what A4 and Letter both have room for
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function draw(chart) {
  const plot = chart.querySelector(".plot");
  if (plot.classList.contains("js-plotly-plot")) return Plotly.Plots.resize(plot);
  const { data, layout } = JSON.parse(chart.querySelector("script").textContent);
  return Plotly.newPlot(plot, data, layout, { displayModeBar: false, responsive: true });
}

// A chart in a hidden panel has no width, so it is drawn when its panel is shown.
function pick(picker, id) {
  all(".panel", picker).forEach((panel) => {
    panel.hidden = id !== "" && panel.id !== id;
    if (!panel.hidden) all(".chart", panel).forEach(draw);
  });
  picker.querySelector("select").value = id;
}

// Each in a task of its own: the text can be read at once, and a chart that fails takes no other with it.
all(".chart").filter((chart) => !chart.closest(".panel")).forEach((chart) => setTimeout(draw, 0, chart));
all(".picker").forEach((picker) => {
  const select = picker.querySelector("select");
  select.addEventListener("change", () => pick(picker, select.value));
  pick(picker, select.options[0].value);
});

function follow() {
  const panel = location.hash && document.getElementById(location.hash.slice(1));
  if (!panel || !panel.matches(".panel")) return;
  pick(panel.closest(".picker"), panel.id);
  panel.scrollIntoView();
}
addEventListener("hashchange", follow);
follow();

// The entry of the section that is being read is marked in the contents.
const entries = new Map(all(".contents a").map((a) => [a.getAttribute("href").slice(1), a]));
const watcher = new IntersectionObserver((seen) => {
  seen.filter((one) => one.isIntersecting).forEach((one) => {
    entries.forEach((a) => a.removeAttribute("aria-current"));
    entries.get(one.target.id).setAttribute("aria-current", "true");
  });
}, { rootMargin: "-15% 0px -80% 0px" });
all("main > section").forEach((section) => watcher.observe(section));

// Paper shows every panel and every folded table, and is narrower than most windows.
addEventListener("beforeprint", () => {
  all(".panel").forEach((panel) => { panel.dataset.hidden = panel.hidden; panel.hidden = false; });
  all("details").forEach((folded) => { folded.dataset.open = folded.open; folded.open = true; });
  all(".chart").forEach((chart) => {
    draw(chart);
    Plotly.relayout(chart.querySelector(".plot"), { width: PRINT_WIDTH, autosize: false });
  });
});
addEventListener("afterprint", () => {
  all(".plot").forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
  all(".panel").forEach((panel) => { panel.hidden = panel.dataset.hidden === "true"; });
  all("details").forEach((folded) => { folded.open = folded.dataset.open === "true"; });
});
