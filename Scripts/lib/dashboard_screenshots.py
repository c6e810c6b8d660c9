"""Takes pictures of a running dashboard and looks for what a browser can find wrong with it. Called by Scripts/dashboard-screenshots."""

import argparse
import os
import shutil
import sys
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
NARROWEST = 360


def watch(page, url, problems):
    """Notes what the page should not do while it is open."""
    here = urlsplit(url).netloc
    page.on("console", lambda message: message.type == "error" and problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("request", lambda request: urlsplit(request.url).netloc != here and problems.append(f"asks {request.url}"))


def open_page(browser, arguments, size, scheme, problems, **options):
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce", **options)
    page = context.new_page()
    watch(page, arguments.url, problems)
    page.goto(arguments.url)
    page.wait_for_selector("#pipeline svg")
    page.wait_for_function("document.querySelectorAll('.chart').length > 0")
    return context, page


def ask(page, user):
    page.fill("input[name=user]", user)
    page.fill("input[name=topk]", "8")
    page.click("form#ask button")
    page.wait_for_selector("#answer table, #answer .trouble, #answer .empty")


def check_widths(browser, arguments, problems):
    for width in (NARROWEST, 720, 1000, 1280):
        context, page = open_page(browser, arguments, (width, 800), "light", problems)
        ask(page, arguments.user)
        scrolls = page.evaluate("document.scrollingElement.scrollWidth")
        if scrolls > width:
            problems.append(f"at {width} px the page is {scrolls} px wide")
        context.close()


def check_letters(page, problems):
    """What is in a dead letter is text, whatever it looks like."""
    tags = page.evaluate("[...new Set([...document.querySelectorAll('#letters *')].map((node) => node.localName))]")
    if strange := set(tags) - {"li", "p", "b", "span", "pre"}:
        problems.append(f"dead letters made elements: {sorted(strange)}")


def check_keyboard(page, problems):
    """Everything that can be used is reached by the Tab key, and shows it."""
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter((node) => node.checkVisibility() && !(node.type === 'radio' && !node.checked)).length")
    page.focus(".skip")
    reached = set()
    for step in range(wanted + 5):
        if step > 0:
            page.keyboard.press("Tab")
        place, outline = page.evaluate(
            "(() => { const node = document.activeElement; return [[...document.querySelectorAll('*')].indexOf(node),"
            " getComputedStyle(node).outlineStyle]; })()")
        if place in reached or page.evaluate("document.activeElement === document.body"):
            break
        reached.add(place)
        # The first one was not reached by the keyboard.
        if step > 0 and outline == "none":
            problems.append(f"focus does not show on {page.evaluate('document.activeElement.outerHTML.slice(0, 80)')}")
    if len(reached) < wanted:
        problems.append(f"the Tab key reaches {len(reached)} of {wanted} things")


def check_accessibility(page, scheme, problems):
    for violation in Axe().run(page).response["violations"]:
        nodes = "; ".join(node["html"][:100] for node in violation["nodes"][:3])
        problems.append(f"axe, {scheme}: {violation['id']} ({violation['impact']}): {violation['help']}: {nodes}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8600/")
    parser.add_argument("--output", default=".freshet/screenshots")
    parser.add_argument("--name", default="dashboard")
    parser.add_argument("--user", default="1")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--pictures-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.chromium:
        sys.exit("dashboard-screenshots: no chromium on PATH; apt-get install chromium, or name one with --chromium")
    os.makedirs(arguments.output, exist_ok=True)
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for name, size in SIZES.items():
                context, page = open_page(browser, arguments, size, scheme, problems)
                ask(page, arguments.user)
                path = os.path.join(arguments.output, f"{arguments.name}-{name}-{scheme}")
                page.evaluate("window.scrollTo(0, 0)")
                page.screenshot(path=f"{path}.png")
                page.screenshot(path=f"{path}-whole.png", full_page=True)
                context.close()
            if not arguments.pictures_only:
                # axe is a script of ours: the page's own policy would not let it in.
                context, page = open_page(browser, arguments, SIZES["desktop"], scheme, problems, bypass_csp=True)
                ask(page, arguments.user)
                check_accessibility(page, scheme, problems)
                if scheme == "light":
                    check_letters(page, problems)
                    check_keyboard(page, problems)
                context.close()
        if not arguments.pictures_only:
            check_widths(browser, arguments, problems)
        browser.close()
    for problem in dict.fromkeys(problems):
        print(f"dashboard-screenshots: {problem}", file=sys.stderr)
    print(f"pictures are in {arguments.output}/")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
