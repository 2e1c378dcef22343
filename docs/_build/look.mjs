// Renders every page of the site in a browser and says what is wrong with it.
//
// Started by look.py with one JSON argument: where the site is served, its pages, where playwright
// and axe lie, which browser to start, and where pictures go (or nothing).
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const told = JSON.parse(process.argv[2]);
const { chromium } = createRequire(import.meta.url)(told.playwright);
const axe = readFileSync(told.axe, "utf-8");
const WIDTHS = [1280, 390];
const SCHEMES = ["light", "dark"];
const SETTLE = 15000;
const faults = [];
let seen = 0;

const blame = (page, how, what) => faults.push(`${page} (${how}): ${what}`);

async function opened(browser, scheme) {
  const context = await browser.newContext({
    colorScheme: scheme,
    reducedMotion: "reduce",
    viewport: { width: WIDTHS[0], height: 900 },
  });
  // The theme draws diagrams into closed shadow roots, which nothing could look into.
  await context.addInitScript(() => {
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (options) {
      return attach.call(this, { ...options, mode: "open" });
    };
  });
  const page = await context.newPage();
  page.on("console", (said) => said.type() === "error" && blame(page.here, scheme, said.text()));
  page.on("pageerror", (error) => blame(page.here, scheme, error.message));
  page.on("response", (got) => got.status() >= 400 && blame(page.here, scheme, got.url()));
  page.on("request", (asked) => {
    const url = asked.url();
    const ours = [told.url, "data:", "blob:"].some((start) => url.startsWith(start));
    if (!ours) blame(page.here, scheme, `asks the network for ${url}`);
  });
  return page;
}

async function look(page, name, scheme) {
  page.here = name;
  await page.setViewportSize({ width: WIDTHS[0], height: 900 });
  await page.goto(told.url + name, { waitUntil: "load" });
  await diagrams(page, name, scheme);
  await page.evaluate(axe);
  for (const width of WIDTHS) {
    const how = `${width} px, ${scheme}`;
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 0) blame(name, how, `${wide} px wider than the window`);
    // Once in each scheme and at each width: what axe looks at is seldom both, and it takes its time.
    if ((width === WIDTHS[0]) === (scheme === SCHEMES[0])) {
      for (const found of await broken(page)) blame(name, how, found);
    }
    if (told.pictures) await picture(page, name, width, scheme);
    seen += 1;
  }
}

async function diagrams(page, name, scheme) {
  const wanted = await page.evaluate(() => document.querySelectorAll(".mermaid").length);
  const drawn = () =>
    [...document.querySelectorAll(".mermaid")].every((host) => host.shadowRoot?.querySelector("svg"));
  try {
    if (wanted) await page.waitForFunction(drawn, null, { timeout: SETTLE });
  } catch {
    blame(name, scheme, "a diagram did not become a picture");
  }
}

// The theme lets a wide block be scrolled by keys a moment after it became too wide.
async function settled(page) {
  const done = () =>
    [...document.querySelectorAll("pre > code")].every(
      (code) => code.scrollWidth <= code.clientWidth || code.tabIndex >= 0,
    );
  await page.waitForFunction(done, null, { timeout: SETTLE }).catch(() => {});
}

async function broken(page) {
  await settled(page);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"] }),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes
      .slice(0, 3)
      .map(({ html, any }) => `${html.replaceAll(/\s+/g, " ").slice(0, 120)} ${contrast(any)}`)
      .join("; ")} (${nodes.length})`);
}

const contrast = (any) =>
  any
    .filter(({ data }) => data?.contrastRatio)
    .map(({ data }) => `[${data.fgColor} on ${data.bgColor}: ${data.contrastRatio}]`)
    .join("");

async function picture(page, name, width, scheme) {
  mkdirSync(told.pictures, { recursive: true });
  const file = `${name.replaceAll("/", "-").replace(".html", "")}-${width}-${scheme}.png`;
  await page.screenshot({ path: join(told.pictures, file), fullPage: true });
}

async function search(page, words) {
  await page.setViewportSize({ width: WIDTHS[0], height: 900 });
  for (const word of words) {
    page.here = `search for ${word}`;
    await page.goto(told.url + "index.html", { waitUntil: "load" });
    const ready = () => !/initiali/i.test(document.querySelector(".md-search-result__meta").textContent);
    await page.waitForFunction(ready, null, { timeout: SETTLE });
    // Key by key: the theme listens to keys, not to a value that is suddenly there.
    await page.locator(".md-search__input").pressSequentially(word);
    try {
      await page.waitForSelector(".md-search-result__item a", { timeout: SETTLE });
    } catch {
      blame(page.here, "light", "finds nothing");
    }
  }
}

const browser = await chromium.launch({ executablePath: told.browser, args: told.flags });
try {
  await Promise.all(
    SCHEMES.map(async (scheme) => {
      const page = await opened(browser, scheme);
      for (const name of told.pages) await look(page, name, scheme);
      if (scheme === "light") await search(page, told.words);
    }),
  );
} finally {
  await browser.close();
}
for (const fault of [...new Set(faults)].sort()) console.log(fault);
console.log(`${told.pages.length} pages, ${seen} views, ${new Set(faults).size} faults`);
process.exit(faults.length ? 1 : 0);
