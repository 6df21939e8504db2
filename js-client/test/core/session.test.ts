import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { MessagePackCodec } from "../../src/core/codec.js";
import { type Message, notification, request, response } from "../../src/core/envelope.js";
import type { SessionEvent } from "../../src/core/events.js";
import type { Session } from "../../src/core/session.js";
import { EncodeError, TooLarge } from "../../src/errors.js";
import * as limits from "../../src/limits.js";
import { makeHello } from "../../src/core/handshake.js";
import { OTHER_ID, pair, readyPair, readySession } from "./support/sessions.js";

const codec = new MessagePackCodec();

/** The messages that a session sends now, where it speaks MessagePack in short frames. */
function sent(session: Session): Message[] {
  return session.dataToSend(1_000_000).flatMap((frame) => {
    assert.ok(typeof frame !== "string" && frame[0] === 0);
    return codec.decode(frame.subarray(1));
  });
}

function frame(...messages: Message[]): Uint8Array {
  return new Uint8Array(Buffer.concat([Uint8Array.of(0), ...messages.map((message) => codec.encode(message))]));
}

const types = (events: SessionEvent[]): string[] => events.map(({ type }) => type);
const callNames = (messages: Message[]): string[] => messages.map((message) => ("method" in message ? message.method : message.type));

describe("a call", () => {
  it("goes, is served, and comes back, both ways at once", () => {
    const { a, b, run } = readyPair();
    const [idA, idB] = [a.session.sendRequest("add", [1, 2], { now: 0 }), b.session.sendRequest("neg", { x: 5 }, { now: 0 })];
    run();
    const [toB] = b.take("RequestReceived");
    const [toA] = a.take("RequestReceived");
    assert.deepEqual([toB!.method, toB!.params, { ...toB!.meta }], ["add", [1, 2], {}]);
    b.session.sendResponse(toB!.id, 3);
    a.session.sendError(toA!.id, -32000, "no", { detail: "x" });
    run();
    assert.deepEqual(a.take("ResponseReceived"), [{ type: "ResponseReceived", id: idA, result: 3 }]);
    const [failed] = b.take("ErrorReceived");
    assert.deepEqual([failed!.id, failed!.error.name, failed!.error.message, failed!.error.detail], [idB, "RemoteApplicationError", "no", "x"]);
  });

  it("carries its timeout in milliseconds beside the meta that was given", () => {
    const session = readySession({});
    session.sendRequest("slow", [], { now: 0, timeout: 0.5, meta: { key: "k" } });
    session.sendRequest("slow", [], { now: 0, timeout: 0.0001 });
    const metas = sent(session).map((message) => ({ ...(message as { meta: object }).meta }));
    assert.deepEqual(metas, [{ key: "k", timeout: 500 }, { timeout: 1 }]);
  });

  it("of a method with a bad name is refused at once", () => {
    const session = readySession({});
    assert.throws(() => session.sendRequest("", [], { now: 0 }), /1 to 128 characters/);
    assert.throws(() => session.sendRequest("m".repeat(limits.MAX_METHOD_LENGTH + 1), [], { now: 0 }), /1 to 128 characters, got 129/);
    assert.doesNotThrow(() => session.sendRequest("😀".repeat(limits.MAX_METHOD_LENGTH), [], { now: 0 }));
  });

  it("whose arguments can't travel, or are too long, uses up no id", () => {
    const { a, run } = readyPair({ b: { maxMessage: 2000 } });
    assert.throws(() => a.session.sendRequest("m", [() => 1], { now: 0 }), EncodeError);
    assert.throws(() => a.session.sendRequest("m", ["x".repeat(2000)], { now: 0 }), TooLarge);
    assert.equal(a.session.hasDataToSend, false);
    assert.equal(a.session.sendRequest("m", ["x".repeat(1900)], { now: 0 }), 1);
    run();
  });

  it("waits here while the other side has its hands full", () => {
    const { a, b, run } = readyPair({ b: { maxInFlight: 2 } });
    const ids = [1, 2, 3, 4].map((n) => a.session.sendRequest("m", [n], { now: 0 }));
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ params }) => params), [[1], [2]]);
    b.session.sendResponse(2, null);
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ id }) => id), [ids[2]]);
  });

  it("longer than a frame goes in parts, and small ones pass it", () => {
    const { a, b, run } = readyPair({ b: { maxFrame: 1000 } });
    a.session.sendRequest("big", [new Uint8Array(100_000)], { now: 0 });
    for (const part of a.session.dataToSend(5000)) b.session.receiveData(part, 0);
    a.session.sendRequest("small", [], { now: 0 });
    assert.equal(a.session.queuedBytes > 100_000, true);
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ method }) => method), ["small", "big"]);
    assert.equal(a.session.queuedBytes, 0);
  });

  it("in JSON works alike, long text in parts", () => {
    const { a, b, run } = readyPair({ b: { encodings: new Set(["json"]) } });
    a.session.sendRequest("big", ["é".repeat(30_000), 2n ** 80n, Uint8Array.of(1)], { now: 0 });
    run();
    const [got] = b.take("RequestReceived");
    assert.deepEqual(got!.params, ["é".repeat(30_000), 2n ** 80n, Uint8Array.of(1)]);
  });

  it("shares its frame with others", () => {
    const session = readySession({});
    for (let n = 0; n < 150; n++) session.sendRequest("add", [n, n], { now: 0 });
    const frames = session.dataToSend(1_000_000);
    assert.equal(frames.length, 2);
    assert.ok(frames[0]!.length <= limits.COALESCE_BYTES && frames[0]!.length > limits.COALESCE_BYTES - 20);
  });
});

describe("an answer", () => {
  it("that can't be sent leaves the request to be answered otherwise, once", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m")), 0);
    assert.throws(() => session.sendResponse(1, () => 1), EncodeError);
    session.sendError(1, -32603, "half a character \ud800");
    assert.deepEqual(sent(session).map((message) => [message.type, (message as { message?: string }).message]), [
      ["ErrorResponse", "half a character \ufffd"],
    ]);
    assert.throws(() => session.sendResponse(1, 1), RangeError);
    assert.throws(() => session.sendResponse(2, 1), RangeError);
  });

  it("nobody asked for is ignored", () => {
    const session = readySession({});
    session.receiveData(frame(response(77, 1)), 0);
    session.receiveData('{"jsonrpc":"2.0","id":"1","result":1}', 0);
    session.receiveData('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}', 0);
    assert.deepEqual(session.eventsReceived(), []);
    assert.equal(session.state, "ready");
  });

  it("that can't be read fails its call, and is not answered", () => {
    const session = readySession({ encodings: ["json"] });
    const id = session.sendRequest("m", [], { now: 0 });
    session.dataToSend(10_000);
    session.receiveData(`{"jsonrpc":"2.0","id":${id},"result":1,"error":{"code":1,"message":"m"}}`, 0);
    const [event] = session.eventsReceived();
    assert.ok(event?.type === "CallFailed" && event.id === id && event.error.name === "ProtocolError");
    assert.deepEqual(session.dataToSend(10_000), []);
  });

  it("goes the way the request came, whatever its id", () => {
    const session = readySession({});
    session.receiveData('{"jsonrpc":"2.0","id":"text id","method":"m"}', 0);
    session.receiveData('[{"jsonrpc":"2.0","id":1.5,"method":"m"},{"jsonrpc":"2.0","id":null,"method":"m"}]', 0);
    for (const event of session.eventsReceived()) {
      assert.ok(event.type === "RequestReceived");
      session.sendResponse(event.id, event.id);
    }
    assert.deepEqual(session.dataToSend(10_000), [
      '{"jsonrpc":"2.0","id":"text id","result":"text id"}',
      '[{"jsonrpc":"2.0","id":1.5,"result":1.5},{"jsonrpc":"2.0","id":null,"result":null}]',
    ]);
  });

  it("after the session closed is dropped", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m")), 0);
    session.close(0, "", 1);
    session.sendResponse(1, 1);
    session.sendError(1, 1, "m");
    assert.deepEqual(callNames(sent(session)), ["rpc.bye"]);
  });
});

describe("an error without an id", () => {
  const text = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}';

  it("is for the one thing that is open", () => {
    const session = readySession({ encodings: ["json"] });
    const id = session.sendRequest("m", [], { now: 0 });
    session.receiveData(text, 0);
    const [event] = session.eventsReceived();
    assert.ok(event?.type === "ErrorReceived" && event.id === id && event.error.code === -32700);
    const ids = session.sendBatch([{ method: "a", params: [] }, { method: "b", params: [] }], { now: 0 });
    session.receiveData(text, 0);
    assert.deepEqual(session.eventsReceived().map((one) => (one as { id?: unknown }).id), ids);
  });

  it("ends the session where it might be for one call or another", () => {
    const session = readySession({ encodings: ["json"] });
    for (let n = 0; n < 2; n++) session.sendRequest("m", [], { now: 0 });
    session.receiveData(text, 0);
    assert.deepEqual(types(session.eventsReceived()), ["CallFailed", "CallFailed", "SessionClosed"]);
  });
});

describe("requests of the other side", () => {
  it(`beyond maxInFlight are answered with resource exhausted, and cost nothing more`, () => {
    const session = readySession({ config: { maxInFlight: 2 } });
    session.receiveData(frame(request(1, "m"), request(2, "m"), request(3, "m")), 0);
    assert.deepEqual(types(session.eventsReceived()), ["RequestReceived", "RequestReceived"]);
    const [refused] = sent(session);
    assert.ok(refused?.type === "ErrorResponse" && refused.id === 3 && refused.code === -32004 && refused.data?.["ran"] === false);
    session.sendResponse(1, null);
    session.receiveData(frame(request(4, "m")), 0);
    assert.deepEqual(types(session.eventsReceived()), ["RequestReceived"]);
  });

  it("under an id that is open end the session", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m")), 0);
    session.receiveData(frame(request(1, "m")), 0);
    const closed = session.eventsReceived().at(-1);
    assert.ok(closed?.type === "SessionClosed" && closed.code === -32600 && closed.by === "local");
    assert.deepEqual(callNames(sent(session)), ["rpc.bye"]);
  });

  it("under an id used before and answered are served", () => {
    const session = readySession({});
    for (let round = 0; round < 2; round++) {
      session.receiveData(frame(request(1, "m")), 0);
      session.sendResponse(1, round);
    }
    assert.equal(session.state, "ready");
  });

  it("for reserved methods are answered here, but for rpc.discover", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "rpc.other"), request(2, "rpc.discover")), 0);
    assert.deepEqual(session.eventsReceived().map((event) => event.type === "RequestReceived" && event.method), ["rpc.discover"]);
    const [refused] = sent(session);
    assert.ok(refused?.type === "ErrorResponse" && refused.id === 1 && refused.code === -32601);
  });

  it("that are cancelled while open say so, others are not known", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m"), notification("rpc.cancel", { id: 1 }), notification("rpc.cancel", { id: 2 })), 0);
    assert.deepEqual(types(session.eventsReceived()), ["RequestReceived", "CancelReceived"]);
    session.sendError(1, -32800, "cancelled");
    session.receiveData(frame(notification("rpc.cancel", { id: 1 })), 0);
    assert.deepEqual(session.eventsReceived(), []);
  });
});

describe("a cancelled call", () => {
  it("that has not left is not sent, and the next one takes its place", () => {
    const { a, b, run } = readyPair({ b: { maxInFlight: 1 } });
    const [first, second, third] = [1, 2, 3].map((n) => a.session.sendRequest("m", [n], { now: 0 }));
    a.session.sendCancel(first!);
    a.session.sendCancel(third!);
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ id }) => id), [second]);
    assert.deepEqual(a.events, []);
  });

  it("that has left keeps its place until the other side has answered", () => {
    const { a, b, run } = readyPair({ b: { maxInFlight: 1 } });
    const [first, second] = [1, 2].map((n) => a.session.sendRequest("m", [n], { now: 0 }));
    run();
    a.session.sendCancel(first!);
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ id }) => id), [first]);
    assert.deepEqual(b.take("CancelReceived"), [{ type: "CancelReceived", id: first }]);
    b.session.sendError(first!, -32800, "cancelled");
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ id }) => id), [second]);
    assert.deepEqual(a.events, []);
  });

  it("that is under way in parts is cancelled behind its last part", () => {
    const { a, b, run } = readyPair();
    const id = a.session.sendRequest("big", [new Uint8Array(50_000)], { now: 0 });
    for (const part of a.session.dataToSend(1)) b.session.receiveData(part, 0);
    a.session.sendCancel(id);
    run();
    assert.deepEqual(types(b.events), ["RequestReceived", "CancelReceived"]);
  });

  it("twice, or of no call, says nothing", () => {
    const session = readySession({});
    const id = session.sendRequest("m", [], { now: 0 });
    sent(session);
    session.sendCancel(id);
    session.sendCancel(id);
    session.sendCancel(99);
    assert.deepEqual(callNames(sent(session)), ["rpc.cancel"]);
  });
});

describe("a deadline", () => {
  it("ends the call here, tells the other side, and ignores what comes then", () => {
    const { a, b, run } = readyPair({ a: { heartbeatInterval: 1000 } });
    const id = a.session.sendRequest("slow", [], { now: 10, timeout: 2 });
    a.session.sendRequest("slower", [], { now: 10, timeout: 20 });
    run(10);
    assert.equal(a.session.nextTick(), 12);
    a.session.tick(11.9);
    assert.deepEqual(a.session.eventsReceived(), []);
    a.session.tick(12);
    const [failed, ...rest] = a.session.eventsReceived();
    assert.deepEqual(rest, []);
    assert.ok(failed?.type === "CallFailed" && failed.id === id && failed.error.name === "DeadlineExceeded");
    assert.equal((failed.error as { ran?: unknown }).ran, null);
    run(12);
    assert.equal(b.take("CancelReceived")[0]!.id, id);
    b.session.sendResponse(id, 1);
    run(12);
    assert.deepEqual(a.take("ResponseReceived"), []);
  });

  it("of a call that waits says that it did not run", () => {
    const { a, run } = readyPair({ b: { maxInFlight: 1 } });
    a.session.sendRequest("m", [], { now: 0 });
    run();
    a.session.sendRequest("m", [], { now: 0, timeout: 1 });
    a.session.tick(1);
    const [failed] = a.session.eventsReceived();
    assert.ok(failed?.type === "CallFailed" && (failed.error as { ran?: unknown }).ran === false);
  });
});

describe("heartbeats", () => {
  const { heartbeatInterval: interval, heartbeatMisses: misses } = { heartbeatInterval: 2, heartbeatMisses: 3 };
  const config = { heartbeatInterval: interval, heartbeatMisses: misses };

  it("measure the round trip at once, and again after silence", () => {
    const { a, b, run } = pair({ a: config, b: config });
    run(0);
    assert.deepEqual(a.take("PongReceived"), [{ type: "PongReceived", rtt: 0 }]);
    assert.equal(a.session.nextTick(), interval);
    a.session.tick(interval);
    const [ping] = a.session.dataToSend(100);
    b.session.receiveData(ping!, 2.1);
    const [pong] = b.session.dataToSend(100);
    a.session.receiveData(pong!, 2.2);
    const [event] = a.session.eventsReceived();
    assert.ok(event?.type === "PongReceived" && Math.abs(event.rtt - 0.2) < 1e-9);
    a.session.receiveData(pong!.slice(), 2.3);
    assert.equal(a.session.nextTick(), 2.3 + interval);
  });

  it(`unanswered for ${misses} times end the session, and not before`, () => {
    const session = readySession({ config });
    let now = 0;
    for (let miss = 0; miss < misses; miss++) {
      now = session.nextTick()!;
      session.tick(now);
      assert.deepEqual(callNames(sent(session)), ["rpc.ping"]);
    }
    session.tick(session.nextTick()! - 0.01);
    assert.equal(session.state, "ready");
    session.tick(session.nextTick()!);
    const [closed] = session.eventsReceived();
    assert.ok(closed?.type === "SessionClosed" && closed.by === "broken" && closed.error.name === "ConnectionLost");
    assert.match(closed.reason, /nothing was heard for 8\.0 s: 3 heartbeats/);
    assert.equal(session.nextTick(), null);
  });

  it("after a long sleep ask first, before the other side is taken for gone", () => {
    const session = readySession({ config });
    session.tick(3600);
    assert.deepEqual(callNames(sent(session)), ["rpc.ping"]);
    session.tick(3600.1);
    assert.equal(session.state, "ready");
  });

  it("are not missed while anything else comes", () => {
    const session = readySession({ config });
    for (let now = 0; now < 100; now += 1.5) {
      session.tick(now);
      session.receiveData(frame(notification("tick")), now);
    }
    assert.equal(session.state, "ready");
    assert.deepEqual(sent(session), []);
  });

  it("are answered with the number that came", () => {
    const session = readySession({});
    session.receiveData(frame(notification("rpc.ping", { n: 41 })), 0);
    const [pong] = sent(session);
    assert.ok(pong?.type === "Notification" && pong.method === "rpc.pong");
    assert.deepEqual({ ...pong.params }, { n: 41 });
  });
});

describe("the end", () => {
  it("fails every open call once, and says of each whether it may have run", () => {
    const { a, run } = readyPair({ b: { maxInFlight: 2 } });
    const left = a.session.sendRequest("m", [], { now: 0 });
    run();
    const queued = a.session.sendRequest("m", [], { now: 0 });
    const waiting = a.session.sendRequest("m", [], { now: 0 });
    a.session.receiveEof(1, "gone");
    const events = a.session.eventsReceived();
    const failed = events.flatMap((event) => (event.type === "CallFailed" ? [[event.id, (event.error as { ran?: unknown }).ran]] : []));
    assert.deepEqual(failed, [[left, null], [queued, false], [waiting, false]]);
    const last = events.at(-1);
    assert.ok(last?.type === "SessionClosed" && last.by === "broken" && last.reason === "gone");
    a.session.receiveEof(2, "again");
    a.session.close(0, "", 2);
    a.session.receiveData("{}", 2);
    a.session.tick(100);
    assert.deepEqual(a.session.eventsReceived(), []);
  });

  it("by close says bye, and the other side learns why", () => {
    const { a, b, run } = readyPair();
    a.session.sendRequest("m", [], { now: 0 });
    b.session.sendRequest("m", [], { now: 0 });
    a.session.close(0, "good night", 1);
    run(1);
    assert.deepEqual(types(a.events), ["CallFailed", "SessionClosed"]);
    assert.equal(a.take("SessionClosed")[0]!.by, "local");
    const [closed] = b.take("SessionClosed");
    assert.deepEqual([closed!.code, closed!.reason, closed!.by], [0, "good night", "remote"]);
    assert.match(closed!.error.message, /the other side left: good night/);
    assert.equal(b.take("CallFailed").length, 1);
  });

  it("with a code arrives as the error that the code names", () => {
    for (const [code, name] of [
      [-32011, "HandshakeError"],
      [-32012, "IdentityMismatch"],
      [-32013, "VersionMismatch"],
      [-32004, "ConnectionLost"],
    ] as const) {
      const session = readySession({});
      session.receiveData(frame(notification("rpc.bye", { code, reason: 5 })), 0);
      const [closed] = session.eventsReceived();
      assert.ok(closed?.type === "SessionClosed" && closed.by === "remote");
      assert.deepEqual([closed.code, closed.error.code, closed.error.name, closed.reason], [code, code, name, ""]);
    }
  });

  it("that is good lets out first what is small and was said before, but for calls", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m"), request(2, "m")), 0);
    session.sendResponse(1, "small");
    session.sendResponse(2, new Uint8Array(100_000));
    session.sendRequest("call", [], { now: 0 });
    session.sendNotification("n", []);
    session.close(0, "", 1);
    assert.deepEqual(callNames(sent(session)), ["Response", "n", "rpc.bye"]);
  });

  it("for a reason lets out nothing but the reason", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "m")), 0);
    session.sendResponse(1, "small");
    session.close(-32004, "", 1);
    assert.deepEqual(callNames(sent(session)), ["rpc.bye"]);
  });

  it("arrives without what could rewrite a terminal's line", () => {
    const session = readySession({});
    session.receiveData(frame(notification("rpc.bye", { code: 0, reason: "a\u001b[2Jb\n\u202ec" })), 0);
    const [closed] = session.eventsReceived();
    assert.equal(closed?.type === "SessionClosed" && closed.reason, "a\ufffd[2Jb\ufffd\ufffdc");
  });

  it("has a reason of at most 500 characters, none of them half a one", () => {
    const session = readySession({});
    session.sendRequest("m", [new Uint8Array(100_000)], { now: 0 });
    session.dataToSend(1);
    session.close(0, `${"x".repeat(499)}😀\ud800`, 1);
    const [bye, ...rest] = sent(session);
    assert.deepEqual(rest, []);
    assert.ok(bye?.type === "Notification");
    assert.equal((bye.params as { reason?: string }).reason, `${"x".repeat(499)}😀`);
  });

  it("lets no event out after SessionClosed, though more envelopes came in the frame", () => {
    const session = readySession({});
    session.receiveData(frame(notification("rpc.bye", { code: 0, reason: "" }), request(1, "m"), notification("n")), 0);
    assert.deepEqual(types(session.eventsReceived()), ["SessionClosed"]);
  });
});

describe("tokens", () => {
  it("arrive, and those beyond a limit end the session", () => {
    const session = readySession({});
    for (let n = 0; n < limits.MAX_TOKENS; n++) session.receiveData(frame(notification("rpc.token", { token: `t${n}` })), 0);
    assert.deepEqual(types(session.eventsReceived()), Array.from({ length: limits.MAX_TOKENS }, () => "TokenReceived"));
    session.receiveData(frame(notification("rpc.token", { token: "one more" })), 0);
    const [closed] = session.eventsReceived();
    assert.ok(closed?.type === "SessionClosed" && closed.code === -32004);
  });

  it("are as long as a token may be, in bytes", () => {
    for (const [token, code] of [
      ["é".repeat(limits.TOKEN_LENGTH / 2), null],
      ["é".repeat(limits.TOKEN_LENGTH / 2) + "x", -32007],
      ["", -32600],
      [5, -32600],
    ] as const) {
      const session = readySession({});
      session.receiveData(frame(notification("rpc.token", { token })), 0);
      const [event] = session.eventsReceived();
      assert.equal(event?.type === "SessionClosed" ? event.code : null, code);
    }
  });

  it("too long are not sent", () => {
    const session = readySession({});
    assert.throws(() => session.sendToken("x".repeat(limits.TOKEN_LENGTH + 1)), TooLarge);
    assert.doesNotThrow(() => session.sendToken("x".repeat(limits.TOKEN_LENGTH)));
  });

  it("go out before the calls made after them", () => {
    const session = readySession({});
    session.sendToken("secret");
    session.sendRequest("m", [], { now: 0 });
    assert.deepEqual(callNames(sent(session)), ["rpc.token", "m"]);
  });
});

describe("batches", () => {
  it("are sent where the session speaks JSON, and answered together", () => {
    const { a, b, run } = readyPair({ a: { encodings: new Set(["json"]) } });
    const ids = a.session.sendBatch([{ method: "one", params: [] }, { method: "tell", params: [], notify: true }, { method: "two", params: [] }], { now: 0 });
    run();
    assert.deepEqual(types(b.events), ["RequestReceived", "NotificationReceived", "RequestReceived"]);
    b.session.sendResponse(ids[1]!, 2);
    run();
    assert.deepEqual(a.events, []);
    b.session.sendError(ids[0]!, -32000, "no");
    run();
    assert.deepEqual(types(a.events), ["ResponseReceived", "ErrorReceived"]);
  });

  it("have no place in MessagePack", () => {
    assert.throws(() => readySession({}).sendBatch([], { now: 0 }), /batches are of JSON only/);
  });

  it("wait for room for all of them, and hold back what comes later", () => {
    const { a, b, run } = readyPair({ a: { encodings: new Set(["json"]) }, b: { maxInFlight: 2 } });
    const first = a.session.sendRequest("one", [], { now: 0 });
    a.session.sendBatch([{ method: "two", params: [] }, { method: "three", params: [] }], { now: 0 });
    a.session.sendRequest("four", [], { now: 0 });
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ method }) => method), ["one"]);
    b.session.sendResponse(first, 1);
    run();
    assert.deepEqual(b.take("RequestReceived").map(({ method }) => method), ["two", "three"]);
    assert.throws(() => a.session.sendBatch([], { now: 0 }), { name: "ResourceExhausted" });
    const many = Array.from({ length: 3 }, () => ({ method: "m", params: [] }));
    assert.throws(() => a.session.sendBatch(many, { now: 0 }), { name: "ResourceExhausted", ran: false });
  });

  it("have a deadline for all, and what was given up while it waited is told off when it goes", () => {
    const { a, b, run } = readyPair({ a: { encodings: new Set(["json"]) }, b: { maxInFlight: 2 } });
    const first = a.session.sendRequest("one", [], { now: 0 });
    const [second, third] = a.session.sendBatch([{ method: "two", params: [] }, { method: "three", params: [] }], { now: 0, timeout: 5 });
    run();
    a.session.sendCancel(second!);
    b.session.sendResponse(first, 1);
    run();
    assert.deepEqual(types(b.events), ["RequestReceived", "RequestReceived", "RequestReceived", "CancelReceived"]);
    a.session.tick(5);
    a.turn(5);
    assert.deepEqual(a.take("CallFailed").map(({ id }) => id), [third]);
  });

  it("answered in part fail the rest of their calls, and free their room", () => {
    const session = readySession({ theirs: makeHello({ key: OTHER_ID, nonce: new Uint8Array(32), name: "", encodings: new Set(["json"]), maxInFlight: 2 }) });
    const [first, second] = session.sendBatch([{ method: "one", params: [] }, { method: "two", params: [] }], { now: 0 });
    session.dataToSend(10_000);
    session.receiveData(`[{"jsonrpc":"2.0","id":${first},"result":1}]`, 0);
    const events = session.eventsReceived();
    assert.deepEqual(events.map((event) => [event.type, (event as { id?: unknown }).id]), [["ResponseReceived", first], ["CallFailed", second]]);
    session.sendBatch([{ method: "one", params: [] }, { method: "two", params: [] }], { now: 0 });
    assert.equal(session.dataToSend(10_000).length, 1);
  });

  it("that as a whole are too long to be answered get one error", () => {
    const session = readySession({ theirs: makeHello({ key: OTHER_ID, nonce: new Uint8Array(32), name: "", encodings: new Set(["json"]), maxMessage: 300 }) });
    session.receiveData('[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]', 0);
    for (const id of [1, 2]) session.sendResponse(id, "x".repeat(200));
    const [answer] = session.dataToSend(10_000).map((text) => JSON.parse(text as string));
    assert.deepEqual([answer.id, answer.error.code], [null, -32007]);
  });

  it("with an answer that can't be sent are answered all the same", () => {
    const session = readySession({ encodings: ["json"] });
    session.receiveData('[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]', 0);
    session.sendResponse(1, 1);
    assert.throws(() => session.sendResponse(2, () => 1), EncodeError);
    session.sendError(2, -32603, "internal error");
    assert.equal(JSON.parse(session.dataToSend(10_000)[0] as string).length, 2);
  });

  it("one of whose calls was cancelled go out whole", () => {
    const session = readySession({ encodings: ["json"] });
    const [first] = session.sendBatch([{ method: "one", params: [] }, { method: "two", params: [] }], { now: 0 });
    session.sendCancel(first!);
    const frames = session.dataToSend(10_000).map((text) => JSON.parse(text as string));
    assert.deepEqual(frames.map((one) => (Array.isArray(one) ? one.length : one.method)).sort(), [2, "rpc.cancel"]);
  });
});

describe("a peer of level 0", () => {
  it("is served where the policy lets it in, and told nothing that it does not know", () => {
    const session = readySession({ level: 0 });
    assert.deepEqual([session.remote?.level, session.remote?.peerId], [0, null]);
    assert.equal(session.nextTick(), null);
    session.receiveData('{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":1}}', 1);
    session.receiveData('{"jsonrpc":"2.0","id":1,"method":"m"}{', 1);
    session.receiveData('{"jsonrpc":"2.0","id":1,"method":"m"}', 1);
    session.sendResponse(1, "x");
    const id = session.sendRequest("left", [], { now: 1, timeout: 1, meta: { key: "k" } });
    const frames = session.dataToSend(10_000);
    session.sendCancel(id);
    session.sendNotification("n", []);
    session.close(0, "", 1);
    frames.push(...session.dataToSend(10_000));
    assert.deepEqual(frames.map((text) => JSON.parse(text as string)), [
      { jsonrpc: "2.0", id: null, error: { code: -32700, message: JSON.parse(frames[0] as string).error.message, data: { ran: false } } },
      { jsonrpc: "2.0", id: 1, result: "x" },
      { jsonrpc: "2.0", id: 1, method: "left", params: [] },
      { jsonrpc: "2.0", method: "n", params: [] },
    ]);
  });

  it("may begin with a request longer than a hello could be", () => {
    const { a } = pair({ a: { allowAnonymous: true } });
    a.session.receiveData(`{"jsonrpc":"2.0","id":1,"method":"m","params":["${"x".repeat(200_000)}"]}`, 0);
    assert.deepEqual(types(a.session.eventsReceived()), ["SessionReady", "RequestReceived"]);
  });

  it("gets each message in one frame, or not at all", () => {
    const session = readySession({ level: 0 });
    session.sendNotification("n", ["x".repeat(100_000)]);
    assert.equal(session.dataToSend(1_000_000).length, 1);
    assert.throws(() => session.sendNotification("n", ["x".repeat(300_000)]), TooLarge);
  });

  it("may use an id again while it is open, and gets an answer for each", () => {
    const session = readySession({ level: 0, config: { maxInFlight: 2 } });
    for (let n = 0; n < 3; n++) session.receiveData('{"jsonrpc":"2.0","id":1,"method":"m"}', 1);
    session.sendResponse(1, "a");
    session.sendResponse(1, "b");
    const answers = session.dataToSend(10_000).map((text) => JSON.parse(text as string));
    assert.deepEqual(answers.map((answer) => answer.result ?? answer.error.code), [-32004, "a", "b"]);
  });

  it("is told to prove itself where it is not let in", () => {
    const { a } = pair();
    a.session.dataToSend(10_000);
    a.session.receiveData('[{"jsonrpc":"2.0","id":"x","method":"m"},{"jsonrpc":"2.0","method":"n"}]', 0);
    const [answer, bye] = a.session.dataToSend(10_000).map((text) => JSON.parse(text as string));
    assert.deepEqual([answer.id, answer.error.code, answer.error.data], ["x", -32003, { ran: false }]);
    assert.deepEqual([bye.method, bye.params.code], ["rpc.bye", -32003]);
    assert.equal(a.session.state, "closed");
  });

  it("is not let in for a pinned peer", () => {
    const { a } = pair({ a: { allowAnonymous: true }, pins: ["x".repeat(43), null] });
    a.session.receiveData('{"jsonrpc":"2.0","id":"x","method":"m"}', 0);
    assert.equal(a.session.state, "closed");
  });
});
