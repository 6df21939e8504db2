/** A file in a result: what it is, a button that fetches it, and how far that is. */

import type { RpcFile } from "../src/file.js";
import { button, el, fill, peerText, show } from "./dom.js";
import { failureOf } from "./failure.js";
import { bytesWords, progressBar } from "./progress.js";
import { byteSize, label, shorten } from "./text.js";

/** A file on the page. `release`: it is wanted no more. */
export interface FileView {
  readonly element: HTMLElement;
  release(): void;
}

export function fileView(file: RpcFile): FileView {
  const bar = progressBar("receiving the file", bytesWords);
  const place = el("span", { class: "file-actions" });
  const said = el("p", { class: "problem", role: "alert", hidden: true });
  const element = el(
    "div",
    { class: "bytes remote-file", "data-state": "offered" },
    el("p", { class: "file-line" }, el("span", {}, peerText(label(file.name, 80)), `, ${byteSize(file.size)}`), place),
    bar.element,
    said,
  );
  let url: string | null = null;
  let stopped = false;

  const state = (now: "offered" | "coming" | "saved" | "failed"): void => {
    element.dataset["state"] = now;
  };
  const failed = (words: string): void => {
    said.textContent = words;
    show(said, true);
    fill(place);
    state("failed");
  };
  const fetch = async (): Promise<void> => {
    fill(place, stop);
    state("coming");
    try {
      const blob = await file.blob({ progress: (done, total) => bar.tell(done, total, null) });
      if (stopped) {
        return;
      }
      // Whatever its type says: a browser must save it, and never open it as a page of ours.
      url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
      const link = el("a", { class: "button plain", download: file.safeName }, "Save again");
      link.href = url;
      fill(place, link);
      state("saved");
      link.click();
    } catch (error) {
      const { title, message } = failureOf(error);
      failed(stopped ? "Stopped. Call again to get it." : `${title}. ${shorten(message, 300)}`);
    } finally {
      bar.clear();
    }
  };
  const stop = button("Stop", "danger", () => {
    stopped = true;
    file.cancel();
    failed("Stopped. Call again to get it.");
  });
  fill(
    place,
    button("Download", "plain", () => void fetch()),
  );
  return {
    element,
    release: () => {
      stopped = true;
      file.cancel();
      if (url !== null) {
        URL.revokeObjectURL(url);
      }
    },
  };
}
