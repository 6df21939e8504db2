/** A field for a file: chosen or dropped, and how far it is while it is sent. */

import { FileSource } from "../src/file.js";
import type { Changed, Control } from "./controls.js";
import { el, newId } from "./dom.js";
import { bytesWords, progressBar } from "./progress.js";
import { byteSize } from "./text.js";

export function fileSourceControl(changed: Changed): Control {
  const box = el("input", { type: "file", id: newId("field") });
  const note = el("span", { class: "hint" });
  const bar = progressBar("sending the file", bytesWords);
  const zone = el("div", { class: "file drop-zone" }, box, note, bar.element);
  // What an earlier call sent; a file box can't be filled by a script with anything but what was dropped.
  let kept: File | null = null;

  const chosen = (): File | null => box.files?.[0] ?? kept;
  const show = (): void => {
    bar.clear();
    const file = chosen();
    note.textContent = file === null ? "or drop one here" : kept === null ? byteSize(file.size) : `${file.name}, ${byteSize(file.size)}`;
  };
  show();
  box.addEventListener("change", () => {
    kept = null;
    show();
    changed();
  });
  const dragged = (event: DragEvent, over: boolean): void => {
    event.preventDefault();
    zone.classList.toggle("over", over);
  };
  zone.addEventListener("dragover", (event) => dragged(event, true));
  zone.addEventListener("dragleave", (event) => dragged(event, false));
  zone.addEventListener("drop", (event) => {
    dragged(event, false);
    const files = event.dataTransfer?.files;
    if (files !== undefined && files.length > 0) {
      box.files = files;
      box.dispatchEvent(new Event("change"));
    }
  });

  return {
    element: zone,
    target: box,
    read: async () => {
      bar.clear();
      const file = chosen();
      return { type: "source", source: file === null ? null : new FileSource(file, { progress: (done, total) => bar.tell(done, total, null) }) };
    },
    write: (input) => {
      box.value = "";
      const blob = input.type === "source" ? input.source?.blob : undefined;
      kept = blob instanceof File ? blob : null;
      show();
    },
    point: () => false,
    clear: () => {
      box.removeAttribute("aria-invalid");
    },
  };
}

/** A file that is dropped beside a field would be opened in the place of the page. */
export function refuseStrayDrops(): void {
  for (const kind of ["dragover", "drop"] as const) {
    window.addEventListener(kind, (event) => event.preventDefault());
  }
}
