import assert from "node:assert/strict";
import { test } from "node:test";

import { Negotiation } from "../../src/mesh/negotiation.js";

const A = "A".repeat(43);
const B = "B".repeat(43);

test("with nothing of ours in the way an offer is answered, once", () => {
  const negotiation = new Negotiation(A, B);
  assert.equal(negotiation.receiveOffer("x"), "answer");
  assert.equal(negotiation.isCurrent("x"), true);
  assert.equal(negotiation.receiveOffer("x"), "ignore: this attempt was seen before");
});

test("at glare the offer of the larger id counts", () => {
  const polite = new Negotiation(A, B);
  const other = new Negotiation(B, A);
  polite.dial("ofA");
  other.dial("ofB");
  assert.equal(polite.receiveOffer("ofB"), "answer and drop ours");
  assert.equal(other.receiveOffer("ofA"), "ignore: our own offer counts");
  assert.equal(polite.expectsAnswer("ofA"), false);
  assert.equal(other.expectsAnswer("ofB"), true);
  assert.equal(polite.current, "ofB");
  assert.equal(other.current, "ofB");
});

test("our own offer, sent back to us, is no offer", () => {
  const negotiation = new Negotiation(A, B);
  negotiation.dial("mine");
  assert.equal(negotiation.receiveOffer("mine"), "ignore: this attempt was seen before");
  assert.equal(negotiation.expectsAnswer("mine"), true);
});

test("a settled attempt makes room for the next of either side", () => {
  const negotiation = new Negotiation(B, A);
  negotiation.dial("first");
  negotiation.settle();
  assert.equal(negotiation.expectsAnswer("first"), false);
  assert.equal(negotiation.receiveOffer("second"), "answer");
});

test("a bounded number of attempts is remembered, the newest", () => {
  const negotiation = new Negotiation(A, B);
  for (let i = 0; i <= 64; i++) {
    assert.equal(negotiation.receiveOffer(String(i)), "answer");
  }
  assert.equal(negotiation.receiveOffer("64"), "ignore: this attempt was seen before");
  assert.equal(negotiation.receiveOffer("1"), "ignore: this attempt was seen before");
  assert.equal(negotiation.receiveOffer("0"), "answer");
});

test("a peer has nothing to negotiate with itself", () => {
  assert.throws(() => new Negotiation(A, A), RangeError);
});
