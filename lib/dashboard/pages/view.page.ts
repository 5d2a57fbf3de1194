import { shownDuration, shownSize } from '../../definition/format.js';
import { describeHolder, releaseHint } from '../../definition/lock-holder.js';
import { hintFor } from '../../errors/refresh-error.factory.js';
import type { ActionOutcome } from '../dashboard.actions.js';
import type { ViewDetails, ViewName } from '../readings.js';
import { cronInWords, relative, time } from '../format-time.js';
import { html, type Html } from '../html.js';
import type { PageContent } from './layout.js';
import { runTable } from './run-table.js';
import { catalogSections } from './view-catalog.js';
import { actionLinks, age, badgeList, progress } from './view-parts.js';
import { mode } from './views.page.js';

const NOTICES: Record<ActionOutcome, string> = {
  refreshed: 'The refresh is done.',
  started: 'The refresh has begun and is still running.',
  cancelled: 'The refresh was cancelled.',
  nothing: 'No refresh was running.',
  paused: 'The view is paused: it is refreshed only on demand.',
  resumed: 'Scheduled and write-triggered refreshes start again.',
};

interface ViewPageOptions {
  /** What was done just now. */
  notice: string | null;
  isReadOnly: boolean;
  /** The views to which links can lead. */
  pages: readonly ViewName[];
}

/** Everything that is known about one view. */
export function viewPage(
  details: ViewDetails,
  { notice, isReadOnly, pages }: ViewPageOptions,
): PageContent {
  const { status, runs, failures } = details;
  const said = Object.entries(NOTICES).find(([outcome]) => outcome === notice)?.[1];
  return {
    title: `${status.view} · Materialized views`,
    isLive: true,
    body: html`<h1><span class="name">${status.view}</span></h1>
      ${said !== undefined && html`<p class="notice" role="status">${said}</p>`}
      ${badgeList(status)}${progress(status)} ${problems(details)}
      ${failures.map((failure) => html`<p class="problem">${failure}</p>`)}
      ${!isReadOnly && html`<p>${actionLinks(status)}</p>`} ${facts(details)} ${ticks(details)}
      <h2>Runs</h2>
      ${runTable(runs, { withViews: false })}
      <p>
        <a href="runs?${new URLSearchParams({ view: status.view }).toString()}"
          >All runs of this view</a
        >
      </p>
      ${catalogSections(details, pages)}`,
  };
}

/** What is wrong, and what to do about it. */
function problems({ status }: ViewDetails): Html {
  const { lastFailure, failureCount, lockedBy = [], notBefore, aheadUntil, exists } = status;
  const { jobProblem } = status;
  return html`${!exists && html`<p class="problem">The database has no such view. A boot with <code>synchronize</code>, or a migration, makes it.</p>`}
  ${failureCount > 0 && lastFailure !== undefined && failure(lastFailure, notBefore)}
  ${jobProblem !== undefined && html`<p class="problem">Nothing refreshes the view at its scheduled times: ${jobProblem.message}.</p>`}
  ${lockedBy.map(
    (holder) =>
      html`<p class="problem">
        The view cannot be refreshed: its lock is held by ${describeHolder(holder)}.
        ${releaseHint(holder)}
      </p>`,
  )}
  ${aheadUntil !== undefined && html`<p class="problem">The clock of the database has gone back: stored times are ahead of it until ${time(aheadUntil)}.</p>`}`;
}

function failure(
  { at, errorCode, errorMessage, outcome }: NonNullable<ViewDetails['status']['lastFailure']>,
  notBefore: Date | undefined,
): Html {
  const hint =
    errorCode === undefined ? undefined : hintFor(errorCode, { isTimeout: outcome === 'timeout' });
  return html`<p class="problem">
    Failed ${relative(at)}:
    <code>${errorCode}</code>
    ${errorMessage}${hint !== undefined && html`<br />${hint}`}${notBefore !== undefined && html`<br />Scheduled refreshes back off until ${time(notBefore)}.`}
  </p>`;
}

function facts(details: ViewDetails): Html {
  const { status, declared, inspected } = details;
  const { lastSuccess, meanDurationMs, rowCountEstimate, sizeBytes, changes } = status;
  const entries: [string, Html | string | false][] = [
    ['Data source', status.dataSource],
    ['Age', age(status)],
    [
      'Last success',
      lastSuccess !== undefined &&
        html`${relative(lastSuccess.at)} (${time(lastSuccess.at)}), took
        ${shownDuration(lastSuccess.durationMs)}`,
    ],
    ['Mean duration', meanDurationMs !== undefined && shownDuration(meanDurationMs)],
    ['Mode', mode(status, declared)],
    ['Refreshed', refreshedBy(details)],
    ['Pending changes', changes !== undefined && pending(changes)],
    ['Rows', rowCountEstimate !== undefined && `about ${rowCountEstimate.toLocaleString('en')}`],
    ['Size', sizeBytes !== undefined && shownSize(sizeBytes)],
    ['Owner', inspected !== undefined && inspected.owner],
    ['Comment', inspected?.comment ?? false],
  ];
  return html`<dl class="facts">
    ${entries.map(
      ([name, value]) =>
        value !== false &&
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

function refreshedBy({ status, declared }: ViewDetails): Html | string {
  const { schedule, onWrite, maxStalenessMs, skipsUnchanged = false } = declared ?? {};
  const said = [
    schedule !== undefined &&
      html`<code>${schedule.cron}</code>
        (${schedule.timeZone}${schedule.scheduler === 'pg_cron' && ', by pg_cron'})${cronInWords(schedule) !== undefined && html`: ${cronInWords(schedule)}`}`,
    onWrite !== undefined &&
      html`${shownDuration(onWrite.debounceMs)} after a write to
      ${onWrite.readsSources ? 'what it reads' : onWrite.tables.join(', ')},
      ${shownDuration(onWrite.maxWaitMs)} at the most`,
    maxStalenessMs !== undefined && html`within ${shownDuration(maxStalenessMs)} of a write`,
    skipsUnchanged && html`not if nothing has changed`,
    status.isPaused &&
      html`<strong>paused</strong
        >${status.pausedAt !== undefined && html` since ${time(status.pausedAt)}`}`,
  ].filter((each) => each !== false);
  return said.length === 0
    ? 'only on demand'
    : html`${said.map((each, position) => html`${position > 0 && html`<br />`}${each}`)}`;
}

function pending({
  isUnchanged,
  pendingSince,
  logRowCount,
  logBytes,
}: NonNullable<ViewDetails['status']['changes']>): Html {
  const log = html`<span class="soft"
    >The change log has ${logRowCount.toLocaleString('en')} rows, ${shownSize(logBytes)}.</span
  >`;
  if (isUnchanged) {
    return html`none ${log}`;
  }
  return pendingSince === undefined
    ? html`perhaps ${log}`
    : html`since ${time(pendingSince)} (${relative(pendingSince)}) ${log}`;
}

function ticks({ declared }: ViewDetails): Html {
  const { nextTicks = [] } = declared?.schedule ?? {};
  return html`${
    nextTicks.length > 0 &&
    html`<h2>Next runs</h2>
      <ol>
        ${nextTicks.map((tick) => html`<li>${time(tick)} <span class="soft">${relative(tick)}</span></li>`)}
      </ol>`
  }`;
}
