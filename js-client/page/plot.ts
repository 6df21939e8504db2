/** Numbers of a stream as lines, drawn as SVG: they move as the items come. */

import { el, fill, peerText } from "./dom.js";
import { type Series, linesOf, rangeOf } from "./live.js";
import { label } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 140;
const MARGIN = 3;

/** A plot; `draw` shows how the lines are now. */
export interface Plot {
  readonly element: HTMLElement;
  draw(series: readonly Series[]): void;
}

export function plot(): Plot {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${WIDTH + 2 * MARGIN} ${HEIGHT + 2 * MARGIN}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("class", "live-lines");
  drawing.setAttribute("role", "img");
  const top = el("span", { class: "bound" });
  const bottom = el("span", { class: "bound" });
  const legend = el("p", { class: "legend" });
  let names = "";
  return {
    element: el("div", { class: "live-plot" }, el("div", { class: "live-box" }, top, drawing, bottom), legend),
    draw: (series) => {
      const range = rangeOf(series);
      if (range === null) {
        return;
      }
      top.textContent = shortNumber(range.greatest);
      bottom.textContent = shortNumber(range.least);
      drawing.setAttribute("aria-label", `The numbers as lines, from ${shortNumber(range.least)} to ${shortNumber(range.greatest)}`);
      const lines = series.flatMap(({ values }, at) =>
        linesOf(values, range, WIDTH, HEIGHT).map((points) => {
          const line = document.createElementNS(SVG, "polyline");
          line.setAttribute("class", `series-${at}`);
          line.setAttribute("points", points);
          return line;
        }),
      );
      drawing.replaceChildren(...lines);
      const now = series.map(({ name }) => name).join("\n");
      if (now !== names) {
        names = now;
        // One line without a name needs none.
        fill(legend, ...series.map(({ name }, at) => (name === "" ? null : el("span", { class: `legend-entry series-${at}` }, peerText(label(name, 30))))));
      }
    },
  };
}

/** A number as short as a bound of a plot may be. */
export function shortNumber(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e9 ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}
