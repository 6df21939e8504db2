import assert from "node:assert/strict";
import { it } from "node:test";

import { echo } from "../echo-codec.js";

it("the echo for other languages answers in both encodings, or says why not", () => {
  assert.equal(echo('{"json":"[1, {\\"$bytes\\":\\"AA\\"}]"}'), '{"json":"[1,{\\"$bytes\\":\\"AA\\"}]","msgpack":"9201c40100"}');
  assert.equal(echo('{"msgpack":"cd0005"}'), '{"json":"5","msgpack":"05"}');
  assert.match(echo('{"msgpack":"c1"}'), /refused/);
  assert.match(echo('{"msgpack":"0101"}'), /refused/);
  assert.match(echo('{"json":"1}{"}'), /refused/);
  assert.throws(() => echo("{}"), TypeError);
});
