import assert from "node:assert/strict";
import { it } from "node:test";

import fc from "fast-check";

import { Invite } from "../../src/core/invite.js";
import { InviteError } from "../../src/errors.js";
import { MAX_NAME_LENGTH, MAX_ROOM_LENGTH, TOKEN_LENGTH } from "../../src/limits.js";
import { OWN_ID } from "./support/sessions.js";

const FULL = { bootstrap: "wss://host.example/rtc", room: "my lab", pin: OWN_ID, name: "robot", token: "a+b/c=" };

it("an invite survives as a link and as a fragment", () => {
  const printable = (max: number) =>
    fc.string({ unit: "grapheme", minLength: 1, maxLength: max }).filter((text) => /^[^\u0000-\u001f\u007f-\u009f]*$/.test(text) && [...text].length <= max);
  const parts = fc.record({
    room: printable(20).filter((room) => room !== "." && room !== ".."),
    pin: fc.constantFrom(null, OWN_ID),
    name: fc.option(printable(20)),
    token: fc.option(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 })),
    bootstrap: fc.constantFrom("ws://127.0.0.1:8080", "wss://host.example/a/b", "wss://[::1]:9"),
  });
  fc.assert(
    fc.property(parts, (all) => {
      const invite = new Invite(all);
      assert.deepEqual({ ...invite }, { ...all });
      assert.deepEqual(Invite.fromFragment(invite.toFragment()), invite);
      assert.deepEqual(Invite.parse(invite.toLink("http://localhost:5000/page/index.html?x=1#old")), invite);
      const room = Invite.parse(invite.url);
      assert.equal(room.url, invite.url);
      assert.equal(room.room, all.room);
    }),
  );
});

it("an invite is written in one way", () => {
  const invite = new Invite(FULL);
  assert.equal(
    invite.toLink("https://page.example"),
    `https://page.example/#room=my%20lab&pin=${OWN_ID}&name=robot&bootstrap=wss%3A%2F%2Fhost.example%2Frtc&token=a%2Bb%2Fc%3D`,
  );
  assert.equal(invite.url, "wss://host.example/rtc/room/my%20lab");
  assert.equal(new Invite({ room: "a!'()*~b", bootstrap: "ws://h" }).url, "ws://h/room/a%21%27%28%29%2A~b");
});

it("a fragment may leave the bootstrap to the page", () => {
  assert.equal(Invite.fromFragment("room=lab&bootstrap=ws%3A%2F%2Fother%2F").url, "ws://other/room/lab");
  assert.throws(() => Invite.fromFragment("#room=lab").url, /names no bootstrap/);
  assert.throws(() => Invite.fromFragment(""), /room=…/);
});

it("unknown members are left alone, a plus is a plus", () => {
  const invite = Invite.parse(" https://page.example/#later=1&room=a+b&later=2&&even\n");
  assert.equal(invite.room, "a+b");
});

it("each limit holds at its value and not beyond", () => {
  const at = (limit: number, make: (text: string) => Invite): void => {
    assert.doesNotThrow(() => make("x".repeat(limit)));
    assert.throws(() => make("x".repeat(limit + 1)), InviteError);
  };
  at(MAX_ROOM_LENGTH, (room) => new Invite({ room }));
  at(MAX_NAME_LENGTH, (name) => new Invite({ room: "lab", name }));
  at(TOKEN_LENGTH, (token) => new Invite({ room: "lab", token }));
  assert.doesNotThrow(() => new Invite({ room: "😀".repeat(MAX_ROOM_LENGTH) }));
  assert.throws(() => new Invite({ room: "lab", token: "é".repeat(TOKEN_LENGTH / 2 + 1) }), InviteError);
});

it("what is no link is refused with what was expected", () => {
  for (const [link, message] of [
    ["", /begins with http/],
    ["https:///example.org/#room=lab", /begins with http/],
    ["https://exa\nmple.org/#room=lab", /begins with http/],
    ["https://@example.org/#room=lab", /no user name/],
    ["https://example.org/#room", /1 to 128 characters/],
    ["https://example.org/#=lab", /room=…/],
    ["https://example.org/a b/#room=lab", /begins with http/],
    [`https://example.org/#room=lab&x=${"x".repeat(16384)}`, /at most 16384 characters/],
    ["wss://example.org/room/lab?x=1", /URL of a room/],
    ["wss://example.org/room/lab#bootstrap=wss%3A%2F%2Fevil.example", /its fragment/],
    ["https://example.org/#room=lab&bootstrap=wss%3A%2F%2Fh%2F%3Fx", /without \? and #/],
    ["https://example.org/#room=%ED%A0%80", /percent-encoded UTF-8/],
    ["wss://example.org/room/..", /URL of a room/],
    ["wss://example.org/rooms/lab", /URL of a room/],
    ["https://example.org/#room=lab&name=a%1bb", /control character/],
  ] as const) {
    assert.throws(() => Invite.parse(link), (error) => error instanceof InviteError && message.test(error.message), link);
  }
  assert.throws(() => new Invite({ room: "a\ud800" }).toFragment(), InviteError);
});

it("any text gives an invite or an InviteError", () => {
  const bits = fc.constantFrom("https://", "wss://", "host", "/room/", "#", "room=", "&", "pin=", "%", "%41", "..", "/", "@", ":", "[::1]", "\\", "é");
  fc.assert(
    fc.property(fc.array(fc.oneof(bits, fc.string({ maxLength: 4 })), { maxLength: 10 }), (words) => {
      try {
        Invite.parse(words.join(""));
      } catch (error) {
        assert.ok(error instanceof InviteError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
