import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { encodeParts, FrameReader, utf8Length } from "../../src/core/frames.js";
import { decodeVarint, encodeVarint } from "../../src/core/varint.js";
import { DecodeError, ProtocolError } from "../../src/errors.js";
import { unhex } from "./support/bytes.js";

const encoder = new TextEncoder();

describe("parts", () => {
  it("join to what was split, at every frame size, interleaved in any way", () => {
    const transfer = fc.record({ bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }), maxFrame: fc.integer({ min: 8, max: 64 }) });
    fc.assert(
      fc.property(fc.array(transfer, { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.nat()), (transfers, choices) => {
        const reader = new FrameReader({ maxFrame: 64, maxMessage: 200, maxTransfers: 8 });
        const running = transfers.map(({ bytes, maxFrame }, i) => ({ bytes, parts: [...encodeParts(i + 1, bytes, false, maxFrame)] }));
        const whole: (Uint8Array | string)[] = [];
        const expected: Uint8Array[] = [];
        const feedOne = (one: (typeof running)[number]): void => {
          const message = reader.feed(one.parts.shift()!, 0);
          if (message !== null) whole.push(message);
          if (one.parts.length === 0) {
            running.splice(running.indexOf(one), 1);
            expected.push(one.bytes);
          }
        };
        // Begun in order, as ids must rise; continued in any order.
        for (const one of [...running]) feedOne(one);
        while (running.length > 0) feedOne(running[choices.next().value % running.length]!);
        assert.deepEqual(whole, expected);
        assert.equal(reader.held, 0);
        assert.equal(reader.nextExpiry(), null);
      }),
      { numRuns: 200 },
    );
  });

  it("of a text may be split within a character", () => {
    const text = "é€😀".repeat(20);
    for (let maxFrame = 3; maxFrame < 20; maxFrame++) {
      const reader = new FrameReader();
      const got = [...encodeParts(1, encoder.encode(text), true, maxFrame)].map((frame) => {
        assert.ok(frame.length <= maxFrame);
        return reader.feed(frame, 0);
      });
      assert.equal(got.at(-1), text);
    }
  });

  it("of a text that is not UTF-8 are refused", () => {
    assert.throws(() => new FrameReader().feed(unhex("0401ff"), 0), DecodeError);
  });

  it("may be empty, a hundred thousand of them, and hold no memory", () => {
    const reader = new FrameReader({ maxMessage: 10 });
    for (let i = 0; i < 100_000; i++) assert.equal(reader.feed(Uint8Array.of(1, 1), 0), null);
    assert.equal(reader.held, 0);
    assert.deepEqual(reader.feed(Uint8Array.of(2, 1, 7), 0), Uint8Array.of(7));
  });

  it("of single bytes cost about their size", () => {
    const reader = new FrameReader();
    const frame = Uint8Array.of(1, 1, 7);
    for (let i = 0; i < 100_000; i++) reader.feed(frame, 0);
    assert.equal(reader.held, 100_000);
    assert.equal(reader.feed(Uint8Array.of(2, 1), 0)?.length, 100_000);
  });

  it("of a frame that is used again by its owner are not changed", () => {
    const reader = new FrameReader();
    const frame = Uint8Array.of(1, 1, 7);
    reader.feed(frame, 0);
    frame[2] = 9;
    assert.deepEqual(reader.feed(Uint8Array.of(2, 1), 0), Uint8Array.of(7));
  });
});

describe("a transfer that gets no part for too long", () => {
  it("ends the session, and each part gives it new time", () => {
    const reader = new FrameReader({ transferSeconds: 30 });
    assert.equal(reader.nextExpiry(), null);
    reader.feed(Uint8Array.of(1, 1, 7), 100);
    reader.feed(Uint8Array.of(1, 2, 7), 110);
    assert.equal(reader.nextExpiry(), 130);
    reader.feed(Uint8Array.of(1, 1, 7), 120);
    assert.equal(reader.nextExpiry(), 140);
    reader.feed(Uint8Array.of(1, 2), 135);
    assert.equal(reader.nextExpiry(), 140);
    reader.expire(139);
    assert.throws(() => reader.expire(140), (error) => error instanceof ProtocolError && error.code === -32001);
  });
});

describe("any bytes as a frame", () => {
  it("give a message, nothing, or a ProtocolError", () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.integer({ min: 0, max: 5 }), fc.uint8Array({ maxLength: 8 })).map(([type, rest]) => Uint8Array.of(type, ...rest)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
        const reader = new FrameReader({ maxFrame: 32, maxMessage: 64, maxTransfers: 2 });
        for (const one of frames) {
          try {
            reader.feed(one, 0);
          } catch (error) {
            assert.ok(error instanceof ProtocolError, String(error));
          }
          assert.ok(reader.held <= 128);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

it("utf8Length counts as TextEncoder does", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) })), (text) => {
      assert.equal(utf8Length(text), encoder.encode(text).length);
    }),
  );
});

it("transfer ids survive as varints", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 32 - 1 }), (id) => {
      const bytes = encodeVarint(id);
      assert.deepEqual(decodeVarint(bytes, 0, 2 ** 32 - 1), [id, bytes.length]);
      assert.throws(() => decodeVarint(bytes.subarray(0, -1), 0, 2 ** 32 - 1), DecodeError);
    }),
  );
  assert.throws(() => decodeVarint(unhex("ffffffff1f"), 0, 2 ** 32 - 1), DecodeError);
});
