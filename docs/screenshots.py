"""Make the pictures of the README from the running app.

python docs/screenshots.py, with the app at http://127.0.0.1:7860 or at CROSSFADE_URL
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
QUESTION = "How much is the monthly fee for Harbor Checking?"


def main() -> None:
    """Ask one question in five modes and keep the page as a picture."""
    url = os.environ.get("CROSSFADE_URL", "http://127.0.0.1:7860")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.wait_for_selector("#status .cf-ready", timeout=120_000)
        page.get_by_role("tab", name="Compare").click()
        page.fill("#compare-question textarea", QUESTION)
        page.click("#compare-send")
        page.wait_for_selector("#compare-stop", state="visible")
        page.wait_for_selector("#compare-stop", state="hidden", timeout=120_000)
        page.screenshot(path=Path(__file__).with_name("compare.png"))
        browser.close()


if __name__ == "__main__":
    main()
