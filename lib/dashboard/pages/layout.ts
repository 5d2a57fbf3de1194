import { ASSETS } from '../assets.js';
import type { ResolvedDashboardOptions } from '../dashboard.options.js';
import { html, type Html } from '../html.js';

export interface PageContent {
  title: string;
  /** The header link that leads here. */
  current?: 'views' | 'graph' | 'runs';
  body: Html;
  /** Whether the page updates itself while it is visible. @default false */
  isLive?: boolean;
}

const LINKS = [
  { name: 'views', href: './', text: 'Views' },
  { name: 'graph', href: 'graph', text: 'Graph' },
  { name: 'runs', href: 'runs', text: 'Runs' },
] as const;

/** The whole page. All links are relative to it, and all pages are in one folder. */
export function layout(
  { environment }: ResolvedDashboardOptions,
  { title, current, body, isLive = false }: PageContent,
): Html {
  const asset = ({ fileName }: { fileName: string }): string => `assets/${fileName}`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <link rel="icon" href="${asset(ASSETS.icon)}" />
        <link rel="stylesheet" href="${asset(ASSETS.style)}" />
        <script src="${asset(ASSETS.script)}" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header class="top">
          <a class="brand" href="./">Materialized views</a>
          ${environment !== undefined && html`<span class="environment">${environment}</span>`}
          <nav aria-label="Pages">
            ${LINKS.map(
              ({ name, href, text }) =>
                html`<a href="${href}" ${name === current && html` aria-current="page"`}
                  >${text}</a
                >`,
            )}
          </nav>
          ${isLive && POLL}
        </header>
        <main id="main" tabindex="-1">
          <p class="problem" id="lost" role="alert" hidden>
            The page could not be updated. It tries again.
          </p>
          ${isLive ? html`<div id="live">${body}</div>` : body}
        </main>
      </body>
    </html> `;
}

/** Shown by the script, because nothing updates without it. */
const POLL = html`<div class="poll" hidden>
  <label for="poll">Reload</label>
  <select id="poll">
    <option value="0">never</option>
    <option value="2">every 2 s</option>
    <option value="5" selected>every 5 s</option>
    <option value="15">every 15 s</option>
    <option value="60">every minute</option>
  </select>
</div>`;
