"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(`payload-${id}`).textContent);
  const figures = read("figures");
  const themes = read("themes");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const views = new Map();
  let choice = "auto";

  const paint = (node, colours) => {
    if (Array.isArray(node)) return node.map((item) => paint(item, colours));
    if (node && typeof node === "object") return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, paint(value, colours)]));
    return typeof node === "string" && Object.hasOwn(colours, node) ? colours[node] : node;
  };

  const theme = () => (choice === "auto" ? (dark.matches ? "dark" : "light") : choice);

  // A chart that is hidden (in a folded part) has no width to fill: it is drawn when it is first shown.
  const draw = async (element) => {
    if (!element.clientWidth) return;
    const name = theme();
    if (element.dataset.theme === name) return;
    element.dataset.theme = name;
    const spec = { ...figures[element.dataset.figure][Number(element.dataset.panel)], config: themes.config };
    const result = await window.vegaEmbed(element, paint(spec, themes[name]), { actions: false, renderer: "svg", ast: true, tooltip: { theme: "custom" } });
    views.get(element)?.finalize();
    views.set(element, result);
    element.dataset.drawn = "yes";
  };

  const drawAll = () => document.querySelectorAll(".chart").forEach((element) => draw(element).catch((error) => failed(element, error)));

  const failed = (element, error) => {
    element.textContent = `This chart could not be drawn (${error.message}); its numbers are below.`;
    element.dataset.drawn = "no";
    console.error(error);
  };

  const save = (content, name) => {
    const link = document.createElement("a");
    link.href = content;
    link.download = name;
    link.click();
  };

  const savePicture = (button) => {
    const image = document.querySelector(`#figure-${button.dataset.key} img.static`);
    if (button.dataset.save === "svg") return save(image.src, `${button.dataset.key}.svg`);
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = picture.naturalWidth * 2;
      canvas.height = picture.naturalHeight * 2;
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      save(canvas.toDataURL("image/png"), `${button.dataset.key}.png`);
    };
    picture.src = image.src;
  };

  const setTheme = (next) => {
    choice = next;
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    document.getElementById("theme").textContent = `Theme: ${next}`;
    drawAll();
  };

  const order = ["auto", "light", "dark"];
  const toggle = document.getElementById("theme");
  toggle.hidden = false;
  toggle.addEventListener("click", () => setTheme(order[(order.indexOf(choice) + 1) % order.length]));
  dark.addEventListener("change", drawAll);
  document.querySelectorAll("details").forEach((details) => details.addEventListener("toggle", drawAll));
  document.querySelectorAll(".save").forEach((span) => { span.hidden = false; });
  document.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", () => savePicture(button)));

  // Paper cannot be unfolded: the tables are printed open.
  const folded = [...document.querySelectorAll("details.more")].filter((details) => !details.open);
  window.addEventListener("beforeprint", () => folded.forEach((details) => { details.open = true; }));
  window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

  const csv = document.getElementById("save-csv");
  csv.hidden = false;
  csv.addEventListener("click", () => save(URL.createObjectURL(new Blob([read("csv")], { type: "text/csv" })), "data.csv"));

  root.classList.remove("no-script");
  const asked = new URLSearchParams(location.hash.slice(1)).get("theme");
  setTheme(order.includes(asked) ? asked : "auto");
})();
