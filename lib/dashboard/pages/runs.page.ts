import { REFRESH_OUTCOMES, type ViewHistoryEntry } from '../../status/refresh-history.js';
import { html, type Html } from '../html.js';
import type { RunsFilter } from '../runs-filter.js';
import type { PageContent } from './layout.js';
import { runTable } from './run-table.js';
import { selectField } from './select-field.js';

/** Runs of all views, newest first, page by page. */
export function runsPage(
  runs: readonly ViewHistoryEntry[],
  { filter, views, limit }: { filter: RunsFilter; views: readonly string[]; limit: number },
): PageContent {
  const last = runs.at(-1);
  return {
    title: 'Runs · Materialized views',
    current: 'runs',
    // While paging, the pages must not change.
    isLive: filter.olderThan === undefined,
    body: html`<h1>Runs</h1>
      ${filterForm(filter, views)} ${runTable(runs, { withViews: true })}
      <p class="actions">
        ${filter.olderThan !== undefined && html`<a class="button" href="runs?${queryOf(filter)}">Newest</a>`}
        ${runs.length === limit && last !== undefined && html`<a class="button" href="runs?${queryOf(filter, last)}">Older</a>`}
      </p>`,
  };
}

function filterForm({ view, outcome, since, until }: RunsFilter, views: readonly string[]): Html {
  return html`<form class="filter" method="get" action="runs" role="search">
    ${selectField({ label: 'View', name: 'view', values: views, chosen: view })}
    ${selectField({ label: 'Outcome', name: 'outcome', values: REFRESH_OUTCOMES, chosen: outcome })}
    <label>From (UTC) <input type="datetime-local" name="since" value="${inField(since)}" /></label>
    <label
      >Until (UTC) <input type="datetime-local" name="until" value="${inField(until)}"
    /></label>
    <button>Filter</button> <a href="runs">Show all</a>
  </form>`;
}

/** In the format of such a field, to the minute. */
function inField(instant: Date | undefined): string {
  return instant?.toISOString().slice(0, 16) ?? '';
}

function queryOf(
  { view, outcome, since, until }: RunsFilter,
  olderThan?: Pick<ViewHistoryEntry, 'startedAt' | 'runId'>,
): string {
  const entries = {
    view,
    outcome,
    since: inField(since),
    until: inField(until),
    after: olderThan && `${olderThan.startedAt.toISOString()} ${olderThan.runId}`,
  };
  return new URLSearchParams(
    Object.entries(entries).filter((entry): entry is [string, string] => Boolean(entry[1])),
  ).toString();
}
