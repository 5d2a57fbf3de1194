import { STATUS_CODES } from 'node:http';
import { html } from '../html.js';
import type { PageContent } from './layout.js';

/** Shown if a page can't be shown. */
export function errorPage(status: number, message: string): PageContent {
  const title = STATUS_CODES[status] ?? 'Error';
  return {
    title: `${title} · Materialized views`,
    body: html`<h1>${title}</h1>
      <p class="problem">${message}</p>
      <p><a href="./">All views</a></p>`,
  };
}
