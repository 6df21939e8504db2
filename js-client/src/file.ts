/** Files: named, sized and checked streams of bytes (protocol section 10.1). What is sent is a `Blob`, what comes an `RpcFile`. */

import { sha256 } from "@noble/hashes/sha2.js";

import * as codes from "./codes.js";
import { ApplicationError, EncodeError, FileDamaged, TooLarge } from "./errors.js";
import { safeName } from "./file-names.js";
import { RpcStream } from "./stream.js";

/** Told how many bytes are through, and how many there are. */
export type OnBytes = (done: number, total: number) => void;

/** What may be said of a file that is sent. `name` and `type` are those of the `File` where they are not given. */
export interface FileOptions {
  readonly name?: string | undefined;
  readonly type?: string | undefined;
  /** Send what follows this byte only: the rest of a file of which the other side has the beginning. */
  readonly offset?: number | undefined;
  readonly progress?: OnBytes | undefined;
}

/** How much of a file to take. */
export interface TakeOptions {
  readonly progress?: OnBytes | undefined;
  /** A longer file is refused with `TooLarge`, in bytes. */
  readonly limit?: number | undefined;
}

const CHUNK = 65_536; // bytes of an item that we send
const READ = 1_048_576; // bytes asked of a blob at a time: each answer comes from another process
const FOLD = 16_777_216; // bytes after which what came is made a blob, which a browser may keep on disk
const UNKNOWN = "application/octet-stream";
const MEMBERS: ReadonlySet<string> = new Set(["name", "size", "type", "modified", "offset", "content"]);

/** A `Blob` to send, with what is to be said of it: `robot.call.upload(new FileSource(blob, { name: "notes.txt", progress }))`. */
export class FileSource {
  constructor(
    readonly blob: Blob,
    readonly options: FileOptions = {},
  ) {
    const { offset = 0 } = options;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > blob.size) {
      throw new RangeError(`offset: expected 0 to ${blob.size}, the size of the file; got ${offset}`);
    }
  }
}

/** Whether `value` is sent as a file. */
export function isFile(value: object): value is Blob | FileSource | RpcFile {
  return value instanceof Blob || value instanceof FileSource || value instanceof RpcFile;
}

/** What travels of a file: a map with a stream in it. */
export function mapOf(file: Blob | FileSource | RpcFile): { [name: string]: unknown } {
  if (file instanceof RpcFile) {
    const { name, size, type, modified, offset } = file;
    return { name, size, type, ...(modified && { modified }), ...(offset > 0 && { offset }), content: file.items() };
  }
  const { blob, options } = file instanceof Blob ? new FileSource(file) : file;
  const isNamed = blob instanceof File;
  const name = options.name ?? (isNamed ? blob.name : "");
  if (name === "") throw new EncodeError("expected a name for the file: new FileSource(blob, { name }), or a File");
  const { offset = 0 } = options;
  return {
    name,
    size: blob.size,
    type: options.type ?? (blob.type || UNKNOWN),
    ...(isNamed && { modified: new Date(blob.lastModified) }),
    ...(offset > 0 && { offset }),
    content: itemsOfBlob(blob, offset, options.progress),
  };
}

async function* itemsOfBlob(blob: Blob, offset: number, progress: OnBytes | undefined): AsyncGenerator<unknown, void> {
  const digest = sha256.create();
  for (let start = 0; start < blob.size; start += READ) {
    const bytes = await read(blob, start);
    digest.update(bytes);
    for (let at = Math.max(0, offset - start); at < bytes.length; at += CHUNK) {
      const chunk = bytes.subarray(at, at + CHUNK);
      yield chunk;
      progress?.(start + at + chunk.length, blob.size);
    }
  }
  yield { sha256: digest.digest() };
}

async function read(blob: Blob, start: number): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.slice(start, start + READ).arrayBuffer());
  } catch {
    // The blob is a file that somebody has changed, moved or deleted since it was chosen.
    throw new ApplicationError("the file changed while it was sent", { code: codes.STREAM_BROKEN });
  }
}

/**
 * A file that the other side sends: `await file.blob()`, `await file.bytes()`, or chunk by chunk: `for await (const chunk of file)`, `file.stream`.
 *
 * Its content comes once. When all of it came it is held against the size and the SHA-256 that its sender told; where it differs `FileDamaged` is
 * thrown, behind the chunks that came.
 */
export class RpcFile implements AsyncIterable<Uint8Array> {
  /** What its sender calls it: any text. */
  readonly name: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Its media type, such as `image/png`; nobody has checked that. */
  readonly type: string;
  /** When it was last changed, where that was told. */
  readonly modified: Date | null;
  /** Where the content begins: above 0 where the rest of a file was asked for. Then its checksum is not looked at: it is that of the whole. */
  readonly offset: number;
  readonly #content: RpcStream;
  #begun = false;

  /** Made of what came, by `fileFrom`. */
  constructor(told: { readonly [name: string]: unknown }) {
    this.name = told["name"] as string;
    this.size = told["size"] as number;
    this.type = told["type"] as string;
    this.modified = (told["modified"] as Date | null | undefined) ?? null;
    this.offset = (told["offset"] as number | undefined) ?? 0;
    this.#content = told["content"] as RpcStream;
  }

  /** The name without what would lead out of a folder, hide, or mean a device; never empty. */
  get safeName(): string {
    return safeName(this.name);
  }

  /** The content as a stream of chunks. */
  get stream(): ReadableStream<Uint8Array> {
    const chunks = this.#chunks();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: (reason: unknown) => this.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void> {
    return this.#chunks();
  }

  /** All of it, of its own type. */
  async blob(options: TakeOptions = {}): Promise<Blob> {
    this.#refuse(options.limit);
    const folded: Blob[] = [];
    let parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.#chunks(options.progress)) {
      parts.push(chunk);
      size += chunk.length;
      if (size >= FOLD) {
        folded.push(new Blob(parts as Uint8Array<ArrayBuffer>[]));
        parts = [];
        size = 0;
      }
    }
    return new Blob([...folded, ...(parts as Uint8Array<ArrayBuffer>[])], { type: this.type });
  }

  /** All of it, in memory. */
  async bytes(options: TakeOptions = {}): Promise<Uint8Array> {
    return new Uint8Array(await (await this.blob(options)).arrayBuffer());
  }

  /** Wants no more of it; the other side is told. */
  cancel(reason: unknown = null): void {
    this.#content.cancel(reason);
  }

  /** What is sent where it is passed on. */
  async *items(): AsyncGenerator<unknown, void> {
    this.#begin();
    yield* this.#content;
  }

  async *#chunks(progress?: OnBytes): AsyncGenerator<Uint8Array, void> {
    this.#begin();
    const digest = this.offset === 0 ? sha256.create() : null;
    let told: Uint8Array | null = null;
    let done = this.offset;
    for await (const item of this.#content) {
      if (told !== null) throw this.#damaged("something came behind its checksum");
      if (item instanceof Uint8Array) {
        done += item.length;
        if (done > this.size) throw this.#damaged(`more came than the ${this.size} bytes that were announced`);
        digest?.update(item);
        if (item.length > 0) yield item;
        progress?.(done, this.size);
      } else {
        told = checksumIn(item);
        if (told === null) throw this.#damaged("expected bytes, or the checksum at the end");
      }
    }
    if (done !== this.size) throw this.#damaged(`${done} bytes came of the ${this.size} that were announced`);
    if (told === null) throw this.#damaged("it ended without its checksum");
    const own = digest?.digest();
    if (own?.some((byte, at) => byte !== told[at]) === true) throw this.#damaged("its SHA-256 is not the one that its sender computed");
  }

  #begin(): void {
    if (this.#begun) throw new TypeError(`the file ${JSON.stringify(this.name.slice(0, 80))} was read, or sent, before: its content comes once`);
    this.#begun = true;
  }

  #refuse(limit: number | undefined): void {
    if (limit !== undefined && this.size > limit) {
      throw new TooLarge(`the file ${JSON.stringify(this.name.slice(0, 80))} has ${this.size} bytes; at most ${limit} were to be taken`);
    }
  }

  #damaged(reason: string): FileDamaged {
    return new FileDamaged(`the file ${JSON.stringify(this.name.slice(0, 80))} did not come whole: ${reason}; ask for it again`);
  }
}

function checksumIn(item: unknown): Uint8Array | null {
  if (typeof item !== "object" || item === null || !Object.hasOwn(item, "sha256")) return null;
  const { sha256: told } = item as { readonly sha256: unknown };
  return told instanceof Uint8Array && told.length === 32 ? told : null;
}

/** `value`, which came: the file that it is, or itself. */
export function fileFrom(value: unknown): unknown {
  return isFileMap(value) ? new RpcFile(value) : value;
}

/** The files in the lists and maps of a value that came, with its streams in place. They are changed in place; the value itself stays what it is. */
export function putFiles(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    const list = value as unknown[];
    for (let i = 0; i < list.length; i++) {
      putFiles(list[i]);
      list[i] = fileFrom(list[i]);
    }
  } else if (Object.getPrototypeOf(value) === null) {
    const map = value as { [key: string]: unknown };
    for (const key in map) {
      putFiles(map[key]);
      map[key] = fileFrom(map[key]);
    }
  }
}

function isFileMap(value: unknown): value is { readonly [name: string]: unknown } {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== null) return false;
  const { name, size, type, modified, offset = 0, content } = value as { readonly [name: string]: unknown };
  return (
    content instanceof RpcStream &&
    typeof name === "string" &&
    typeof type === "string" &&
    Number.isSafeInteger(size) &&
    Number.isSafeInteger(offset) &&
    (offset as number) >= 0 &&
    (offset as number) <= (size as number) &&
    (modified === undefined || modified === null || modified instanceof Date) &&
    Object.keys(value).every((key) => MEMBERS.has(key))
  );
}
