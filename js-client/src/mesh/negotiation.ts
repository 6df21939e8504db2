/**
 * Who offers and who answers, between this peer and one other (protocol section 9). No network here.
 *
 * Each dial is an attempt with an id of its own. When both sides dial at once the offer of the peer with the larger id counts: the smaller
 * is polite and answers. An offer is taken once, so that a replayed one can't tear down a link.
 */

/** What to do with an offer that came in. */
export type OfferVerdict =
  /** Take it; nothing of ours is in the way. */
  | "answer"
  /** Take it, and give up the attempt that we had begun. */
  | "answer and drop ours"
  /** Both offered at once, and ours counts. */
  | "ignore: our own offer counts"
  /** The bootstrap, or the peer, sent an old offer again. */
  | "ignore: this attempt was seen before";

const REMEMBERED_ATTEMPTS = 64; // more offers than this from one peer, within one room, and the oldest is forgotten

/** The attempts between `ownId` and `peerId`. */
export class Negotiation {
  /** Whether we give way when both offer at once. */
  readonly polite: boolean;
  #ours: string | null = null;
  #current: string | null = null;
  readonly #seen = new Set<string>();

  constructor(ownId: string, peerId: string) {
    if (ownId === peerId) {
      throw new RangeError("a peer can't negotiate with itself: both ids are the same");
    }
    // Ids are ASCII, whose order as UTF-16 is that of its bytes.
    this.polite = ownId < peerId;
  }

  /** The attempt whose answer and candidates count now. */
  get current(): string | null {
    return this.#current;
  }

  /** We are about to send an offer under `attempt`. */
  dial(attempt: string): void {
    this.#ours = this.#current = attempt;
    this.#remember(attempt);
  }

  /** An offer came; the verdict is already taken into account. */
  receiveOffer(attempt: string): OfferVerdict {
    if (this.#seen.has(attempt)) {
      return "ignore: this attempt was seen before";
    }
    this.#remember(attempt);
    if (this.#ours === null) {
      this.#current = attempt;
      return "answer";
    }
    if (!this.polite) {
      return "ignore: our own offer counts";
    }
    this.#ours = null;
    this.#current = attempt;
    return "answer and drop ours";
  }

  /** Whether an answer under `attempt` belongs to the offer that we sent last. */
  expectsAnswer(attempt: string): boolean {
    return attempt === this.#ours;
  }

  /** Whether a candidate or a refusal under `attempt` still matters. */
  isCurrent(attempt: string): boolean {
    return attempt === this.#current;
  }

  /** The attempt led to a link, or failed: the next offer of either side is a new beginning. */
  settle(): void {
    this.#ours = null;
  }

  #remember(attempt: string): void {
    this.#seen.add(attempt);
    if (this.#seen.size > REMEMBERED_ATTEMPTS) {
      this.#seen.delete(this.#seen.values().next().value ?? "");
    }
  }
}
