"""The page, from an invite link, in real browsers, driving a real peer over WebRTC."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser.driver import BrowserDriver, Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

PEERS = Path(__file__).parent / "peers"


def card(method: str) -> str:
    """The selector of the card of a method."""
    return f'[data-method="{method}"]'


def field(method: str, position: int) -> str:
    """The selector of the control of the argument at `position`, from 1."""
    return f"{card(method)} form > .fields > :nth-child({position}) :is(input, textarea, select):not(.mode)"


def call(page: Page, method: str) -> str:
    """Press Call, wait for what comes of it, and return it as it reads."""
    page.evaluate(f"document.querySelector('{card(method)} .outcome').replaceChildren()")
    page.click(f"{card(method)} .call")
    page.wait_for(f"{card(method)}:not(.busy) .outcome > *")
    return page.text(f"{card(method)} .outcome")


@pytest.fixture
def driven(page: Page, robot: PeerProcess) -> Page:
    """The page, connected to the robot."""
    page.goto(robot.first["link"])
    page.wait_for('#status[data-phase="connected"]', seconds=30)
    # With this many functions the cards start closed.
    page.evaluate("for (const card of document.querySelectorAll('.card')) card.open = true")
    page.wait_until("document.querySelectorAll('.card').length === document.querySelectorAll('.card form').length")
    return page


def test_shows_who_is_there_and_how_the_way_is(driven: Page, robot: PeerProcess) -> None:
    assert driven.text("#peer-name") == "robot"
    assert driven.text("#phase") == "Connected"
    assert driven.text("#trust") == "Verified"
    assert driven.text("#key").replace(" ", "") == robot.first["peer"][:12]
    driven.wait_until("document.querySelector('#path').textContent === 'Direct'")
    driven.wait_until("/^[0-9.]+ m?s$/.test(document.querySelector('#rtt').textContent)")
    methods = driven.evaluate("[...document.querySelectorAll('.card')].map((card) => card.dataset.method)")
    assert sorted(methods) == sorted(robot.first["methods"])
    assert "Add two numbers." in driven.text(card("add"))


def test_calls_and_shows_the_result(driven: Page) -> None:
    driven.type(field("add", 1), "2")
    driven.type(field("add", 2), "40")
    assert call(driven, "add").startswith("42")
    # Screen readers are told too.
    assert driven.evaluate("document.querySelector('#announcer').textContent") == "add returned 42"


def test_calls_from_the_keyboard_alone(driven: Page) -> None:
    driven.evaluate(f"document.querySelector('{field('add', 1)}').focus()")
    for key in ("4", "Tab", "5", "Enter"):
        driven.press(key)
    driven.wait_for(f"{card('add')}:not(.busy) .outcome > *")
    assert driven.text(f"{card('add')} .outcome").startswith("9")


def test_integers_stay_exact(driven: Page) -> None:
    driven.type(field("add", 1), "9007199254740993")
    driven.type(field("add", 2), "100000000000000000000")
    assert call(driven, "add").startswith("100009007199254740993")


def test_shows_an_error_that_a_function_raised(driven: Page) -> None:
    driven.select(field("move", 1), "0")
    driven.type(field("move", 2), "9.5")
    shown = call(driven, "move")
    assert "The function reported an error" in shown
    assert "there is a wall 5 m to the north" in shown
    assert "-32000" in shown


def test_an_unexpected_exception_stays_in_the_log_of_the_peer(driven: Page) -> None:
    assert "Internal error" in call(driven, "break_down")
    assert "a secret" not in driven.evaluate("document.body.textContent")


def test_wrong_arguments_are_told_beside_their_field_and_nothing_is_sent(driven: Page) -> None:
    before = call(driven, "add_runs")
    driven.type(field("add", 1), "1.5")
    driven.type(field("add", 2), "2")
    driven.click(f"{card('add')} .call")
    problem = f"{card('add')} form > .fields > :nth-child(1) .problem:not([hidden])"
    driven.wait_for(problem)
    assert "expected an integer" in driven.text(problem)
    assert driven.evaluate(f"document.activeElement === document.querySelector('{field('add', 1)}')")
    assert call(driven, "add_runs") == before


def test_issues_that_the_peer_found_are_shown_beside_their_fields(driven: Page) -> None:
    others = f"{card('label')} form > .fields > :nth-child(2)"
    driven.type(field("label", 1), "lower")
    for item, text in (1, "FINE"), (2, "not fine"):
        driven.select(f"{others} .mode", "value")
        driven.click(f"{others} .list > button")
        driven.type(f"{others} .row:nth-child({item}) textarea", text)
    shown = call(driven, "label")
    assert "Invalid params" in shown
    assert "2 arguments did not fit. The function did not run." in shown
    problems = driven.evaluate(
        f"""[...document.querySelectorAll('{card("label")} .problem:not([hidden])')]
              .map((one) => [one.parentElement.querySelector('label')?.innerText, one.innerText])"""
    )
    assert [where for where, _ in problems] == ["code", "item 2"]
    assert "lower" in problems[0][1]
    assert "not fine" in problems[1][1]
    # Mended, it goes through.
    driven.type(field("label", 1), "UP")
    driven.type(f"{others} .row:nth-child(2) textarea", "TOO")
    assert call(driven, "label").startswith("UPFINETOO")


def test_records_tables_and_pictures_are_shown_as_such(driven: Page) -> None:
    driven.select(field("move", 1), "1")
    driven.type(field("move", 2), "2.5")
    assert call(driven, "move").split() == ["x", "0", "y", "-2.5", "Copy"]
    call(driven, "readings")
    cells = driven.evaluate(
        f"[...document.querySelectorAll('{card('readings')} tbody tr')].map((row) => row.innerText.split('\\t'))"
    )
    assert cells == [["lidar 0", "0.25"], ["lidar 1", "1.25"], ["lidar 2", "2.25"]]
    call(driven, "picture")
    driven.wait_until(f"document.querySelector('{card('picture')} img').naturalWidth === 1")
    assert driven.evaluate(f"document.querySelector('{card('picture')} a[download]').download") == "picture.png"


def test_files_and_instants_travel_as_what_they_are(driven: Page, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)) * 80)
    driven.upload(field("size", 1), [file])
    driven.evaluate(f"document.querySelector('{field('size', 2)}').value = '2026-01-02T03:04:05'")
    here = driven.evaluate("new Date('2026-01-02T03:04:05').toISOString().slice(0, 19)")
    shown = call(driven, "size")
    assert "20480" in shown
    assert here in shown


def test_the_stop_button_ends_a_call(driven: Page) -> None:
    driven.click(f"{card('wait')} .call")
    driven.wait_for(f"{card('wait')}.busy .button.danger:not([hidden])")
    driven.click(f"{card('wait')} .button.danger")
    driven.wait_for(f"{card('wait')}:not(.busy) .outcome > .stopped")
    assert driven.text(f"{card('wait')} .outcome").startswith("Stopped")


def test_earlier_calls_can_be_used_again(driven: Page) -> None:
    for number in ("1", "2"):
        driven.type(field("add", 1), number)
        driven.type(field("add", 2), "5")
        call(driven, "add")
    driven.evaluate(f"document.querySelector('{card('add')} .history').open = true")
    driven.click(f"{card('add')} .history li:nth-child(2) button")
    assert driven.evaluate(f"document.querySelector('{field('add', 1)}').value") == "1"


def test_the_peer_knows_its_caller_by_key_and_name(driven: Page, robot: PeerProcess) -> None:
    shown = call(driven, "whoami")
    assert "web page" in shown
    assert robot.first["room"] in shown


def test_reloading_keeps_the_link_and_the_identity(driven: Page, robot: PeerProcess) -> None:
    driven.reload()
    driven.wait_for('#status[data-phase="connected"]', seconds=30)
    assert driven.evaluate("location.href") == robot.first["link"]
    driven.wait_for(card("add"))


def test_the_filter_narrows_the_functions(driven: Page) -> None:
    driven.type("#filter", "add two")
    driven.wait_until("[...document.querySelectorAll('.card')].filter((card) => !card.hidden).length === 1")
    assert driven.text("#found").startswith("1 of")
    driven.press("Escape")
    driven.wait_until("[...document.querySelectorAll('.card')].every((card) => !card.hidden)")


def test_a_peer_that_goes_away_is_told_and_comes_back(page: Page, namespace: NetworkNamespace, tmp_path: Path) -> None:
    target, key = str(PEERS / "robot.py"), ("--key", str(tmp_path / "robot.key"))
    with serve(namespace, target, *key) as first:
        link = first.first["link"]
        page.goto(link)
        page.wait_for('#status[data-phase="connected"]', seconds=30)
    page.wait_for('#status:is([data-phase="disconnected"], [data-phase="failed"])')
    assert page.evaluate("!document.querySelector('#reconnect').hidden")
    with serve(namespace, target, *key, port=urlsplit(link).port or 0) as second:
        assert second.first["link"] == link
        page.wait_for('#status[data-phase="connected"]', seconds=30)
        page.evaluate(f"document.querySelector('{card('add')}').open = true")
        page.type(field("add", 1), "1")
        page.type(field("add", 2), "1")
        assert call(page, "add").startswith("2")


def test_another_key_under_the_same_name_is_not_called(page: Page, robot: PeerProcess) -> None:
    page.goto(robot.first["link"].replace(robot.first["peer"], "A" * 42 + "E"))
    page.wait_until("document.querySelector('#why').textContent.includes('another key')", seconds=30)
    assert page.count(".card") == 0


def test_without_a_key_in_the_link_the_peer_is_not_verified_and_one_chooses(
    page: Page, browser: BrowserDriver, namespace: NetworkNamespace
) -> None:
    with serve(namespace, str(PEERS / "robot.py"), "--open") as process:
        link = process.first["link"].partition("#")[0] + f"#room={process.first['room']}"
        page.goto(link)
        page.wait_for('#status[data-phase="connected"]', seconds=30)
        assert page.text("#trust") == "Not verified"
        assert page.count(".card") == len(process.first["methods"])
        # Now there are two to choose from.
        second = browser.new_page()
        second.goto(link)
        second.wait_for("#choices:not([hidden]) li:nth-child(2)")
        second.evaluate(
            "[...document.querySelectorAll('#choices button')].find((one) => one.innerText.startsWith('robot')).click()"
        )
        second.wait_for('#status[data-phase="connected"]', seconds=30)
        assert second.text("#peer-name") == "robot"
        second.close()


def test_a_link_that_can_not_be_read_says_so(page: Page, robot: PeerProcess) -> None:
    page.goto(robot.first["link"].partition("#")[0] + "#rom=x")
    page.wait_for('#status[data-phase="failed"]')
    assert "can't be read" in page.text("#why")
    # There is nothing to try again.
    assert page.count("#reconnect:not([hidden])") == 0


def test_another_link_leaves_nothing_of_the_one_before(driven: Page) -> None:
    assert driven.count(".card") > 0
    driven.evaluate("void (location.hash = '#rom=x')")
    driven.wait_for('#status[data-phase="failed"]')
    assert driven.count(".card, #index li") == 0


def test_over_plain_http_from_elsewhere_it_says_what_to_do(page: Page, namespace: NetworkNamespace) -> None:
    with serve(
        namespace, str(PEERS / "robot.py"), "--host", "0.0.0.0", "--allow-host", namespace.address, "--port", "8751"
    ) as process:
        page.goto(process.first["link"])
        page.wait_for("#lacking:not([hidden])")
        assert "https link" in page.text("#lacking")


def test_without_a_link_it_asks_for_one(page: Page, robot: PeerProcess) -> None:
    page.goto(robot.first["link"].partition("#")[0])
    page.wait_for("#start:not([hidden])")
    page.type("#paste", "not a link")
    page.press("Enter")
    page.wait_for("#paste-problem:not([hidden])")
    page.type("#paste", robot.first["link"])
    page.press("Enter")
    page.wait_for('#status[data-phase="connected"]', seconds=30)


@pytest.mark.parametrize(
    ("width", "height", "name"), [(1280, 900, "desktop"), (390, 844, "phone"), (360, 740, "narrow")]
)
def test_pictures_are_kept_and_nothing_is_wider_than_the_screen(
    driven: Page, artifacts: Path, width: int, height: int, name: str
) -> None:
    driven.set_viewport(width, height)
    driven.type(field("add", 1), "2")
    driven.type(field("add", 2), "40")
    for method in ("add", "readings", "picture"):
        call(driven, method)
    driven.evaluate("window.scrollTo({ top: 0, behavior: 'instant' })")
    driven.screenshot(artifacts / f"{driven.driver.name}-{name}.png")
    assert driven.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_every_control_has_a_name_for_screen_readers(driven: Page) -> None:
    nameless = driven.evaluate(
        """[...document.querySelectorAll('input, select, textarea, button')]
             .filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
             .map((one) => one.outerHTML)"""
    )
    assert nameless == [], json.dumps(nameless, indent=1)
