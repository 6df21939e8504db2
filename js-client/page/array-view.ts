/** Arrays of numbers on the page: pictures on a canvas, a row of numbers as a line, all else in words. */

import type { NdArray } from "../src/core/arrays.js";
import { type Picture, arrayWords, firstItems, npyOf, pictureOf, pixelsOf, plotLines, summaryOf } from "./array-kind.js";
import { download, el } from "./dom.js";
import { byteSize } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 160;
const MARGIN = 4;
const FIRST = 24;

/** `array`, shown as what it looks like. `stem` begins the name of the file when it is saved; its address is put into `urls`. */
export function arrayView(array: NdArray, stem: string, urls: string[]): HTMLElement {
  const picture = pictureOf(array);
  const element = el("div", { class: "array" }, picture === null ? numbers(array) : canvas(array, picture));
  const words = `${arrayWords(array)}, ${byteSize(array.data.byteLength)}`;
  const saved = download(npyOf(array), `${stem}.npy`, "Save for NumPy");
  urls.push(saved.url);
  element.append(el("p", { class: "file-line" }, el("span", {}, words), saved.link));
  return element;
}

function canvas(array: NdArray, picture: Picture): HTMLElement {
  const { width, height } = picture;
  const element = el("canvas", {
    class: width < 256 && height < 256 ? "picture pixels" : "picture",
    role: "img",
    "aria-label": `The array as a picture of ${width} times ${height} pixels`,
    width,
    height,
  });
  const context = element.getContext("2d");
  if (context === null) {
    return el("p", { class: "muted" }, "This browser can't draw the picture.");
  }
  context.putImageData(new ImageData(pixelsOf(array, picture), width, height), 0, 0);
  return element;
}

function numbers(array: NdArray): HTMLElement {
  const summary = summaryOf(array);
  const element = el("div", {});
  if (summary !== null && array.shape.length === 1 && array.data.length > 1 && array.dtype !== "b1") {
    element.append(plot(plotLines(array, summary, WIDTH, HEIGHT), summary.least, summary.greatest));
  }
  element.append(el("p", { class: "value number" }, array.data.length === 0 ? "no items" : firstItems(array, FIRST)));
  if (summary !== null && array.data.length > 1) {
    const { least, greatest, mean, finite } = summary;
    const others = array.data.length - finite;
    element.append(
      el(
        "p",
        { class: "muted" },
        `least ${short(least)}, greatest ${short(greatest)}, mean ${short(mean)}`,
        others === 0 ? null : `; ${others.toLocaleString("en")} not finite`,
      ),
    );
  }
  return element;
}

function plot(lines: readonly string[], least: number, greatest: number): SVGSVGElement {
  const element = document.createElementNS(SVG, "svg");
  element.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${WIDTH + 2 * MARGIN} ${HEIGHT + 2 * MARGIN}`);
  element.setAttribute("class", "plot");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `The items as a line, from ${short(least)} to ${short(greatest)}`);
  for (const points of lines) {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", points);
    element.append(line);
  }
  return element;
}

function short(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
}
