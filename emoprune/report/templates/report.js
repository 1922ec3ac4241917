"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const objectives = data.objectives;
  const byId = new Map(data.candidates.map((candidate) => [candidate.id, candidate]));
  const POSITION = -1; // the axis of a search with one objective: when a candidate was evaluated
  const view = {
    // One objective is drawn over the evaluations, which are those of the search.
    split: objectives.length > 1 ? data.split : "search",
    all: false,
    across: objectives.length > 1 ? 1 : POSITION,
    up: 0,
    colour: objectives.length > 2 ? 2 : null,
    chosen: null,
  };
  const element = (id) => document.getElementById(id);
  const narrow = () => window.innerWidth < 700;

  // ---- words

  // Plotly reads tags and entities in every text it draws.
  const inert = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shortened = (text, length) => (text.length > length ? text.slice(0, length - 3) + "..." : text);

  function written(value) {
    if (value === null || value === undefined) return "-";
    if (Number.isInteger(value)) return value.toLocaleString("en-GB");
    const size = Math.abs(value);
    return size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toPrecision(4);
  }

  const withUnit = (value, objective) => (written(value) + " " + objective.unit).trim();

  function make(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // ---- how plots look

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function layout(members) {
    return {
      paper_bgcolor: colour("paper"), plot_bgcolor: colour("paper"),
      font: { color: colour("ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
      margin: { l: 60, r: 20, t: 20, b: 50 }, hovermode: "closest",
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") }, align: "left" },
      ...members,
    };
  }

  function axis(title, members) {
    return {
      title: { text: inert(title), standoff: 8 }, automargin: true, exponentformat: "SI",
      gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, ...members,
    };
  }

  const config = {
    responsive: true, displaylogo: false, plotlyServerURL: "", showTips: false, toImageButtonOptions: { format: "svg" },
    // Named one by one: the library's own choice includes sending the plot to a web service.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  function draw(id, traces, members, withTools = false) {
    return Plotly.react(element(id), traces, layout(members), { ...config, displayModeBar: withTools && !narrow() ? "hover" : false });
  }

  function sayInstead(id, words) {
    element(id).replaceChildren(make("p", words, "notice"));
  }

  // ---- the front

  const label = (index) => (index === POSITION ? "evaluations" : objectives[index].label);
  const scale = (id) => (element(id) && element(id).checked ? "log" : "linear");
  const shown = (candidate) => candidate.values[view.split].every((value) => value !== null);
  const at = (candidate, index) => (index === POSITION ? candidate.position : candidate.values[view.split][index]);

  function hover(title, values) {
    const lines = objectives.map((objective, index) => inert(objective.name + ": " + withUnit(values[index], objective)));
    return ["<b>" + inert(title) + "</b>", ...lines].join("<br>");
  }

  const titleOf = (candidate) => "candidate " + candidate.id + (candidate.notes ? ", " + candidate.notes : "");

  // A standard error to each side; nothing where a number has none.
  function spread(candidates, index) {
    const errors = candidates.map((candidate) => reach(candidate, index));
    if (errors.every((error) => error === 0)) return {};
    return { type: "data", array: errors, thickness: 1, width: 3, color: colour("cloud") };
  }

  function points(candidates, members) {
    return {
      type: "scatter", mode: "markers", hoverinfo: "text",
      x: candidates.map((candidate) => at(candidate, view.across)),
      y: candidates.map((candidate) => at(candidate, view.up)),
      error_x: spread(candidates, view.across), error_y: spread(candidates, view.up),
      hovertext: candidates.map((candidate) => hover(titleOf(candidate), candidate.values[view.split])),
      customdata: candidates.map((candidate) => candidate.id),
      ...members,
    };
  }

  function cloud(feasible) {
    const kept = data.cloud.feasible.map((fits, row) => (fits === feasible ? row : -1)).filter((row) => row >= 0);
    const pick = (values) => kept.map((row) => values[row]);
    const column = (index) => pick(index === POSITION ? data.cloud.positions : data.cloud.values[index]);
    return {
      type: "scatter", mode: "markers", hoverinfo: "text", name: feasible ? "evaluated" : (data.cloud.graded ? "given up, or breaks" : "breaks") + " a constraint",
      x: column(view.across), y: column(view.up), customdata: pick(data.cloud.ids),
      hovertext: kept.map((row) =>
        hover("candidate " + data.cloud.ids[row], data.cloud.values.map((values) => values[row]))),
      marker: feasible
        ? { color: colour("cloud"), size: 5, opacity: 0.4 }
        : { color: colour("broken"), size: 6, opacity: 0.4, symbol: "x-thin-open" },
    };
  }

  function bestSoFar() {
    return {
      type: "scatter", mode: "lines", name: "best so far", hoverinfo: "skip",
      x: data.best.positions, y: data.best.values, line: { color: colour("front"), shape: "hv", width: 2 },
    };
  }

  function frontMarker(candidates) {
    const plain = { color: colour("front"), size: 9, line: { color: colour("paper"), width: 1 } };
    if (view.colour === null) return plain;
    const named = objectives[view.colour];
    return {
      ...plain, color: candidates.map((candidate) => at(candidate, view.colour)), colorscale: "Viridis",
      colorbar: { title: { text: inert(named.label), side: "right" }, thickness: 12, exponentformat: "SI" },
    };
  }

  // ---- what the axes show, and which names have room there

  const keeps = (candidate) => candidate.limits.every(([, , , holds]) => holds);

  // How far an error bar reaches to each side.
  const reach = (candidate, index) => (index === POSITION ? 0 : candidate.errors[view.split][index] ?? 0);

  // Where all points lie that keep the constraints, or all points, with the ends of their error bars: [x, y] each.
  function places(broken) {
    const own = data.candidates.filter((candidate) => shown(candidate) && (broken || keeps(candidate)));
    const found = own.flatMap((candidate) => [-1, 1].map((side) =>
      [view.across, view.up].map((index) => at(candidate, index) + side * reach(candidate, index))));
    if (view.split !== "search") return found;
    const column = (index) => (index === POSITION ? data.cloud.positions : data.cloud.values[index]);
    const [across, up] = [column(view.across), column(view.up)];
    data.cloud.feasible.forEach((fits, row) => { if (broken || fits) found.push([across[row], up[row]]); });
    return found;
  }

  function extent(values, id) {
    const log = scale(id) === "log";
    const drawn = (log ? values.filter((value) => value > 0).map(Math.log10) : values);
    const [low, high] = drawn.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    if (!(high > low)) return null;
    return { low: low - 0.06 * (high - low), high: high + 0.1 * (high - low), log };
  }

  // What the axes show: null where the points say nothing of it, and plotly decides.
  function extents() {
    const fitting = places(false);
    const wanted = view.all || fitting.length === 0 ? places(true) : fitting;
    return { across: extent(wanted.map(([x]) => x), "log-across"), up: extent(wanted.map(([, y]) => y), "log-up") };
  }

  function part(value, range) {
    if (range === null) return 0.5;
    return ((range.log ? Math.log10(value) : value) - range.low) / (range.high - range.low);
  }

  const outside = ([x, y], ranges) =>
    [part(x, ranges.across), part(y, ranges.up)].some((where) => !(where >= 0 && where <= 1));

  const NAMED = 8; // more names on one plot are noise; every point says its own on hover

  // Whose names are written: the unpruned, then references on the front, then others, as far as there is room.
  function titled(candidates, ranges) {
    const place = (candidate) => [at(candidate, view.across), at(candidate, view.up)];
    const seen = candidates.filter((candidate) => !outside(place(candidate), ranges));
    seen.sort((one, other) => (other.kind === "unpruned") - (one.kind === "unpruned") || other.on_front - one.on_front || one.id - other.id);
    const [width, height] = [element("front-plot").clientWidth - 80, narrow() ? 300 : 430];
    const taken = [];
    seen.forEach((candidate) => {
      const [x, y] = place(candidate);
      const [middle, level] = [part(x, ranges.across) * width, part(y, ranges.up) * height];
      const half = 4 * shortened(candidate.name, 24).length;
      const free = taken.every((other) => Math.abs(middle - other.middle) > half + other.half || Math.abs(level - other.level) > 18);
      if (free && taken.length < NAMED) taken.push({ id: candidate.id, middle, half, level });
    });
    return new Set(taken.map(({ id }) => id));
  }

  function frontTraces(ranges) {
    const of = (kind) => data.candidates.filter((candidate) => candidate.kind === kind && shown(candidate));
    const front = of("front").sort((one, other) => at(one, view.across) - at(other, view.across));
    const knees = data.candidates.filter((candidate) => candidate.knee && shown(candidate));
    const chosen = data.candidates.filter((candidate) => candidate.id === view.chosen && shown(candidate));
    const ring = (size, name) => ({ symbol: "circle-open", size, color: colour(name), line: { width: 2 } });
    const named = { mode: "markers+text", textposition: "top center", cliponaxis: false };
    const roomy = titled([...of("unpruned"), ...of("reference")], ranges);
    const names = (candidates) =>
      candidates.map((candidate) => (roomy.has(candidate.id) ? inert(shortened(candidate.name, 24)) : ""));
    const symbols = of("reference").map((candidate) => (candidate.on_front ? "diamond" : "diamond-open"));
    const background = view.split === "search" ? [cloud(true), cloud(false)] : [];
    const line = data.best && view.split === "search" ? [bestSoFar()] : [];
    return [
      ...background, ...line,
      points(of("surpassed"), { name: "not on the front", marker: { color: colour("cloud"), size: 8, symbol: "circle-open" } }),
      points(front, { name: "front", marker: frontMarker(front) }),
      points(of("reference"), { ...named, name: "references (filled: on the front)", text: names(of("reference")),
        marker: { color: colour("reference"), size: 10, symbol: symbols } }),
      points(of("unpruned"), { ...named, name: "unpruned", text: names(of("unpruned")),
        marker: { color: colour("ink"), size: 15, symbol: "star" } }),
      points(knees, { name: "knee", marker: ring(16, "reference") }),
      points(chosen, { name: "chosen", showlegend: false, hoverinfo: "skip", marker: ring(22, "ink") }),
    ].filter((trace) => trace.x.length > 0);
  }

  function frontRemark() {
    const sampled = data.cloud.ids.length < data.cloud.all
      ? " " + written(data.cloud.ids.length) + " of " + written(data.cloud.all) + " evaluated candidates are drawn, evenly sampled." : "";
    if (view.split !== "search") return "Measured on " + view.split + ". Only the front and the references are measured again.";
    return "Measured on search: the numbers the search saw, not its results." + sampled;
  }

  const ranged = (range) => (range === null ? {} : { range: [range.low, range.high] });

  function drawFront() {
    const ranges = extents();
    const traces = frontTraces(ranges);
    if (traces.length === 0) {
      sayInstead("front-plot", "Nothing to draw: no evaluation has succeeded yet.");
      return;
    }
    draw("front-plot", traces, {
      height: narrow() ? 440 : 560,
      uirevision: [view.split, view.all, view.across, view.up, scale("log-across"), scale("log-up")].join(),
      xaxis: axis(label(view.across), { type: scale("log-across"), ...ranged(ranges.across) }),
      yaxis: axis(label(view.up), { type: scale("log-up"), ...ranged(ranges.up) }),
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0 },
    }, true);
    const hidden = view.all ? 0 : places(true).filter((place) => outside(place, ranges)).length;
    element("all").closest("label").hidden = !view.all && hidden === 0;
    element("all").checked = view.all;
    element("front-remark").textContent = frontRemark() + (hidden === 0 ? ""
      : " " + written(hidden) + (hidden === 1 ? " point that breaks" : " points that break") + " a constraint " + (hidden === 1 ? "lies" : "lie") + " outside of the axes.");
  }

  // ---- the chosen candidate

  function table(head, rows) {
    const made = make("table");
    const names = made.appendChild(make("thead")).appendChild(make("tr"));
    head.forEach((name, column) => {
      names.appendChild(make("th", name, column === 0 ? "words" : "")).scope = "col";
    });
    const body = made.appendChild(make("tbody"));
    rows.forEach((row) => {
      const line = body.appendChild(make("tr"));
      row.forEach((cell, column) => line.appendChild(make("td", cell, column === 0 ? "words" : "")));
    });
    return made;
  }

  function numbersOf(candidate) {
    const splits = ["search", "select", "test"].map((split) => split === "search" || data.splits.includes(split));
    const kept = (row) => row.filter((_, column) => column < 1 || column > 3 || splits[column - 1]);
    return table(kept(["objective", "search", "select", "test", "change"]), candidate.numbers.map(kept));
  }

  function pairs(rows) {
    const made = make("dl");
    rows.forEach(([name, words]) => made.append(make("dt", name), make("dd", words)));
    return made;
  }

  function textOf(candidate) {
    const made = make("p", undefined, "marked");
    // A line end that is deleted ends no line, and has to be seen all the same.
    candidate.text.forEach(([text, kept]) => made.append(make(kept ? "span" : "del", kept ? text : text.replace(/\n/g, "\u21b5"))));
    return made;
  }

  function limitsOf(candidate) {
    const made = make("dl");
    candidate.limits.forEach(([name, value, bound, holds]) => {
      const words = value + " (" + bound + ")" + (holds ? "" : ": broken");
      made.append(make("dt", name), make("dd", words, holds ? "holds" : "broken"));
    });
    return made;
  }

  function describe(candidate) {
    const parts = [make("h3", "Candidate " + candidate.id)];
    if (candidate.notes) parts[0].append(" (" + candidate.notes + ")");
    parts.push(make("p", "Born in " + candidate.born + ".", "remark"), numbersOf(candidate));
    if (candidate.limits.length) parts.push(limitsOf(candidate));
    if (candidate.text.length) parts.push(textOf(candidate));
    parts.push(candidate.keeps.length ? pairs(candidate.keeps) : make("p", "It is not described yet.", "remark"));
    parts.push(make("p", "Write it out, ready to use:"), make("code", candidate.command));
    element("details").replaceChildren(...parts);
  }

  function describeDominated(id) {
    const row = data.cloud.ids.indexOf(id);
    const numbers = objectives.map((objective, index) => [objective.name, withUnit(data.cloud.values[index][row], objective)]);
    const words = data.cloud.feasible[row]
      ? "It is dominated: another candidate is at least as good in everything." : "It " + (data.cloud.graded ? "was given up after some of the examples, or " : "") + "breaks a constraint.";
    element("details").replaceChildren(
      make("h3", "Candidate " + id),
      make("p", "Born in generation " + data.cloud.generations[row] + ". " + words, "remark"),
      table(["objective", "search"], numbers));
  }

  function choose(id) {
    view.chosen = id;
    document.querySelectorAll("tr[data-candidate]").forEach((row) => {
      if (Number(row.dataset.candidate) === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
    if (byId.has(id)) describe(byId.get(id));
    else describeDominated(id);
    const candidate = byId.get(id);
    if (candidate && shown(candidate) && outside([at(candidate, view.across), at(candidate, view.up)], extents())) view.all = true;
    drawFront();
  }

  // ---- the other plots

  function drawHypervolume() {
    const { evaluated, hypervolume, generation } = data.hypervolume;
    if (evaluated.length === 0) {
      sayInstead("hypervolume-plot", "Nothing to draw: no generation is finished yet.");
      return;
    }
    const texts = generation.map((index, row) => "generation " + index + "<br>" + written(hypervolume[row]));
    draw("hypervolume-plot", [{
      type: "scatter", mode: "lines+markers", x: evaluated, y: hypervolume, hovertext: texts, hoverinfo: "text",
      line: { color: colour("front"), width: 2 }, marker: { size: 5, color: colour("front") },
    }], { height: 300, xaxis: axis("evaluations", { rangemode: "tozero" }), yaxis: axis("hypervolume", { rangemode: "nonnegative" }) });
  }

  function ticks(texts, most) {
    const step = Math.max(1, Math.ceil(texts.length / most));
    const kept = texts.map((_, index) => index).filter((index) => index % step === 0);
    return { tickvals: kept, ticktext: kept.map((index) => inert(shortened(texts[index], 18))), zeroline: false, showgrid: false };
  }

  function drawGenes() {
    const { names, levels, ids, genomes, ordered_by: orderedBy, all } = data.genes;
    if (ids.length === 0) {
      sayInstead("genes-plot", "Nothing to draw: no candidate is on the front.");
      return;
    }
    const share = (level, gene) => (levels[gene] > 1 ? level / (levels[gene] - 1) : 1);
    const text = (row, gene) => "candidate " + ids[row] + "<br>" + inert(names[gene]) + "<br>level " +
      genomes[row][gene] + " of 0 to " + (levels[gene] - 1);
    draw("genes-plot", [{
      type: "heatmap", zmin: 0, zmax: 1, xgap: names.length < 60 ? 1 : 0, ygap: ids.length < 60 ? 1 : 0,
      z: genomes.map((genome) => genome.map(share)), hoverinfo: "text",
      text: genomes.map((genome, row) => genome.map((_, gene) => text(row, gene))),
      colorscale: [[0, colour("empty")], [1, colour("front")]],
      colorbar: { thickness: 12, tickvals: [0, 1], ticktext: ["lowest", "highest"], title: { text: "level", side: "right" } },
    }], {
      height: Math.min(900, Math.max(260, 110 + 17 * ids.length)),
      xaxis: axis("gene", { ...ticks(names, narrow() ? 12 : 40), side: "bottom" }),
      yaxis: axis("candidate", { ...ticks(ids.map(String), 50), autorange: "reversed" }),
    });
    element("genes-remark").textContent = "One row per candidate on the front, ordered by " + orderedBy + " on search" +
      (ids.length < all ? "; " + ids.length + " of " + all + " are drawn, evenly spread." : ".");
  }

  function stageLine(own, members) {
    const [across, up] = [view.across === POSITION ? 0 : view.across, view.up];
    const texts = own.ids.map((id, row) => hover(members.name + ", candidate " + id, own.values.map((values) => values[row])));
    return { type: "scatter", mode: "lines+markers", x: own.values[across], y: own.values[up], hovertext: texts, hoverinfo: "text", ...members };
  }

  function drawStages() {
    if (!element("stages-plot") || !data.stages) return;
    const { fronts, starts, joint, split } = data.stages;
    const hues = fronts.map((_, index) => "hsl(" + Math.round((360 * index) / fronts.length) + " 55% 55%)");
    const traces = [
      ...fronts.map((own, index) => stageLine(own, { name: own.name, line: { color: hues[index], width: 1 }, marker: { color: hues[index], size: 6 } })),
      stageLine(starts, { name: "began with", mode: "markers", marker: { color: colour("reference"), size: 7, symbol: "circle-open" } }),
      stageLine(joint, { name: "front", line: { color: colour("front"), width: 3 }, marker: { color: colour("front"), size: 8 } }),
    ].filter((trace) => trace.x.length > 0);
    draw("stages-plot", traces, {
      height: narrow() ? 400 : 480, xaxis: axis(label(view.across)), yaxis: axis(label(view.up)),
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0 },
    }, true);
    element("stages-remark").textContent = "Fronts as measured on " + split + "; what the search began with as measured on search.";
  }

  // ---- what a person can change

  function offer(id, texts, chosen, change) {
    const select = element(id);
    if (!select) return;
    texts.forEach(([value, text]) => select.add(new Option(text, value, false, String(value) === String(chosen))));
    select.addEventListener("change", () => { change(select.value); drawFront(); });
  }

  function listen() {
    const axes = objectives.map((objective, index) => [index, objective.label]);
    offer("split", data.splits.map((split) => [split, split]), view.split, (value) => { view.split = value; });
    offer("across", axes, view.across, (value) => { view.across = Number(value); });
    offer("up", axes, view.up, (value) => { view.up = Number(value); });
    offer("colour", [["none", "none"], ...axes], view.colour, (value) => { view.colour = value === "none" ? null : Number(value); });
    document.querySelectorAll(".needs-split").forEach((label) => { label.hidden = data.splits.length < 2; });
    if (element("all")) element("all").addEventListener("change", ({ target }) => { view.all = target.checked; drawFront(); });
    ["log-across", "log-up"].map(element).filter(Boolean).forEach((box) => box.addEventListener("change", drawFront));
    document.querySelectorAll("tr[data-candidate] button").forEach((button) => {
      button.addEventListener("click", () => choose(Number(button.closest("tr").dataset.candidate)));
    });
    ["front-plot", "genes-plot"].map(element).filter((plot) => plot.on).forEach((plot) => {
      plot.on("plotly_click", ({ points: [point] }) =>
        choose(plot.id === "genes-plot" ? data.genes.ids[point.y] : point.customdata));
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  }

  function drawAll() {
    drawFront();
    drawHypervolume();
    drawGenes();
    drawStages();
  }

  drawAll();
  listen();
  const first = data.candidates.find((candidate) => candidate.knee) || data.candidates.find((candidate) => candidate.kind !== "surpassed");
  if (first) choose(first.id);
})();
