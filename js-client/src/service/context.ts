/** What an exposed function may know of the call that it serves. */

/** How much is known of a peer: its key was known beforehand, or only that it holds the key it says. */
export type Trust = "pinned" | "anonymous";

/** Who calls. `peerId` is proved, and null for a peer without an identity (level 0); `name` is what it calls itself and proves nothing. */
export interface Caller {
  readonly peerId: string | null;
  readonly name: string;
  readonly trust: Trust;
  readonly room: string;
  /** What it presented to be let in (protocol section 6.1). */
  readonly tokens: readonly string[];
}

/** One call, from the inside. */
export interface Context {
  readonly caller: Caller;
  /** The name that was called. */
  readonly method: string;
  /**
   * Aborted when the caller cancels, when its time has passed, and when the connection is gone; for a function that returned streams, also when
   * the caller wants no more of one of them. The reason says which.
   */
  readonly signal: AbortSignal;
  /**
   * Tells the caller how far this has come: `done` of `total`, in any unit, and a text for people. As often as one likes: of those that come too
   * fast for people the last one counts. `TypeError` for what is no number.
   */
  progress(done: number, total?: number | null, message?: string | null): void;
}

/** Whether a caller may call anything at all; asked at each call. */
export type Admit = (caller: Caller) => boolean;

/** Lets in the peers whose key was pinned, by the invite link or by the program. This is what a room does unless told otherwise. */
export const admitPinned: Admit = (caller) => caller.trust === "pinned";

/** Lets in every peer that has proved a key, whoever holds it: everybody in the room. */
export const admitProved: Admit = (caller) => caller.peerId !== null;
