"""Documents in a real browser: a folder of mixed files is added, found, read and removed; nothing leaves the page."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.document_builder import pdf

pytestmark = pytest.mark.browser

HOSTILE = '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <script>document.title="x"</script>'
LINES = ["The lamp is lit at dusk and put out at dawn.", "Oil is kept in the cellar under the stairs."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lighthouse"
    (made / "old").mkdir(parents=True)
    (made / "rules.pdf").write_bytes(
        pdf([LINES, ["The zeppelin of 1931 was moored to the gallery.", "It left the same evening."], LINES])
    )
    (made / "diary.txt").write_text("On Monday the ferry brought coal and two letters.\n")
    (made / "guide.md").write_text(f"# The lamp\n\n{' '.join(LINES)}\n\n# The boats\n\nThree boats lie in the cove.\n")
    (made / "page.html").write_text(f"<title>Visits</title><h1>Visits</h1><p>Open in May.</p><p>{HOSTILE}</p>")
    (made / "old" / "prices.csv").write_text("what,shillings\noil,12\nrope,7\n")
    (made / "old" / "<b>x<b> ![i](http:evil.example).md").write_text(f"# {HOSTILE}\n\nThe keeper's cat: {HOSTILE}\n")
    return made


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def test_a_folder_is_added_found_read_and_removed(
    context: Callable[..., BrowserContext], serve: Callable, folder: Path, tmp_path: Path
) -> None:
    server = serve()
    page = context(accept_downloads=True).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/documents?agent=tester")
    page.get_by_text("A folder", exact=True).click()
    settled(page)
    page.locator("input[type=file][webkitdirectory]").set_input_files(folder)
    expect(page.get_by_text("6 files arrived, ready to be added")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Of 6 files: 6 added")).to_be_visible()
    settled(page)
    table = page.locator(".st-key-documents")
    expect(table.get_by_text("lighthouse/rules.pdf")).to_be_visible()
    expect(table.get_by_text("lighthouse/old/<b>x<b> ![i](http:evil.example).md")).to_be_visible()

    # What stands in the PDF is found by what it says, with its page and what is around it.
    page.get_by_test_id("stSidebar").get_by_role("link", name="Archival storage").click()
    field = page.get_by_label("Search as the agent does")
    field.fill("zeppelin moored 1931")
    field.press("Enter")
    hit = page.locator("[class*='st-key-card-']").first
    expect(hit.locator("mark").first).to_have_text("zeppelin")
    settled(page)
    hit.get_by_role("button", name="Open").click()
    place = page.locator(".st-key-in-document")
    expect(place.get_by_text("lighthouse/rules.pdf")).to_be_visible()
    expect(place.get_by_text("passage 2 of 3, page 2")).to_be_visible()
    expect(place.get_by_text("The lamp is lit at dusk")).to_have_count(2)
    settled(page)
    place.get_by_role("button", name="After").click()
    expect(place.get_by_text("passage 3 of 3, page 3")).to_be_visible()
    expect(place.get_by_text("the document ends here")).to_be_visible()
    settled(page)
    place.get_by_role("link", name="Read on in the document").click()

    # The document: its outline, its text, the file itself, and hostile ones as text.
    expect(page.get_by_text("PDF · ")).to_be_visible()
    settled(page)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download the file").click()
    coming.value.save_as(tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == (folder / "rules.pdf").read_bytes()
    page.get_by_role("button", name="All documents").click()
    expect(table).to_be_visible()
    settled(page)
    row = table.locator(".stHorizontalBlock", has=page.get_by_text("http:evil.example"))
    row.get_by_role("button", name="Open").click()
    expect(page.locator(".ms-pass").get_by_text("The keeper's cat: <img src=")).to_be_visible()
    expect(page.locator(".st-key-outline")).to_contain_text('document.title="x"')

    # Removed, it is in no list and no search; the file can be brought back.
    settled(page)
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("Removed: 1 document")).to_be_visible()
    expect(table.get_by_text("http:evil.example")).to_have_count(0)
    expect(table.get_by_text("lighthouse/rules.pdf")).to_be_visible()
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {f"127.0.0.1:{server.port}"}
    assert "Documents" in page.title()
