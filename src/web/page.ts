import { html, type Html } from './html.ts';

/** What every page shows around its content. */
export interface Frame {
  readonly title: string;
  /** Names and addresses from the archive down to here; the last one is this page. */
  readonly crumbs: readonly Crumb[];
}

export interface Crumb {
  readonly name: string;
  readonly href: string | null;
}

/** A whole page. It works without its script. */
export function pageOf({ title, crumbs }: Frame, content: Html): string {
  const trail = crumbs.map(({ name, href }, index) => {
    if (href !== null) return html`<a href="${href}">${name}</a>`;
    return index === crumbs.length - 1
      ? html`<span aria-current="page">${name}</span>`
      : html`<span>${name}</span>`;
  });
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${title} · Everlog</title>
        <link rel="icon" href="/-/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/-/style.css" />
        <script src="/-/script.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header class="top">
          <nav class="trail" aria-label="Where this is">
            <a class="home" href="/"><img src="/-/icon.svg" alt="" width="20" height="20" />Everlog</a
            >${trail.map((crumb) => html`<span class="sep">/</span>${crumb}`)}
          </nav>
          <form action="/-/go" method="get" role="search" aria-label="Open a GitHub address">
            <input
              name="u"
              type="text"
              placeholder="Paste a GitHub address, commit, run or job id"
              aria-label="GitHub address, commit, run or job id"
              maxlength="2000"
              autocomplete="off"
            />
            <button>Open</button>
          </form>
          <nav class="more" aria-label="More"><a href="/-/days">Days</a><a href="/-/status">Status</a></nav>
        </header>
        <main id="content">${content}</main>
      </body>
    </html> `.text;
}

/** Content of a page that says why there is nothing to show. */
export function noteHtml(heading: string, ...lines: readonly (string | Html)[]): Html {
  return html`<section class="note">
    <h1>${heading}</h1>
    ${lines.map((line) => html`<p>${line}</p>`)}
  </section>`;
}
