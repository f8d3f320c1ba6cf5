"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const predictions = read("predictions");
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const drawn = new Set();

  // Texts of charts may have a few tags of HTML, and formulas; those of users must not.
  const plain = (text) => text.replace(/[&<>$]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  const drawIn = (panel) => {
    for (const place of panel.querySelectorAll(".chart")) {
      if (charts[place.id] && !drawn.has(place.id)) {
        drawn.add(place.id);
        Plotly.newPlot(place, charts[place.id].data, charts[place.id].layout, config);
      }
    }
  };

  const cut = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);

  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = (chosen) => {
    for (const tab of tabs) {
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      panel.hidden = tab !== chosen;
      if (tab === chosen) {
        drawIn(panel);
        if (panel.querySelector("#examples")) showPredictions();
      }
    }
  };
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const next = tabs[(place + move + tabs.length) % tabs.length];
      next.focus();
      select(next);
    });
  });

  let chosen = 0;
  let filter = "all";
  const kinds = {
    all: () => true,
    "wrong at the end": (example) => example.predicted.at(-1) !== example.label,
    "right late": (example) => example.predicted.at(-1) === example.label
      && example.predicted.some((predicted) => predicted !== example.label),
    "right at once": (example) => example.predicted.every((predicted) => predicted === example.label),
  };
  const step = () => Number(document.getElementById("step").value);
  const nameOf = (label) => predictions.classes[label];

  const showExamples = () => {
    const place = document.getElementById("examples");
    const t = step() - 1;
    place.replaceChildren(...predictions.examples.flatMap((example, index) => {
      if (!kinds[filter](example)) return [];
      const button = document.createElement("button");
      button.className = "example";
      button.setAttribute("aria-pressed", String(index === chosen));
      const picture = document.createElement("img");
      picture.src = example.pictures[Math.min(t, example.pictures.length - 1)];
      picture.alt = `test input ${example.index}`;
      const right = example.predicted[t] === example.label;
      const verdict = document.createElement("span");
      verdict.className = right ? "right" : "wrong";
      verdict.textContent = `${right ? "✓" : "✗"} ${nameOf(example.predicted[t])}`;
      const truth = document.createElement("div");
      truth.textContent = right ? "" : `is ${nameOf(example.label)}`;
      button.append(picture, verdict, truth);
      button.addEventListener("click", () => { chosen = index; showPredictions(); });
      return [button];
    }));
  };

  // The likeliest classes at any step, and the true one: others would only be lines at zero.
  const showProbabilities = () => {
    const example = predictions.examples[chosen];
    if (!example) return;
    const t = step();
    const picture = document.getElementById("picture");
    picture.src = example.pictures[Math.min(t - 1, example.pictures.length - 1)];
    const steps = example.probabilities.map((_, index) => index + 1);
    const percent = (label) => example.probabilities.map((row) => (row[label] === null ? null : 100 * row[label]));
    const peak = (label) => Math.max(...percent(label));
    const likely = predictions.classes.map((_, label) => label)
      .filter((label) => label !== example.label).sort((a, b) => peak(b) - peak(a)).slice(0, 4);
    const dashes = ["dash", "dot", "dashdot", "longdash"];
    const colors = ["#d55e00", "#0072b2", "#cc79a7", "#56b4e9"];
    const symbols = ["square", "triangle-up", "diamond", "x"];
    const line = (label, look, symbol, name) => ({
      type: "scatter", mode: "lines+markers", x: steps, y: percent(label),
      name: plain(name), line: look, marker: { symbol, size: 8 },
      hovertemplate: "step %{x}: %{y:.1f} %",
    });
    const data = [line(example.label, { color: "#000000", width: 3 }, "circle", `${cut(nameOf(example.label))} (true)`)];
    likely.forEach((label, place) => data.push(
      line(label, { color: colors[place], width: 2, dash: dashes[place] }, symbols[place], cut(nameOf(label)))));
    Plotly.react(document.getElementById("probabilities"), data, {
      title: { text: `Test input ${example.index}: class probabilities`,
        font: { size: 15 }, x: 0.02, y: 0.97, yanchor: "top" },
      xaxis: { title: { text: "time-steps used", standoff: 10 }, automargin: true, dtick: steps.length <= 16 ? 1 : null,
        range: [0.8, steps.length + 0.2] },
      yaxis: { title: { text: "probability (%)" }, range: [-3, 103], automargin: true },
      shapes: [{ type: "line", x0: t, x1: t, yref: "paper", y0: 0, y1: 1, line: { color: "#7f7f7f", dash: "dot" } }],
      margin: { l: 60, r: 20, t: 50, b: 50 }, height: 440, template: "none",
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", entrywidth: 0 },
      font: { family: getComputedStyle(document.body).fontFamily },
    }, config);
  };

  const showPredictions = () => {
    const t = step();
    document.getElementById("step-name").textContent = String(t);
    document.getElementById("step-accuracy").textContent =
      `${(100 * predictions.accuracy[t - 1]).toFixed(2)} % of ${predictions.count.toLocaleString("en")} test inputs are right`;
    if (predictions.confusion) {
      const title = `Confusion after ${t} time-step${t > 1 ? "s" : ""}`;
      const counts = predictions.confusion[t - 1];
      const text = counts.map((row) => row.map((count) => (count ? String(count) : "")));
      Plotly.update(document.getElementById("confusion"), { z: [counts], text: [text] }, { "title.text": title });
    }
    showExamples();
    showProbabilities();
  };

  if (predictions) {
    const slider = document.getElementById("step");
    const last = predictions.accuracy.length;
    slider.max = slider.value = String(last);
    document.getElementById("last-step").textContent = String(last);
    slider.addEventListener("input", showPredictions);
    const filters = document.getElementById("filters");
    for (const [name, holds] of Object.entries(kinds)) {
      const count = predictions.examples.filter(holds).length;
      const button = document.createElement("button");
      button.textContent = `${name} (${count})`;
      button.setAttribute("aria-pressed", String(name === filter));
      button.disabled = count === 0;
      button.addEventListener("click", () => {
        filter = name;
        for (const other of filters.children) other.setAttribute("aria-pressed", String(other === button));
        if (!holds(predictions.examples[chosen])) chosen = predictions.examples.findIndex(holds);
        showPredictions();
      });
      filters.append(button);
    }
  }
  select(tabs[0]);
})();
