/** A line of the last measurements, drawn as SVG. */

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 40;
const WIDTH = 120;
const HEIGHT = 24;

/** A sparkline; it is decoration: the number beside it says what counts. */
export function spark(): { readonly element: SVGSVGElement; push(value: number): void } {
  const element = document.createElementNS(SVG, "svg");
  element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  element.setAttribute("class", "spark");
  element.setAttribute("aria-hidden", "true");
  element.setAttribute("preserveAspectRatio", "none");
  const line = document.createElementNS(SVG, "polyline");
  element.append(line);
  const values: number[] = [];
  return {
    element,
    push: (value) => {
      values.push(value);
      values.splice(0, values.length - POINTS);
      line.setAttribute("points", sparkPoints(values));
    },
  };
}

/** The points of the line, newest at the right. The scale starts at zero, so that noise does not look like trouble. */
export function sparkPoints(values: readonly number[]): string {
  const top = Math.max(...values, 1) * 1.15;
  const step = WIDTH / (POINTS - 1);
  const start = WIDTH - step * (values.length - 1);
  return values
    .map((value, index) => `${(start + index * step).toFixed(1)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`)
    .join(" ");
}
