"use strict";
// Draws every chart from the JSON beside it, in the page's colours, and again when those change.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  const figures = [...document.querySelectorAll("script[data-plot]")].map((script) => ({
    target: document.getElementById(script.dataset.plot),
    source: script.textContent,
  }));

  const draw = (width) => {
    const style = getComputedStyle(document.documentElement);
    const [ink, grid, paper, soft] = ["--ink", "--grid", "--paper", "--soft"].map((name) =>
      style.getPropertyValue(name).trim(),
    );
    for (const { target, source } of figures) {
      const { data, layout } = JSON.parse(source);
      for (const trace of data) {
        if (trace.meta && trace.meta.ink) {
          trace.line = { ...trace.line, color: ink };
        }
      }
      layout.font = { ...layout.font, color: ink, family: style.fontFamily };
      layout.modebar = { ...layout.modebar, color: soft, activecolor: ink };
      layout.hoverlabel = { ...layout.hoverlabel, bgcolor: paper, font: { color: ink } };
      for (const name of Object.keys(layout)) {
        if (/^[xy]axis\d*$/.test(name)) {
          Object.assign(layout[name], { gridcolor: grid, zerolinecolor: grid, linecolor: grid });
        }
      }
      if (width) {
        layout.width = width;
      }
      Plotly.react(target, data, layout, config);
    }
  };

  draw();
  dark.addEventListener("change", () => draw());
  window.addEventListener("beforeprint", () => draw(690));
  window.addEventListener("afterprint", () => draw());
})();
