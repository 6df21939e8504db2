import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as codes from "../../src/codes.js";
import * as errors from "../../src/errors.js";

describe("errorFromWire", () => {
  it("gives the class that the code names, and RemoteError for the rest", () => {
    for (const [code, Class] of [
      [codes.METHOD_NOT_FOUND, errors.RemoteMethodNotFound],
      [codes.INVALID_PARAMS, errors.RemoteInvalidParams],
      [codes.INTERNAL_ERROR, errors.RemoteInternalError],
      [codes.APPLICATION_ERROR, errors.RemoteApplicationError],
      [codes.DEADLINE_EXCEEDED, errors.RemoteDeadlineExceeded],
      [codes.CANCELLED, errors.RemoteCancelled],
      [codes.PERMISSION_DENIED, errors.RemotePermissionDenied],
      [codes.UNAUTHENTICATED, errors.RemoteUnauthenticated],
      [codes.RESOURCE_EXHAUSTED, errors.RemoteResourceExhausted],
      [codes.UNAVAILABLE, errors.RemoteUnavailable],
      [codes.TOO_LARGE, errors.RemoteTooLarge],
      [7, errors.RemoteError],
    ] as const) {
      const error = errors.errorFromWire(code, "no");
      assert.equal(error.constructor, Class);
      assert.ok(error instanceof errors.RemoteError && error instanceof errors.RtcRpcError && error instanceof Error);
      assert.deepEqual([error.code, error.message, error.name, error.ran], [code, "no", Class.name, null]);
    }
  });

  it("reads what the data says, and nothing that it only seems to say", () => {
    const issue = { path: "a", expected: "int", got: "text" };
    const error = errors.errorFromWire(codes.INVALID_PARAMS, "no", { ran: false, type: "T", issues: [issue, 1, {}], retryAfter: 250, detail: [1] });
    assert.deepEqual([error.ran, error.type, error.issues, error.retryAfter, error.detail], [false, "T", [issue], 250, [1]]);
    const odd = errors.errorFromWire(1, "no", { ran: 0, type: 5, issues: "x", retryAfter: -1 });
    assert.deepEqual([odd.ran, odd.type, odd.issues, odd.retryAfter, odd.detail], [null, null, [], null, null]);
  });
});

describe("errorToWire", () => {
  it("lets an ApplicationError travel whole", () => {
    const wire = errors.errorToWire(new errors.ApplicationError("out of paper", { code: 7, detail: { tray: 2 } }));
    assert.deepEqual([wire.code, wire.message, { ...wire.data }], [7, "out of paper", { detail: { tray: 2 } }]);
    assert.deepEqual(errors.errorToWire(new errors.Error("no")), { code: codes.APPLICATION_ERROR, message: "no", data: null });
  });

  it("lets a refusal of our own travel, without what it says of another call", () => {
    const wire = errors.errorToWire(new errors.DeadlineExceeded("too slow", false));
    assert.deepEqual(wire, { code: codes.DEADLINE_EXCEEDED, message: "too slow", data: null });
    const refused = errors.errorToWire(new errors.ResourceExhausted("full"), false);
    assert.deepEqual([refused.code, refused.message, { ...refused.data }], [codes.RESOURCE_EXHAUSTED, "full", { ran: false }]);
  });

  it("names the class of an error that a function made its own", () => {
    class OutOfPaper extends errors.ApplicationError {}
    assert.deepEqual({ ...errors.errorToWire(new OutOfPaper("no")).data }, { type: "OutOfPaper" });
  });

  it("says no word of any other error", () => {
    const remote = errors.errorFromWire(codes.PERMISSION_DENIED, "password", { detail: "password" });
    for (const secret of [new Error("password"), new TypeError("password"), remote, new errors.ConnectionLost("password"), "password", null]) {
      assert.deepEqual(errors.errorToWire(secret), { code: codes.INTERNAL_ERROR, message: "internal error", data: null });
    }
  });
});

it("errors of this side say whether the call ran", () => {
  for (const Class of [errors.ConnectionLost, errors.DeadlineExceeded, errors.CallCancelled, errors.TooLarge, errors.ResourceExhausted]) {
    assert.equal(new Class("m").ran, null);
    assert.equal(new Class("m", false).ran, false);
    assert.deepEqual(new Class("m", false).data, { ran: false });
  }
});

it("an EncodeError names the place", () => {
  assert.equal(new errors.EncodeError("expected x", "params[0]").message, "params[0]: expected x");
});
