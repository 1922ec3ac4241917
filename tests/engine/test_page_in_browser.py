"""The page as a person meets it: opened in a real browser that has no network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs_for_tests import HOSTILE, Story
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from emoprune.report.compare_page import write_comparison
from emoprune.report.page import write_page

pytestmark = pytest.mark.slow

SWITCHES = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1200",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

# Where the points of the front are on the screen, and how far each one's nearest neighbour is.
POINTS = """
const plot = document.getElementById("front-plot"), box = plot.getBoundingClientRect();
const { xaxis, yaxis } = plot._fullLayout;
const left = box.left + xaxis._offset, top = box.top + yaxis._offset;
const at = (trace, i) => [left + xaxis.d2p(trace.x[i]), top + yaxis.d2p(trace.y[i])];
const all = plot.data.filter((trace) => trace.name !== "chosen" && trace.name !== "knee")
  .flatMap((trace) => Array.from(trace.x, (_, i) => ({ name: trace.name, id: trace.customdata[i], at: at(trace, i) })));
const far = (one) => Math.min(...all.filter((other) => other.id !== one.id)
  .map((other) => Math.hypot(one.at[0] - other.at[0], one.at[1] - other.at[1])));
return all.filter((one) => one.name === arguments[0]).map((one) => ({ ...one, alone: far(one) }));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in found.values():
        pytest.fail(f"expected chromium and chromedriver on the PATH, found {found}; `make test-slow` installs them")
    options = ChromeOptions()
    options.binary_location = str(found["chromium"])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for switch in (*SWITCHES, *(["--no-sandbox"] if os.getuid() == 0 else [])):  # chromium's sandbox refuses root
        options.add_argument(switch)
    driver = Chrome(options=options, service=Service(str(found["chromedriver"])))
    try:
        driver.set_page_load_timeout(60)
        driver.set_script_timeout(30)
        driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": "window.alert = () => { window.ran = 1; }"}
        )
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


def shown(browser: Chrome, folder: Path, story: Story, width: int = 1400) -> list[dict[str, Any]]:
    """Open the story's page and return what the browser complained about."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(write_page(story.tell(), folder / "report.html").as_uri())
    WebDriverWait(browser, 30).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#details h3, .notice"))
    complaints: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has no type here
    return complaints


def details(browser: Chrome) -> str:
    return browser.find_element(By.ID, "details").text


def click_the_loneliest(browser: Chrome, trace: str) -> int:
    """Click the point of a trace that is furthest from all others, with the mouse; return its candidate's id."""
    browser.execute_script("window.scrollTo(0, 0)")
    point = max(browser.execute_script(POINTS, trace), key=lambda point: point["alone"])
    mouse = ActionChains(browser)
    mouse.w3c_actions.pointer_action.move_to_location(round(point["at"][0]), round(point["at"][1]))  # type: ignore[no-untyped-call]  # selenium has no type here
    mouse.pause(0.3).click().perform()
    return int(point["id"])


def test_the_page_opens_without_a_network_and_asks_for_none(browser: Chrome, folder: Path) -> None:
    browser.get_log("performance")  # type: ignore[no-untyped-call]  # reading it empties it
    assert shown(browser, folder, Story()) == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]  # as above
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert any(url.endswith("report.html") for url in asked)
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_clicking_a_point_of_the_front_shows_what_it_keeps_and_how_to_export_it(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(population=12, generations=6))
    first = details(browser)
    chosen = click_the_loneliest(browser, "front")
    WebDriverWait(browser, 10).until(lambda driver: details(driver) != first)
    text = details(browser)
    assert f"Candidate {chosen}" in text
    assert "kept widths" in text
    assert f"emoprune export digits-widths {chosen}" in text
    assert browser.find_element(By.CSS_SELECTOR, "tr[aria-current]").get_attribute("data-candidate") == str(chosen)


def test_clicking_a_dominated_candidate_says_that_it_is_dominated(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(population=12, generations=6))
    Select(browser.find_element(By.ID, "split")).select_by_visible_text("search")
    chosen = click_the_loneliest(browser, "evaluated")
    WebDriverWait(browser, 10).until(lambda driver: f"Candidate {chosen}" in details(driver))
    assert "It is dominated" in details(browser)


def test_the_table_chooses_a_candidate_with_the_keyboard(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=3))
    button = browser.find_element(By.CSS_SELECTOR, "tr[data-candidate='2'] button")
    button.send_keys("\ue007")  # the enter key
    assert details(browser).startswith("Candidate 2 (uniform-quarter)")


def test_hostile_names_run_nothing(browser: Chrome, folder: Path) -> None:
    genes = [f"{HOSTILE}{number}" for number in range(5)]
    story = Story(generations=4, name=HOSTILE, genes=genes, reason=HOSTILE, unit=HOSTILE, note=HOSTILE, failing=0.2)
    assert shown(browser, folder, story) == []
    click_the_loneliest(browser, "front")
    assert browser.execute_script("return window.ran") is None
    assert browser.find_elements(By.CSS_SELECTOR, "img, iframe, object, a") == []
    assert "</script><img src=x onerror=alert(1)>[red]=cmd() 😀" in details(browser)


def test_a_foreign_script_in_the_page_would_not_run(browser: Chrome, folder: Path) -> None:
    path = write_page(Story(generations=2).tell(), folder / "report.html")
    html = path.read_text(encoding="utf-8").replace(
        "</main>", "<script>alert(1)</script><img src=x onerror=alert(1)></main>"
    )
    path.write_text(html, encoding="utf-8")
    browser.get(path.as_uri())
    assert browser.execute_script("return window.ran") is None
    complaints = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has no type here
    assert sum("Content Security Policy" in complaint["message"] for complaint in complaints) >= 2


def test_the_heat_map_shows_every_gene_of_every_candidate_on_the_front(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=4))
    rows, columns, least, most = browser.execute_script(
        "const [map] = document.getElementById('genes-plot').data, all = map.z.flat();"
        "return [map.z.length, map.z[0].length, Math.min(...all), Math.max(...all)]"
    )
    members = browser.execute_script("return JSON.parse(document.getElementById('report-data').text).genes.ids.length")
    assert (rows, columns) == (members, 5)
    assert 0 <= least < most <= 1
    assert browser.find_element(By.CSS_SELECTOR, "#genes-plot .heatmaplayer image").is_displayed()


def test_the_tools_of_the_plot_send_nothing_anywhere(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=2))
    tools = browser.find_elements(By.CSS_SELECTOR, ".modebar-btn")
    names = [tool.get_attribute("data-title") for tool in tools]
    assert names == ["Download plot", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"]


def names_of_traces(browser: Chrome) -> list[str]:
    names: list[str] = browser.execute_script(
        "return document.getElementById('front-plot').data.map((trace) => trace.name)"
    )
    return names


def test_the_plot_begins_with_the_split_that_counts_and_any_other_can_be_drawn(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=4))
    remark = browser.find_element(By.ID, "front-remark")
    assert remark.text.startswith("Measured on test.")
    assert "front" in (on_test := names_of_traces(browser))
    assert "evaluated" not in on_test
    Select(browser.find_element(By.ID, "split")).select_by_visible_text("search")
    assert remark.text.startswith("Measured on search: the numbers the search saw, not its results.")
    assert "evaluated" in names_of_traces(browser)


def test_the_axes_fit_what_keeps_the_constraints_until_all_is_asked_for(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(constrained=True, generations=4, population=30))
    Select(browser.find_element(By.ID, "split")).select_by_visible_text("search")
    limits = (
        "const { xaxis, yaxis } = document.getElementById('front-plot')._fullLayout;"
        "return [...xaxis.range, ...yaxis.range]"
    )
    counted = "return document.getElementById('front-remark').textContent.match(/([0-9]+) points? that break/)?.[1]"
    hidden, fitted = int(browser.execute_script(counted)), browser.execute_script(limits)
    assert hidden > 0
    browser.find_element(By.ID, "all").click()
    whole = browser.execute_script(limits)
    assert whole[1] - whole[0] > fitted[1] - fitted[0] or whole[3] - whole[2] > fitted[3] - fitted[2]
    assert browser.execute_script(counted) is None


def test_names_of_references_never_lie_on_each_other(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=6))
    boxes = browser.execute_script(
        "const texts = [...document.querySelectorAll('#front-plot .textpoint text')];"
        "const boxes = texts.map((text) => text.getBoundingClientRect()).filter((box) => box.width > 0);"
        "return boxes.map((box) => [box.left, box.right, box.top, box.bottom])"
    )
    assert boxes
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]


def test_three_objectives_can_be_drawn_in_any_pair(browser: Chrome, folder: Path) -> None:
    assert shown(browser, folder, Story(objectives=3, generations=4)) == []
    Select(browser.find_element(By.ID, "across")).select_by_visible_text("throughput (images/s)")
    Select(browser.find_element(By.ID, "up")).select_by_visible_text("macs")
    Select(browser.find_element(By.ID, "colour")).select_by_visible_text("error (%)")
    titles = browser.execute_script(
        "const { xaxis, yaxis } = document.getElementById('front-plot').layout;"
        "return [xaxis.title.text, yaxis.title.text]"
    )
    assert titles == ["throughput (images/s)", "macs"]


@pytest.mark.parametrize(
    "story",
    [
        Story(generations=1, measured=False),
        Story(generations=1, failing=1.0),
        Story(objectives=1, generations=4),
        Story(constrained=True, generations=4),
        Story(generations=100, population=100, measured=False),
    ],
    ids=["one generation", "all failed", "one objective", "a constraint", "ten thousand candidates"],
)
def test_every_kind_of_run_opens_without_a_complaint(browser: Chrome, folder: Path, story: Story) -> None:
    assert shown(browser, folder, story) == []
    assert "Candidate" in details(browser)


@pytest.mark.parametrize("width", [400, 700, 1400])
@pytest.mark.parametrize("name", ["digits-widths", HOSTILE * 3], ids=["harmless", "hostile"])
def test_no_width_makes_the_page_scroll_sideways(browser: Chrome, folder: Path, width: int, name: str) -> None:
    shown(browser, folder, Story(generations=3, name=name, note=name), width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_numbers_with_standard_errors_fit_beside_each_other_on_a_narrow_screen(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=3), 400)
    cells = "document.querySelectorAll('#details td:not(.words)')"
    browser.execute_script(f"for (const cell of {cells}) cell.textContent = '0.006772 \N{PLUS-MINUS SIGN}0.00086'")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400


def test_a_dark_screen_gets_dark_plots(browser: Chrome, folder: Path) -> None:
    shown(browser, folder, Story(generations=2))
    paper = "return document.getElementById('front-plot').layout.paper_bgcolor"
    assert browser.execute_script(paper) == "#ffffff"
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    try:
        WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(paper) == "#14191f")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_of_a_comparison_draws_its_plots_at_any_width(browser: Chrome, folder: Path, width: int) -> None:
    runs = [
        {
            "name": name, "seed": 1, "group": group, "evaluations": 30,
            "front": [[1.0, 9.0], [3.0, 4.0], [5.0, 2.0 + group]], "hypervolume": 5.0, "best": [1.0, 2.0],
            "evaluated": [10, 20], "seconds": [1.0, 2.0], "hypervolumes": [4.0, 5.0],
        }
        for name, group in ((HOSTILE, 0), ("second", 0), ("third", 1))
    ]  # fmt: skip
    found = {
        "objectives": [{"name": name, "unit": "", "direction": "minimise"} for name in ("error", "macs")],
        "split": "test", "reference_point": {"error": 6.0, "macs": 10.0}, "runs": runs, "notes": ["Not over: third."],
        "differing": {"search.seed": [1, 2, 1]},
        "surfaces": {"0": {name: [[1.0, 9.0], [5.0, 2.0]] for name in ("attained by one", "attained by all")}},
    }  # fmt: skip
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get_log("browser")  # type: ignore[no-untyped-call]  # reading it empties it
    browser.get(write_comparison(found, folder / "compare.html").as_uri())
    WebDriverWait(browser, 30).until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".main-svg")) >= 3)
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]  # selenium has no type here
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return window.ran") is None
    traces = "return document.getElementById('fronts').data.length"
    assert browser.execute_script(traces) == 5
    browser.find_element(By.ID, "surfaces").click()
    assert browser.execute_script(traces) == 3


def test_every_one_of_many_searches_looks_different_and_one_objective_has_no_axes(
    browser: Chrome, folder: Path
) -> None:
    runs = [
        {
            "name": f"run-{place}", "seed": 1, "group": place, "evaluations": 30, "front": [[1.0, 9.0]],
            "best": [1.0, 9.0], "hypervolume": 5.0, "evaluated": [10], "seconds": [1.0], "hypervolumes": [4.0],
        }
        for place in range(8)
    ]  # fmt: skip
    found: dict[str, Any] = {
        "objectives": [{"name": name, "unit": "", "direction": "minimise"} for name in ("error", "macs")],
        "split": "test", "reference_point": {"error": 6.0, "macs": 10.0}, "runs": runs, "notes": [], "differing": {},
        "surfaces": {},
    }  # fmt: skip
    page = folder / "compare.html"
    browser.get(write_comparison(found, page).as_uri())
    looks = "return document.getElementById('fronts').data.map((trace) => trace.marker.color + trace.marker.symbol)"
    assert len(set(browser.execute_script(looks))) == 8
    browser.get(write_comparison({**found, "objectives": found["objectives"][:1]}, page).as_uri())
    assert not browser.find_element(By.ID, "log-up").is_displayed()
