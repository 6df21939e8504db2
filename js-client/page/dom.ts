/** Builds the page's elements. Text becomes text nodes, never markup; no attribute that could run anything can be set. */

import { shorten } from "./text.js";

type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;
type Child = Node | string | null | undefined | false;

// Attributes whose value a browser runs, loads or parses as a document have their own, narrow ways in (links, images).
const FORBIDDEN = /^(on|src|href|style$|action|formaction|data$)/iu;

/** `el("p", { class: "note" }, "text", child)`: an attribute that is true is set empty; false, null and undefined leave it out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (FORBIDDEN.test(name)) {
      throw new TypeError(`the attribute ${name} is not set this way`);
    }
    if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

export function append(parent: Node, children: readonly Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(typeof child === "string" ? document.createTextNode(child) : child);
    }
  }
}

/** Put `children` in the place of all that `parent` holds. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

export function show(element: HTMLElement, visible: boolean): void {
  element.hidden = !visible;
}

/** The element of `index.html` with this id. It is our own file: not finding it is a bug. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) {
    throw new Error(`index.html: expected an element #${id}`);
  }
  return element;
}

/** Text that a peer chose, on its own: its writing direction can't reach what stands beside it. */
export function peerText(text: string, attributes: Attributes = {}): HTMLElement {
  return el("bdi", { dir: "auto", ...attributes }, text);
}

/** Long text of a peer: its beginning, and a button that shows the rest. */
export function longText(text: string, most: number, attributes: Attributes = {}): HTMLElement {
  const body = peerText(shorten(text, most), { class: "peer-text", ...attributes });
  if (text.length <= most) {
    return body;
  }
  const more = button(`Show all (${text.length.toLocaleString("en")} characters)`, "link", () => {
    const whole = more.getAttribute("aria-expanded") === "true";
    body.textContent = whole ? shorten(text, most) : text;
    more.setAttribute("aria-expanded", String(!whole));
    more.textContent = whole ? `Show all (${text.length.toLocaleString("en")} characters)` : "Show less";
  });
  more.setAttribute("aria-expanded", "false");
  return el("div", { class: "long-text" }, body, more);
}

export function button(label: string, kind: "primary" | "plain" | "danger" | "link", act: () => void): HTMLButtonElement {
  const element = el("button", { type: "button", class: `button ${kind}` }, label);
  element.addEventListener("click", act);
  return element;
}

let last = 0;

/** An id that no other element of the page has: ids tie labels, hints and errors to their fields. */
export function newId(prefix: string): string {
  last += 1;
  return `${prefix}-${last}`;
}

/** A link that saves `bytes` as a file; the bytes are let go `onRemove`. The browser never opens them as a page. */
export function download(
  bytes: Uint8Array,
  name: string,
  label: string,
  type = "application/octet-stream",
): { readonly link: HTMLAnchorElement; readonly url: string } {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
  const link = el("a", { class: "button plain", download: name }, label);
  link.href = url;
  return { link, url };
}
