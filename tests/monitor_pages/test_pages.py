"""The monitor's pages in a real browser."""

import os
import pathlib
import time

import pytest
from conftest import PAGES

pytest.importorskip("playwright", reason="in the group `pages`")

from playwright.sync_api import expect

#: A folder that pictures of all pages are put into, for people to look at.
PICTURES = os.environ.get("SAFEPATCH_PICTURES")

# What is written in less contrast to what is behind it than WCAG 2.2 AA wants, as [text, ratio].
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(
      (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("svg, noscript")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
    const wanted = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    if (ratio < wanted) found.push([walker.currentNode.data.trim(), ratio]);
  }
  return found;
}"""

ALL = [
    pytest.param(name, width, dark, id=f"{name}-{width}-{'dark' if dark else 'light'}")
    for name in PAGES
    for width in (1280, 360)
    for dark in (False, True)
]


@pytest.mark.parametrize(("name", "width", "dark"), ALL)
def test_pages_fit_are_readable_and_complain_of_nothing(still, visit, name, width, dark):
    page = visit(still.url + PAGES[name], width=width, dark=dark)

    if PICTURES:
        picture = f"{name}-{width}-{'dark' if dark else 'light'}.png"
        page.screenshot(path=pathlib.Path(PICTURES) / picture, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    if name == "missing":  # that it is 404 is told on the console
        assert "404" in page.complaints.pop()


def test_long_and_foreign_names_fit_too(still, visit):
    page = visit(still.url + "/", width=360)

    page.evaluate("""document.querySelectorAll('bdi, .address').forEach((each, n) => {
        each.textContent = ['x'.repeat(500), '\\u202e\\u05e9\\u05dc\\u05d5 ' + 'w'.repeat(90),
                            '\\u65e5\\u672c\\u8a9e'.repeat(80)][n % 3] })""")

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_kind_of_a_channel_is_not_broken_by_why_it_fails(still, visit):
    kind = visit(still.url + "/alerts").get_by_role("cell", name="webhook").last

    assert (
        kind.evaluate(
            "cell => { const text = document.createRange(); text.selectNodeContents(cell);"
            " return text.getClientRects().length }"
        )
        == 1
    )


def test_a_change_arrives_without_loading_the_page_again(served, visit):
    page = visit(served.url + "/")
    page.evaluate("window.same = true")
    first = page.locator("#rows tbody tr").first
    assert "Checkout" in first.inner_text()

    served.tell("down Mail")

    expect(page.locator("#rows tbody a").first).to_have_text("Mail")
    assert page.locator(".counts .is-down b").inner_text() == "2"
    assert page.evaluate("window.same") is True
    assert page.title().startswith("2 down")
    assert "2 down" in page.locator("#told").inner_text()  # for those who hear it


def test_a_change_leaves_where_one_is_and_what_one_types(served, visit):
    page = visit(served.url + "/")
    page.locator("#rows a", has_text="Documentation").focus()

    served.tell("down Mail")
    expect(page.locator("#rows tbody a").first).to_have_text("Mail")
    assert page.evaluate("document.activeElement.textContent") == "Documentation"

    page.locator("input[type=search]").fill("half a wo")
    served.tell("down Search")
    expect(page.locator("#rows tbody a").first).to_have_text("Search")
    assert page.locator("input[type=search]").input_value() == "half a wo"


def test_the_page_of_an_endpoint_is_live_as_well(served, visit):
    page = visit(served.url + "/endpoint?name=Mail")

    served.tell("down Mail")

    page.wait_for_selector("#state .is-down")
    assert "nobody listens" in page.locator("#now").inner_text()


def test_without_a_stream_pages_ask_from_time_to_time(served, browser):
    context = browser.new_context()
    page = context.new_page()
    page.route("**/live", lambda route: route.abort())
    page.clock.install()
    page.goto(served.url + "/")
    served.tell("down Mail")
    time.sleep(1.1)  # as old may be what is shown

    page.clock.fast_forward(31_000)

    expect(page.locator("#rows tbody a").first).to_have_text("Mail")
    context.close()


def test_the_public_page_asks_each_minute_and_keeps_no_stream(served, visit, browser):
    context = browser.new_context()
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.goto(served.url + "/status")
    served.tell("up Checkout")
    time.sleep(1.1)

    page.clock.fast_forward(61_000)

    expect(page.locator("h1")).to_have_text("All services work")
    assert not [url for url in asked if url.endswith("/live")]
    context.close()


def test_a_page_that_is_hidden_asks_for_nothing(served, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.url + "/")
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away !== false})")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    served.tell("down Mail")
    page.wait_for_timeout(2500)
    assert asked == []

    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#rows tbody a").first).to_have_text("Mail")
    context.close()


def test_everything_can_be_reached_by_keyboard(still, visit):
    page = visit(still.url + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # and is seen

    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("""() => {
              const at = document.activeElement, style = getComputedStyle(at);
              return [at.getAttribute('href') || at.name || at.textContent,
                      style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1];
            }""")
        )

    reached = [what for what, _ in seen]
    for wanted in ("/?state=down", "q", "tag", "Search", "/endpoint?name=Checkout", "/metrics"):
        assert wanted in reached
    assert all(outlined for what, outlined in seen if what and not what.startswith("\n"))


def test_enter_searches_and_the_back_button_leads_back(still, visit):
    page = visit(still.url + "/")

    page.locator("input[type=search]").fill("mx")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=mx*")
    assert page.locator("#rows tbody tr").count() == 2

    page.go_back()
    assert page.locator("#rows tbody tr").count() == 12


@pytest.mark.parametrize("name", [name for name in PAGES if name != "missing"])
def test_pages_work_without_javascript(still, visit, name):
    page = visit(still.url + PAGES[name], java_script_enabled=False)

    assert page.locator("h1").count() == 1
    seconds = page.locator("meta[http-equiv=refresh]").get_attribute("content")
    assert int(seconds) in (30, 60)


def test_buttons_and_search_work_without_javascript(still, visit):
    page = visit(still.url + "/", java_script_enabled=False)

    page.locator("input[type=search]").fill("documentation")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Documentation").click()
    page.get_by_role("button", name="Relearn").click()

    expect(page.get_by_text("What is normal is learned anew")).to_be_visible()
    assert page.locator("h1").inner_text() == "Documentation"


def test_who_logs_in_by_the_form_sees_the_pages_and_logs_out(served_with_login, visit):
    page = visit(served_with_login.url + "/pace")
    assert page.locator("h1").inner_text() == "Log in"

    page.get_by_label("Name").fill("ops")
    page.get_by_label("Password").fill("correct horse")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Pace")

    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.goto(served_with_login.url + "/pace")
    assert page.locator("h1").inner_text() == "Log in"


def test_a_browser_says_that_headings_tables_and_landmarks_are_what_they_are(still, visit):
    """As it tells those who hear pages, also where the style makes no table of a table."""
    for width in (1280, 360):
        page = visit(still.url + "/", width=width)

        for role in ("banner", "main", "contentinfo", "search", "table"):
            assert page.get_by_role(role).count() == 1
        assert page.get_by_role("navigation", name="Pages").count() == 1
        assert page.get_by_role("rowheader").count() == 12
        assert page.get_by_role("heading", level=1).count() == 1
