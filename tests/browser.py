"""A headless Chromium without a network, and a page opened in it: shared by the tests of the pages.

Needs Debian's ``chromium`` and ``chromium-driver``. Without them the tests are skipped with one line, unless
``ALLEYPLAN_REQUIRE_BROWSER=1`` makes their absence a failure.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}${7*7}</script>"
PHONE = (390, 844)
PROJECTOR = (1920, 1080)

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
)


NO_BROWSER = "no browser tests: install Debian's chromium and chromium-driver"


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    """Debian's browser and driver; Selenium never looks for others on the network."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        if os.environ.get("ALLEYPLAN_REQUIRE_BROWSER") == "1":
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    ran = {"source": "window.ran = []; window.alert = (what) => window.ran.push(String(what));"}
    chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", ran)
    yield chrome
    chrome.quit()


class Page:
    """A page opened from a file, and what the browser tells of it."""

    def __init__(self, chrome: webdriver.Chrome, path: Path, size: tuple[int, int]) -> None:
        self.chrome = chrome
        self.path = path
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        for kind in ("browser", "performance"):
            chrome.get_log(kind)
        chrome.get(path.as_uri())

    def run(self, script: str, *values: Any) -> Any:
        return self.chrome.execute_script(script, *values)

    def text(self, selector: str) -> str:
        return str(self.chrome.find_element(By.CSS_SELECTOR, selector).text)

    def click(self, selector: str) -> None:
        self.chrome.find_element(By.CSS_SELECTOR, selector).click()

    def tap(self, x: float, y: float) -> None:
        """Tap at a place of the window, whatever lies there."""
        action = ActionChains(self.chrome)
        action.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        action.w3c_actions.pointer_action.click()
        action.perform()

    def sign(self, text: str) -> tuple[float, float]:
        """Where a sign of the map stands in the window."""
        box = self.run(
            "const signs = [...document.querySelectorAll('.sign span')];"
            "const found = signs.find((each) => each.textContent === arguments[0]);"
            "const b = found.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];",
            text,
        )
        return box[0], box[1]

    def rest(self, milliseconds: int) -> None:
        """Let the page draw."""
        self.run("return new Promise((done) => setTimeout(done, arguments[0]))", milliseconds)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        ActionChains(self.chrome).send_keys(*keys).perform()

    def drag(self, selector: str, value: int) -> None:
        """Set a slider as a finger does."""
        self.run(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', { bubbles: true }));",
            selector,
            value,
        )

    def picture(self, name: str) -> None:
        """Keep what is seen in ``build/screens``, for people to look at."""
        folder = Path(__file__).parent.parent / "build" / "screens"
        folder.mkdir(parents=True, exist_ok=True)
        self.chrome.save_screenshot(str(folder / f"{name}.png"))

    @property
    def requests(self) -> list[str]:
        """Addresses asked for since opening, the page's own file left out."""
        events = [json.loads(each["message"])["message"] for each in self.chrome.get_log("performance")]
        sent = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
        urls = [each["request"]["url"] for each in sent]
        return [each for each in urls if each != self.path.as_uri() and not each.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        return [each["message"] for each in self.chrome.get_log("browser")]


@pytest.fixture
def show(chromium: webdriver.Chrome, tmp_path: Path) -> Any:
    """Write a page and open it at a size."""

    def opened(page: str, size: tuple[int, int] = PROJECTOR) -> Page:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        return Page(chromium, path, size)

    return opened
