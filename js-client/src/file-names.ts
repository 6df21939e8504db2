/** The names of files that the other side chose, made harmless: nothing in one leads out of a folder, hides, or means a device. */

const READ = 4096; // characters of a name that are looked at, from its end
const LONGEST = 200; // bytes: file systems take 255
const LONGEST_SUFFIX = 20;
const NOTHING = "file";
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const SPECIAL = /[<>:"|?*]/gu;
const ENDS = /^[.\s]+|[.\s]+$/gu;
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)/iu;

/**
 * The name under which a file called `name` by the other side may be saved, on any system: the last part of a path in either notation, without
 * control and formatting characters, without dots and spaces at its ends, at most 200 bytes long. Never empty.
 */
export function safeName(name: string): string {
  const last = name.slice(-READ).split(/[/\\]/u).at(-1) ?? "";
  const kept = cut(last.normalize("NFC").replace(INVISIBLE, "").replace(SPECIAL, "_").replace(ENDS, ""));
  return (DEVICE.test(kept) ? `_${kept}` : kept) || NOTHING;
}

function cut(name: string): string {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= LONGEST) return name;
  const dot = name.lastIndexOf(".");
  const suffix = dot < 0 ? "" : name.slice(dot);
  const tail = new TextEncoder().encode(suffix).length;
  const keepsTail = tail > 1 && tail <= LONGEST_SUFFIX + 1;
  const stem = new TextDecoder().decode(bytes.subarray(0, LONGEST - (keepsTail ? tail : 0)), { stream: true }).replace(ENDS, "");
  return keepsTail ? stem + suffix : stem;
}
