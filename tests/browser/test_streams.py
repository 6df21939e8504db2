"""Streams and progress between a real browser and a real peer: on the page, and in the page's own script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.driver import Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve
from browser.test_page import call, card, field

PEERS = Path(__file__).parent / "peers"


@pytest.fixture(scope="module")
def streamer(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """`rtcrpc serve peers/streams.py`."""
    with serve(namespace, str(PEERS / "streams.py"), "--name", "streamer") as process:
        yield process


@pytest.fixture
def driven(page: Page, streamer: PeerProcess) -> Page:
    """The page, connected."""
    page.goto(streamer.first["link"])
    page.wait_for('#status[data-phase="connected"]', seconds=30)
    page.evaluate("document.querySelectorAll('.card').forEach((card) => { card.open = true; })")
    return page


def start(page: Page, method: str) -> None:
    """Press Call, and wait until it has begun."""
    page.click(f"{card(method)} .call")
    page.wait_for(f"{card(method)}.busy")


def items(page: Page, method: str) -> list[str]:
    """The items that are shown, oldest first."""
    shown: list[str] = page.evaluate(
        f"[...document.querySelectorAll('{card(method)} .items li > :last-child')].map((one) => one.innerText).reverse()"
    )
    return shown


def count(method: str) -> str:
    """JavaScript: how many items the page says have come."""
    return f"Number(document.querySelector('{card(method)} .count')?.innerText.replace(/\\D/g, '') ?? 0)"


def wait_for_finally(page: Page, name: str, times: int = 1) -> None:
    """Wait until the generator `name` of the peer has come to its `finally` that often."""
    page.wait_until(
        f"""(async () => {{
          const {{ join }} = await import("/rtcrpc.js");
          window.asking ??= await join(location.href, {{ name: "asking" }});
          window.asked ??= await asking.peer();
          return (await asked.call.what_ended()).filter((one) => one === {json.dumps(name)}).length >= {times};
        }})()"""
    )


def ended(page: Page, name: str) -> int:
    """How often the generator `name` has come to its `finally` so far."""
    return call(page, "what_ended").count(name)


def test_items_are_shown_as_they_come(driven: Page) -> None:
    driven.type(field("ticks", 1), "8")
    driven.type(field("ticks", 2), "0.15")
    start(driven, "ticks")
    driven.wait_until(f"{count('ticks')} >= 3")
    # Not all at once when it is over.
    assert driven.count(f"{card('ticks')}.busy .stream[data-state='open']") == 1
    driven.wait_for(f"{card('ticks')}:not(.busy) .stream[data-state='ended']")
    assert items(driven, "ticks") == [str(i) for i in range(8)]
    assert driven.text(f"{card('ticks')} .count") == "8 items"
    assert driven.text(f"{card('ticks')} .returns") == "→ stream of integer"


def test_the_stop_button_runs_the_finally_of_the_generator(driven: Page) -> None:
    before = ended(driven, "wave")
    start(driven, "wave")
    driven.wait_until(f"{count('wave')} >= 20")
    driven.click(f"{card('wave')} .button.danger")
    driven.wait_for(f"{card('wave')}:not(.busy) .outcome .stopped")
    shown = driven.evaluate(count("wave"))
    wait_for_finally(driven, "wave", before + 1)
    # What came stays, and no more comes.
    assert driven.evaluate(count("wave")) == shown
    assert len(items(driven, "wave")) >= 20


def test_numbers_are_plotted_and_a_picture_is_kept(driven: Page, artifacts: Path) -> None:
    start(driven, "wave")
    driven.wait_until(f"{count('wave')} >= 150", seconds=30)
    lines = driven.evaluate(
        f"[...document.querySelectorAll('{card('wave')} polyline')].map((line) => line.points.numberOfItems)"
    )
    assert len(lines) == 2
    assert min(lines) >= 100
    assert driven.text(f"{card('wave')} .legend").split() == ["x", "y"]
    # The lines have colours of their own: what the policy of the page forbids would leave them invisible.
    colours = driven.evaluate(
        f"[...document.querySelectorAll('{card('wave')} polyline')].map((line) => getComputedStyle(line).stroke)"
    )
    assert len(set(colours) - {"none"}) == 2
    assert re.fullmatch(r"[\d.,]+ a second", driven.text(f"{card('wave')} .rate"))
    driven.type(field("work", 2), "0.5")
    start(driven, "work")
    driven.wait_until(f"document.querySelector('{card('work')} progress').position >= 0.3")
    driven.evaluate("window.scrollTo({ top: 0, behavior: 'instant' })")
    for width, height, name in ((1280, 900, "desktop"), (390, 844, "phone")):
        driven.set_viewport(width, height)
        driven.screenshot(artifacts / f"{driven.driver.name}-streams-{name}.png")
        assert driven.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for method in ("wave", "work"):
        driven.click(f"{card(method)} .button.danger")
        driven.wait_for(f"{card(method)}:not(.busy)")


def test_a_flood_is_counted_and_the_page_stays_alive(driven: Page) -> None:
    start(driven, "flood")
    driven.wait_for(f"{card('flood')}:not(.busy) .stream[data-state='ended']", seconds=60)
    assert driven.text(f"{card('flood')} .count") == "100,000 items"
    shown = items(driven, "flood")
    assert len(shown) == 100
    assert shown[-1] == '"line 99999"'


def test_an_error_in_the_middle_is_shown_behind_what_came(driven: Page) -> None:
    shown = call(driven, "breaks")
    assert items(driven, "breaks") == ['"page 1"', '"page 2"']
    assert "2 items" in shown
    assert "out of paper" in shown
    assert driven.count(f"{card('breaks')} .stream[data-state='broken']") == 1


def test_a_stream_inside_a_result_is_shown_beside_the_rest(driven: Page) -> None:
    call(driven, "camera")
    driven.wait_for(f"{card('camera')}:not(.busy) .stream[data-state='ended']")
    assert items(driven, "camera") == ["0", "1", "2"]
    assert "left" in driven.text(f"{card('camera')} .outcome")
    assert driven.text(f"{card('camera')} .place") == "frames"


def test_progress_is_a_bar(driven: Page) -> None:
    driven.type(field("work", 1), "10")
    driven.type(field("work", 2), "0.15")
    start(driven, "work")
    driven.wait_until(f"document.querySelector('{card('work')} progress').position >= 0.3")
    assert re.match(r"\d of 10, \d0 % · step \d", driven.text(f"{card('work')} .call-progress"))
    driven.wait_for(f"{card('work')}:not(.busy) .outcome > *")
    assert driven.text(f"{card('work')} .outcome").startswith("worked")
    assert not driven.evaluate(f"document.querySelector('{card('work')} .call-progress').checkVisibility()")


def test_a_function_that_takes_a_stream_says_that_the_page_can_not_call_it(driven: Page) -> None:
    driven.click(f"{card('total')} .call")
    driven.wait_for(f"{card('total')} .problem:not([hidden])")
    assert driven.text(f"{card('total')} .problem") == "only a program can give a stream"
    assert "stream of integer" in driven.text(card("total"))


SCRIPT = """(async () => {
  const { join } = await import("/rtcrpc.js");
  const room = await join(location.href, { name: "script" });
  try {
    const robot = await room.peer();
    return await (%s)(robot);
  } finally {
    await room.close();
  }
})()"""


def run(page: Page, function: str) -> object:
    """What a function of the peer's proxy gives, run in the page."""
    result: object = page.evaluate(SCRIPT % function)
    return result


def test_a_script_iterates_a_call(driven: Page) -> None:
    got = run(
        driven,
        """async (robot) => {
          const got = [];
          for await (const i of robot.call.ticks(5, 0.01)) got.push(i);
          return got;
        }""",
    )
    assert got == [0, 1, 2, 3, 4]


def test_leaving_the_loop_ends_the_generator(driven: Page) -> None:
    before = ended(driven, "ticks")
    got = run(
        driven,
        """async (robot) => {
          const got = [];
          for await (const i of robot.call.ticks(1000000, 0.001)) {
            got.push(i);
            if (got.length === 3) break;
          }
          for (;;) {
            if ((await robot.call.what_ended()).filter((one) => one === "ticks").length > BEFORE) return got;
          }
        }""".replace("BEFORE", str(before)),
    )
    assert got == [0, 1, 2]


def test_the_browser_streams_to_python(driven: Page) -> None:
    got = run(
        driven,
        """async (robot) => {
          async function* numbers(n) { for (let i = 0; i < n; i++) yield i; }
          const readable = new ReadableStream({
            start(controller) { for (const i of [1, 2, 3]) controller.enqueue(i); controller.close(); },
          });
          return [await robot.call.total(numbers(10000)), await robot.call.total(readable)];
        }""",
    )
    assert got == [sum(range(10_000)), 6]


def test_both_ways_at_once_and_the_end_of_one_ends_the_other(driven: Page) -> None:
    got = run(
        driven,
        """async (robot) => {
          let sourceEnded = false;
          async function* numbers() {
            try {
              for (let i = 0; ; i++) { yield i; await new Promise((resolve) => setTimeout(resolve, 1)); }
            } finally {
              sourceEnded = true;
            }
          }
          const got = [];
          for await (const i of robot.call.double(numbers())) {
            got.push(i);
            if (got.length === 4) break;
          }
          while (!sourceEnded) await new Promise((resolve) => setTimeout(resolve, 5));
          return got;
        }""",
    )
    assert got == [0, 2, 4, 6]


def test_an_error_of_the_browsers_source_reaches_python(driven: Page) -> None:
    got = run(
        driven,
        """async (robot) => {
          const { Error: Told } = await import("/rtcrpc.js");
          async function* numbers() { yield 1; throw new Told("ran dry"); }
          try {
            return await robot.call.total(numbers());
          } catch (error) {
            return `${error.name}: ${error.message}`;
          }
        }""",
    )
    # What a function was told in a stream is its own business: its caller learns that it failed.
    assert str(got).startswith("RemoteInternalError")


def test_a_slow_reader_holds_python(driven: Page) -> None:
    got = run(
        driven,
        """async (robot) => {
          const stream = await robot.call.flood(1000000);
          const first = (await stream.next()).value;
          await new Promise((resolve) => setTimeout(resolve, 300));
          let waiting = 0;
          // What is here already comes without a turn of the loop.
          const turn = new Promise((resolve) => setTimeout(resolve, 0)).then(() => "turn");
          while ((await Promise.race([stream.next(), turn])) !== "turn") waiting++;
          stream.cancel();
          return [first, waiting];
        }""",
    )
    assert isinstance(got, list)
    assert got[0] == "line 0"
    # A window of items of at least 7 bytes, and a message, at most; a writer that is not held would have sent ten times as many.
    assert 1000 < got[1] < (262_144 + 16_384) / 7
