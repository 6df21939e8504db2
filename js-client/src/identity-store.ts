/**
 * Where a page keeps its key: in IndexedDB, one per origin, with a private half that no script can read out.
 *
 * A peer id is in a room once: a second join replaces the first. So two tabs of one origin must not use the key at the same time. Whoever loads
 * it holds a Web Lock on it until `release()`, or until the tab is gone; whoever finds the lock taken gets a key of its own that ends with
 * the tab, and `persistent` says so. Without Web Locks (no browser of today) tabs would share the key. In Node, in workers without
 * IndexedDB, and in windows that keep nothing, the key ends with the program.
 */

import { type Identity, type IdentityKey, generateKey, identityOf } from "./identity.js";

const STORE = "keys";
const KEY = "identity";
// A page that is loaded again may start before the browser has let go of what the old one held.
const LOCK_PATIENCE = 250; // milliseconds

/** An identity that is in use until `release()`; afterwards another load may get it. */
export interface LoadedIdentity extends Identity {
  release(): void;
}

/**
 * The identity of this origin, made at the first visit; a new one that ends with this page where that one is in use or nothing can be kept.
 *
 * `database`: the name of the IndexedDB database, for pages that need several identities. `Unavailable` where WebCrypto is missing or knows
 * no Ed25519.
 */
export async function loadIdentity(options: { readonly database?: string } = {}): Promise<LoadedIdentity> {
  const fresh = await generateKey();
  const factory = (globalThis as { indexedDB?: IDBFactory }).indexedDB;
  if (factory === undefined) {
    return { ...identityOf(fresh), release: () => undefined };
  }
  const database = options.database ?? "rtcrpc";
  let kept: IdentityKey;
  try {
    kept = await keepFirst(factory, database, fresh);
  } catch {
    // A private window, a full disk, storage switched off by the user: a key for this visit is what is left, and `persistent` says so.
    return { ...identityOf(fresh), release: () => undefined };
  }
  const release = await take(`rtcrpc ${database} ${kept.peerId}`);
  return release === null ? { ...identityOf(fresh), release: () => undefined } : { ...identityOf(kept, true), release };
}

/** The key in the database; `fresh` where there is none yet. One transaction, so that of two tabs that start together one wins. */
async function keepFirst(factory: IDBFactory, name: string, fresh: IdentityKey): Promise<IdentityKey> {
  const database = await opened(factory, name);
  try {
    return await new Promise<IdentityKey>((resolve, reject) => {
      const transaction = database.transaction(STORE, "readwrite");
      const store = transaction.objectStore(STORE);
      const request: IDBRequest<unknown> = store.get(KEY);
      let found = fresh;
      request.onsuccess = () => {
        if (isKey(request.result)) {
          found = request.result;
        } else {
          store.put(fresh, KEY);
        }
      };
      transaction.oncomplete = () => resolve(found);
      transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
    });
  } finally {
    database.close();
  }
}

function opened(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the database could not be opened"));
    request.onblocked = () => reject(new Error("the database is in use by another version of this page"));
  });
}

function isKey(value: unknown): value is IdentityKey {
  const key = value as Partial<IdentityKey> | null | undefined;
  return typeof key?.peerId === "string" && key.privateKey instanceof CryptoKey;
}

/** Takes the lock; returns what lets go of it, or null when somebody else has it. Where there are no locks it is always ours. */
function take(lock: string): Promise<(() => void) | null> {
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  if (locks === undefined) {
    return Promise.resolve(() => undefined);
  }
  return new Promise((resolve, reject) => {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), LOCK_PATIENCE);
    const request = locks.request(lock, { signal: patience.signal }, () => {
      clearTimeout(timer);
      return new Promise<void>((release) => resolve(release));
    });
    request.catch((error: unknown) => (patience.signal.aborted ? resolve(null) : reject(error as Error)));
  });
}
