/** Ed25519 keys in WebCrypto (RFC 8032, RFC 8037): signing with one's own, verifying with another's. */

import { b64urlDecode, b64urlEncode, parsePeerId } from "./core/identity.js";
import { Unavailable } from "./errors.js";

const ALGORITHM = "Ed25519";

/** Who we are: a peer id and the one thing that only the holder of its key can do. */
export interface Identity {
  /** The public key: 43 characters (protocol section 1). */
  readonly peerId: string;
  /** Whether the key is kept, so that the next visit has the same peer id. */
  readonly persistent: boolean;
  /** The 64 bytes of a signature over `payload`. */
  sign(payload: Uint8Array): Promise<Uint8Array>;
}

/** A key pair as WebCrypto has it, with the peer id that belongs to it. All of it can be kept in IndexedDB. */
export interface IdentityKey {
  readonly peerId: string;
  readonly privateKey: CryptoKey;
}

/** A new key pair whose private half can't be read out, not even by us. `Unavailable` where WebCrypto has no Ed25519. */
export async function generateKey(): Promise<IdentityKey> {
  const subtle = webCrypto();
  try {
    const pair = (await subtle.generateKey(ALGORITHM, false, ["sign", "verify"])) as CryptoKeyPair;
    const raw = await subtle.exportKey("raw", pair.publicKey);
    return { peerId: b64urlEncode(new Uint8Array(raw)), privateKey: pair.privateKey };
  } catch (error) {
    throw new Unavailable(
      `this runtime's WebCrypto made no Ed25519 key (${String(error)}); expected Node 20, Chromium 137, Firefox 129, Safari 17 or newer`,
    );
  }
}

/** The identity that signs with `key`. */
export function identityOf(key: IdentityKey, persistent = false): Identity {
  return {
    peerId: key.peerId,
    persistent,
    sign: async (payload) => new Uint8Array(await webCrypto().sign(ALGORITHM, key.privateKey, bytes(payload))),
  };
}

/** An identity that ends with this page or process. */
export async function generateIdentity(): Promise<Identity> {
  return identityOf(await generateKey());
}

/** The identity of a private key in the form of RFC 8037: `{kty: "OKP", crv: "Ed25519", x, d}`. For programs that keep their own keys. */
export async function importIdentity(jwk: JsonWebKey): Promise<Identity> {
  const peerId = jwk.x ?? "";
  parsePeerId(peerId);
  const privateKey = await webCrypto().importKey("jwk", jwk, ALGORITHM, false, ["sign"]);
  return identityOf({ peerId, privateKey }, true);
}

/** Whether the holder of the key `peerId` signed `payload`. False for ids and signatures that are none. */
export async function verifySignature(peerId: string, payload: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return verifyWithKey(b64urlDecode(peerId), payload, signature);
}

/** The same with the 32 bytes of the public key. */
export async function verifyWithKey(key: Uint8Array, payload: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const subtle = webCrypto();
  try {
    const publicKey = await subtle.importKey("raw", bytes(key), ALGORITHM, true, ["verify"]);
    return await subtle.verify(ALGORITHM, publicKey, bytes(signature), bytes(payload));
  } catch {
    // Bytes that are no point of the curve: nobody holds such a key, so nobody signed with it.
    return false;
  }
}

/** `size` bytes that nobody can guess. */
export function randomBytes(size: number): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(size));
}

function webCrypto(): SubtleCrypto {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (subtle === undefined) {
    throw new Unavailable("expected WebCrypto: browsers offer it only on https:// pages and on localhost; open this page there");
  }
  return subtle;
}

// WebCrypto's types refuse views that might lie on shared memory. None of ours does.
function bytes(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return data as Uint8Array<ArrayBuffer>;
}
