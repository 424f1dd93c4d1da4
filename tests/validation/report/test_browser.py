"""What a browser makes of the report: it sorts, filters, leads to the sites, and asks the network for nothing."""

import re
import shutil
import subprocess

import pytest

from ecoembed.validation.report import write_report
from tests.validation.invented import invented

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=3000", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"), pytest.mark.timeout(120),
]  # fmt: skip

#: What a reader does, and what then stands in the page; the answers are written into its title.
STEPS = """
<script>
const table = document.querySelector("#table-site_scores"), body = table.tBodies[0], said = {};
const column = (name) => [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.startsWith(name));
const values = (name) => [...body.rows].map((row) => row.cells[column(name)].textContent);
const press = (name) => table.tHead.rows[0].cells[column(name)].querySelector("button").click();
press("RMSE"); said.down = values("RMSE"); said.aria = table.tHead.rows[0].cells[column("RMSE")].ariaSort;
press("RMSE"); said.up = values("RMSE");
press("r2 meteo"); said.last = values("r2 meteo").at(-1);
press("r2 meteo"); said.still = values("r2 meteo").at(-1);
press("site"); said.sites = values("site");
const input = document.querySelector(".filter input[aria-controls=table-site_scores]");
input.value = "enf cfb"; input.dispatchEvent(new Event("input"));
said.kept = [...body.rows].filter((row) => !row.hidden).map((row) => row.textContent);
said.count = input.parentElement.querySelector("output").textContent;
said.buttons = document.querySelectorAll("th button").length;
said.heads = document.querySelectorAll("table.sortable th").length;
const link = document.querySelector("svg a[href='#site-XX-T03']");
link.focus(); said.focus = document.activeElement === link;
link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })); said.hash = location.hash;
said.target = document.querySelector(":target").tagName;
const fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
said.loaded = fetched.filter((name) => !name.startsWith("data:"));
said.wide = document.documentElement.scrollWidth <= innerWidth;
said.broken = [...document.images].filter((image) => !image.naturalWidth).length;
document.title = JSON.stringify(said);
</script></body>
"""


def opened(path, folder, *flags):
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", *flags, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(invented(sites=9), tmp_path_factory.mktemp("browser") / "report.html")


@pytest.fixture(scope="module")
def said(page):
    import html
    import json

    probed = page.with_name("probed.html")
    probed.write_text(page.read_text().replace("</body>", STEPS))
    dom = opened(probed, page.parent / "profile", "--dump-dom", "--window-size=1200,900")
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))


def test_a_press_on_a_head_sorts(said):
    numbers = [float(text) for text in said["down"]]
    assert numbers == sorted(numbers, reverse=True)
    assert said["up"] == said["down"][::-1]
    assert said["aria"] == "descending"
    assert said["last"] == said["still"] == "–"  # what is not defined comes last in both directions
    assert said["sites"] == sorted(said["sites"])
    assert said["buttons"] == said["heads"] > 30


def test_words_filter(said):
    assert 0 < len(said["kept"]) < 9
    assert all("ENF" in text and "Cfb" in text for text in said["kept"])
    assert said["count"] == f"{len(said['kept'])} of 9 rows"


def test_a_point_of_the_map_leads_to_its_site_by_keyboard_too(said):
    assert said["focus"]
    assert said["hash"] == "#site-XX-T03"
    assert said["target"] == "SECTION"


def test_nothing_is_fetched_nothing_is_broken_and_the_page_is_not_too_wide(said):
    assert said["loaded"] == []
    assert said["broken"] == 0
    assert said["wide"]


def test_it_prints_and_photographs_without_an_error(page, tmp_path):
    opened(page, page.parent / "profile", f"--print-to-pdf={tmp_path / 'r.pdf'}")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    opened(page, page.parent / "profile", f"--screenshot={tmp_path / 'r.png'}", "--window-size=1200,2000")
    from PIL import Image

    image = Image.open(tmp_path / "r.png").convert("RGB")
    assert image.size == (1200, 2000)
    assert len(set(image.resize((60, 100)).getdata())) > 50  # it is not blank
