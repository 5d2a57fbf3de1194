import { shownDuration } from '../../definition/format.js';
import type { ViewStatus } from '../../status/view-status.js';
import type { Action } from '../dashboard.actions.js';
import { nameKey, type ViewDetails, type ViewName } from '../readings.js';
import { html, type Html } from '../html.js';
import type { PageContent } from './layout.js';
import { viewQuery } from './view-parts.js';

/** Asks for confirmation before an action. */
export function confirmPage(
  action: Action,
  details: ViewDetails,
  pages: readonly ViewName[],
): PageContent {
  const { status } = details;
  const { heading, text, button } = question(action, details);
  const target = (others?: Record<string, string>): string =>
    `${action}?${viewQuery(status, others)}`;
  const dependents = action === 'refresh' ? dependentsOf(details, pages) : [];
  return {
    title: `${heading} ${status.view}?`,
    body: html`<h1>${heading} <span class="name">${status.view}</span>?</h1>
      <p>${text}</p>
      ${dependents.length > 0 && html`<p>It is read by ${dependents.map((name, position) => html`${position > 0 && ', '}<span class="name">${name}</span>`)}.</p>`}
      <form method="post" action="${target()}" class="actions">
        <button class="main">${button}</button>
        ${dependents.length > 0 && html`<button formaction="${target({ dependents: 'true' })}">Refresh it and what reads it</button>`}
        <a class="button" href="view?${viewQuery(status)}">Back</a>
      </form>`,
  };
}

function question(
  action: Action,
  { status }: ViewDetails,
): { heading: string; text: Html; button: string } {
  switch (action) {
    case 'refresh':
      return { heading: 'Refresh', text: refreshing(status), button: 'Refresh' };
    case 'cancel':
      return {
        heading: 'Cancel the refresh of',
        text: html`The running refresh ends, in whichever process it runs. The view keeps its rows.`,
        button: 'Cancel the refresh',
      };
    case 'pause':
      return {
        heading: 'Pause',
        text: html`Scheduled and write-triggered refreshes stop in all processes, across restarts,
        until the view is resumed. A running refresh goes on.`,
        button: 'Pause',
      };
    case 'resume':
      return {
        heading: 'Resume',
        text: html`Scheduled and write-triggered refreshes start again. One refresh makes up for
        what was missed.`,
        button: 'Resume',
      };
  }
}

function refreshing({ meanDurationMs, concurrently, isPaused }: ViewStatus): Html {
  const readers = concurrently.isPossible
    ? 'Readers can go on while it runs.'
    : 'Readers may have to wait while it runs.';
  return html`${meanDurationMs !== undefined && `It takes about ${shownDuration(meanDurationMs)}. `}${readers}${isPaused && ' The view stays paused.'}`;
}

/** The declared views that read it, directly or not: they are refreshed too. */
function dependentsOf(
  { status: { dataSource }, inspected }: ViewDetails,
  pages: readonly ViewName[],
): string[] {
  const known = new Set(pages.map(nameKey));
  return (inspected?.allDependents ?? [])
    .map(({ schema, name }) => `${schema}.${name}`)
    .filter((view) => known.has(nameKey({ dataSource, view })));
}
