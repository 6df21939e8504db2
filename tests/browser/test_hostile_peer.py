"""T16: whatever a peer calls itself and its functions, and whatever it answers, is text in the page and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser.driver import Page
from browser.hostile_strings import HOSTILE
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

PEERS = Path(__file__).parent / "peers"
NAME = "\u202e<img src=x onerror=window.executed=1>"

CALL_EVERYTHING = """(async () => {
  const settled = (card) => new Promise((resolve) => {
    const look = () => { if (!card.classList.contains('busy') && card.querySelector('.outcome > *')) { watch.disconnect(); resolve(); } };
    const watch = new MutationObserver(look);
    watch.observe(card, { subtree: true, childList: true, attributes: true });
    look();
  });
  let shown = 0;
  for (const card of document.querySelectorAll('.card')) {
    card.open = true;
    await new Promise((resolve) => {
      if (card.querySelector('form')) resolve();
      else card.addEventListener('toggle', () => resolve(), { once: true });
    });
    for (const raises of [false, true]) {
      card.querySelector('.outcome').replaceChildren();
      card.querySelector('input[type=checkbox]').checked = raises;
      card.querySelector('.call').click();
      await settled(card);
      for (const details of card.querySelectorAll('details')) details.open = true;
      for (const more of card.querySelectorAll('.long-text > button')) more.click();
      shown += card.querySelector(raises ? '.failure' : '.result') === null ? 0 : 1;
    }
  }
  // Branches of trees are made when they are opened; give the toggle events of the last ones their turn.
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return shown;
})()"""


@pytest.fixture(scope="module")
def hostile(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """A peer that is hostile throughout."""
    path = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(PEERS.parents[1]), path]))
        with serve(namespace, str(PEERS / "hostile.py"), "--name", NAME) as process:
            yield process


@pytest.fixture
def attacked(page: Page, hostile: PeerProcess, artifacts: Path) -> Page:
    """The page, after it has shown everything that the hostile peer has to show."""
    page.goto(hostile.first["link"])
    page.wait_for('#status[data-phase="connected"]', seconds=30)
    assert page.count(".card") == len(HOSTILE)
    assert page.evaluate(CALL_EVERYTHING) == 2 * len(HOSTILE)
    page.screenshot(artifacts / f"{page.driver.name}-hostile.png", full=False)
    return page


def test_nothing_of_it_runs_and_nothing_becomes_markup(attacked: Page, report: Callable[[str, str], None]) -> None:
    assert attacked.evaluate("typeof window.executed") == "undefined"
    # Elements that the page itself never makes where a peer's texts are.
    foreign = "script, iframe, object, embed, style, link, base, meta, video, marquee, math, template, #lure"
    assert attacked.count(f"#session :is({foreign})") == 0
    assert attacked.count("#cards img, #cards svg") == 0
    own = attacked.evaluate(
        """[...document.querySelectorAll('#session *')].flatMap((one) => [...one.attributes])
             .filter(({ name }) => name.startsWith('on') || name === 'style' || name === 'srcdoc').map(({ name }) => name)"""
    )
    assert own == []
    assert attacked.evaluate("Object.keys(Object.prototype).length") == 0
    assert attacked.violations == []
    report(
        "T16", f"{len(HOSTILE)} strings as names, results and errors in {attacked.driver.version}: 0 ran, 0 violations"
    )


def test_its_texts_can_not_reach_what_stands_beside_them(attacked: Page) -> None:
    loose = attacked.evaluate(
        r"""(() => {
          const turning = /[\u202a-\u202e\u2066-\u2069]/u;
          const loose = [];
          const walker = document.createTreeWalker(document.querySelector('#session'), NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            if (!turning.test(node.data)) continue;
            let at = node.parentElement;
            // Text of an option is laid out by the browser's own control.
            const contained = (one) => one.localName === 'option' || getComputedStyle(one).unicodeBidi.startsWith('isolate');
            while (at.id !== 'session' && !contained(at)) at = at.parentElement;
            if (at.id === 'session') loose.push(node.data);
          }
          return loose;
        })()"""
    )
    assert loose == []
    # In names, which people tell apart by eye, such characters are not shown at all.
    assert attacked.text("#peer-name") == "<img src=x onerror=window.executed=1>"
    named = attacked.evaluate("document.querySelector('#index').textContent + document.title")
    assert not set(named) & set("\u202a\u202e\u2066\u2067\u2068\u2069\u200b\u00ad")
    attacked.set_viewport(390, 844)
    assert attacked.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
