"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const element = (id) => document.getElementById(id);
  const narrow = () => window.innerWidth < 700;
  const inert = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  // Okabe and Ito's colours, which are told apart by most eyes; then the same with another symbol.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1"];
  const SYMBOLS = ["circle", "square", "diamond", "cross", "triangle-up", "x", "star"];
  const groups = [...new Set(data.runs.map((run) => run.group))];
  const runsOf = (group) => data.runs.filter((run) => run.group === group);
  const hue = (group) => COLOURS[groups.indexOf(group) % COLOURS.length];
  const turn = (run) => runsOf(run.group).indexOf(run) + Math.floor(groups.indexOf(run.group) / COLOURS.length);
  const symbol = (run) => SYMBOLS[turn(run) % SYMBOLS.length];
  const view = { surfaces: Object.keys(data.surfaces).length > 0, across: Math.min(1, data.objectives.length - 1), up: 0 };

  function axis(title, members) {
    return {
      title: { text: inert(title), standoff: 8 }, automargin: true, exponentformat: "SI",
      gridcolor: css("line"), linecolor: css("line"), zeroline: false, ...members,
    };
  }

  function draw(id, traces, across, up) {
    const layout = {
      paper_bgcolor: css("paper"), plot_bgcolor: css("paper"), xaxis: across, yaxis: up, hovermode: "closest",
      font: { color: css("ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
      margin: { l: 60, r: 20, t: 20, b: 50 }, height: narrow() ? 420 + 12 * traces.length : 460,
      legend: narrow() ? { orientation: "h", y: -0.25 } : {},
      hoverlabel: { bgcolor: css("panel"), bordercolor: css("line"), font: { color: css("ink") }, align: "left" },
    };
    const config = { responsive: true, displaylogo: false, plotlyServerURL: "", showTips: false, displayModeBar: false };
    return Plotly.react(element(id), traces, layout, config);
  }

  // A front as stairs: what it dominates begins at its steps.
  const shape = () => (data.objectives[view.across].less ? "hv" : "vh");
  const sorted = (rows) => [...rows].sort((one, other) => one[view.across] - other[view.across] || one[view.up] - other[view.up]);

  function fronts() {
    return data.runs.map((run) => {
      const rows = sorted(run.front);
      return {
        type: "scatter", mode: data.objectives.length === 2 && !view.surfaces ? "lines+markers" : "markers", name: inert(run.name),
        x: rows.map((row) => row[view.across]), y: rows.map((row) => row[view.up]),
        opacity: view.surfaces ? 0.45 : 1, line: { color: hue(run.group), shape: shape(), width: 1.5 },
        marker: { color: hue(run.group), size: 7, symbol: symbol(run) },
      };
    });
  }

  function surfaces() {
    if (!view.surfaces) return [];
    const dashes = { "attained by one": "dot", "attained by half": "solid", "attained by all": "dash" };
    return Object.entries(data.surfaces).flatMap(([group, named]) =>
      Object.entries(named).map(([name, rows]) => {
        const points = sorted(rows);
        const whose = runsOf(Number(group)).map((run) => run.name).join(", ");
        return {
          type: "scatter", mode: "lines", name: inert(name + " of " + (whose.length > 40 ? whose.slice(0, 37) + "..." : whose)),
          x: points.map((row) => row[view.across]), y: points.map((row) => row[view.up]),
          line: { color: hue(Number(group)), shape: shape(), width: name === "attained by half" ? 3 : 1.5, dash: dashes[name] },
        };
      }));
  }

  function drawFronts() {
    if (data.objectives.length < 2) {
      element("fronts").textContent = "One objective has no front; the table below holds the best of each run.";
      return;
    }
    const log = (id) => (element(id).checked ? "log" : "linear");
    draw("fronts", [...fronts(), ...surfaces()],
      axis(data.objectives[view.across].label, { type: log("log-across") }),
      axis(data.objectives[view.up].label, { type: log("log-up") }));
  }

  function drawCurve(id, key, title) {
    const traces = data.runs.map((run) => ({
      type: "scatter", mode: "lines", name: inert(run.name), x: run[key], y: run.hypervolumes,
      line: { color: hue(run.group), shape: "hv", width: 2, dash: ["solid", "dash", "dot", "dashdot"][turn(run) % 4] },
    }));
    draw(id, traces, axis(title), axis("hypervolume on the search part"));
  }

  function choose(id, key) {
    const select = element(id);
    if (!select) return;
    data.objectives.forEach((objective, index) => select.append(new Option(objective.label, index, false, index === view[key])));
    select.addEventListener("change", () => { view[key] = Number(select.value); drawFronts(); });
  }

  function drawAll() {
    drawFronts();
    drawCurve("by-evaluations", "evaluated", "evaluations");
    drawCurve("by-seconds", "seconds", "seconds");
  }

  choose("across", "across");
  choose("up", "up");
  for (const id of ["log-across", "log-up"]) element(id).addEventListener("change", drawFronts);
  const box = element("surfaces");
  if (box) {
    box.checked = view.surfaces;
    box.addEventListener("change", () => { view.surfaces = box.checked; drawFronts(); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
