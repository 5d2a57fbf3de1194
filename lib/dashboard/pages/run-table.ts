import { shownDuration } from '../../definition/format.js';
import { hintFor } from '../../errors/refresh-error.factory.js';
import type { ViewHistoryEntry } from '../../status/refresh-history.js';
import { relative, time } from '../format-time.js';
import { html, type Html } from '../html.js';
import { table } from './table.js';
import { badge, viewLink } from './view-parts.js';

/** Runs in the order in which they are given. */
export function runTable(
  runs: readonly ViewHistoryEntry[],
  { withViews }: { withViews: boolean },
): Html {
  if (runs.length === 0) {
    return html`<p>The history has no such run.</p>`;
  }
  const heads = [
    'Started',
    ...(withViews ? ['View'] : []),
    ...['Outcome', 'Trigger', 'Took', 'Rows', 'Mode', 'Process', 'Error'],
  ];
  const rows = runs.map((run) => row(run, withViews));
  return table({ label: 'Runs', heads, rows, isCards: true });
}

function row(run: ViewHistoryEntry, withViews: boolean): Html {
  const { startedAt, outcome, trigger, durationMs, mode, modeReason, host } = run;
  return html`<tr data-key="${run.runId}">
    <td data-label="Started">
      ${time(startedAt)}
      <div class="soft">${relative(startedAt)}</div>
    </td>
    ${withViews && html`<td data-label="View">${viewLink(run)}</td>`}
    <td data-label="Outcome">${badge(outcome)}</td>
    <td data-label="Trigger">${trigger}${occasion(run)}</td>
    <td data-label="Took">${shownDuration(durationMs)}</td>
    <td data-label="Rows">${counts(run)}</td>
    <td data-label="Mode">
      ${mode ?? '–'}${modeReason !== undefined && html`<div class="soft">${modeReason.replaceAll('_', ' ')}</div>`}
    </td>
    <td data-label="Process"><code>${host}</code></td>
    <td data-label="Error">${error(run)}</td>
  </tr>`;
}

/** How long the run waited after its scheduled time, and which attempt it was. */
function occasion({ tick, startedAt, attempt }: ViewHistoryEntry): Html {
  const waitMs = tick === undefined ? undefined : Math.max(0, startedAt.getTime() - tick.getTime());
  const said = [
    waitMs !== undefined && `${shownDuration(waitMs)} after its time`,
    attempt > 1 && `attempt ${attempt}`,
  ].filter((each) => each !== false);
  return html`${said.length > 0 && html`<div class="soft">${said.join(', ')}</div>`}`;
}

function counts({ insertedCount, deletedCount }: ViewHistoryEntry): Html {
  return insertedCount === undefined && deletedCount === undefined
    ? html`–`
    : html`+${(insertedCount ?? 0).toLocaleString('en')}
      −${(deletedCount ?? 0).toLocaleString('en')}`;
}

function error({ errorCode, errorMessage, outcome }: ViewHistoryEntry): Html {
  if (errorCode === undefined) {
    return html`–`;
  }
  const hint = hintFor(errorCode, { isTimeout: outcome === 'timeout' });
  return html`<code>${errorCode}</code>
    ${errorMessage}${hint !== undefined && html`<div class="soft">${hint}</div>`}`;
}
