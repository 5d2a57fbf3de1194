import { shownDuration, shownSize } from '../../definition/format.js';
import { type ListedView, nameKey, type Overview } from '../readings.js';
import { cronInWords, relative, time } from '../format-time.js';
import { html, type Html } from '../html.js';
import { BADGES, badgesOf, isProblem } from '../view-badges.js';
import type { PageContent } from './layout.js';
import { selectField } from './select-field.js';
import { table } from './table.js';
import { actionLinks, age, badge, badgeList, progress, runBars, viewLink } from './view-parts.js';

/** The filter of the list. */
export interface ViewsFilter {
  /** A part of the name. */
  name: string;
  /** One of the badges; anything else means all. */
  state: string;
}

interface ViewsPageOptions {
  filter: ViewsFilter;
  isReadOnly: boolean;
}

/** All views, problems first. */
export function viewsPage(
  { views, failures }: Overview,
  { filter, isReadOnly }: ViewsPageOptions,
): PageContent {
  const shown = views.filter((each) => isShown(each, filter));
  const problemCount = views.filter(({ status }) => isProblem(badgesOf(status))).length;
  return {
    title: `${problemCount > 0 ? `(${problemCount}) ` : ''}Materialized views`,
    current: 'views',
    isLive: true,
    body: html`<h1>Views</h1>
      ${failures.map(({ message }) => html`<p class="problem">${message}</p>`)} ${counts(views)}
      ${filterForm(filter)} ${shown.length > 0 && viewTable(shown, isReadOnly)}
      ${shown.length === 0 && failures.length === 0 && html`<p>No view matches.</p>`}`,
  };
}

function isShown({ status }: ListedView, { name, state }: ViewsFilter): boolean {
  const isNamed = status.view.toLowerCase().includes(name.toLowerCase());
  return isNamed && (state === '' || badgesOf(status).some((each) => each === state));
}

function counts(views: readonly ListedView[]): Html {
  const all = views.flatMap(({ status }) => badgesOf(status));
  const items = BADGES.map((kind) => ({ kind, count: all.filter((each) => each === kind).length }))
    .filter(({ count }) => count > 0)
    .map(
      ({ kind, count }) =>
        html`<li>
          <a href="./?${new URLSearchParams({ state: kind }).toString()}"
            >${badge(kind, `${count} ${kind}`)}</a
          >
        </li>`,
    );
  return html`<ul class="numbers" aria-label="How many views are in which state">
    ${items}
  </ul>`;
}

function filterForm({ name, state }: ViewsFilter): Html {
  return html`<form class="filter" method="get" action="./" role="search">
    <label>Name <input type="search" name="name" value="${name}" /></label>
    ${selectField({ label: 'State', name: 'state', values: BADGES, chosen: state })}
    <button>Filter</button>${(name !== '' || state !== '') && html` <a href="./">Show all</a>`}
  </form>`;
}

const HEADS = ['View', 'State', 'Age', 'Last runs', 'Next run', 'Rows', 'Mode'];

function viewTable(views: readonly ListedView[], isReadOnly: boolean): Html {
  const several = new Set(views.map(({ status }) => status.dataSource)).size > 1;
  return table({
    label: 'Views',
    heads: isReadOnly ? HEADS : [...HEADS, 'Actions'],
    rows: views.map((view) => row(view, { several, isReadOnly })),
    isCards: true,
  });
}

function row(
  { status, declared, runs }: ListedView,
  { several, isReadOnly }: { several: boolean; isReadOnly: boolean },
): Html {
  const { lastFailure, failureCount, lastDurationMs } = status;
  const failure =
    failureCount > 0
      ? (lastFailure?.errorMessage ?? lastFailure?.errorCode)
      : status.jobProblem?.message;
  return html`<tr data-key="${nameKey(status)}">
    <th scope="row">
      ${viewLink(status)}${several && html`<div class="soft">${status.dataSource}</div>`}
    </th>
    <td data-label="State">
      ${badgeList(status)}${failure !== undefined && html`<div class="soft">${failure}</div>`}${progress(status)}
    </td>
    <td data-label="Age">${age(status)}</td>
    <td data-label="Last runs">
      ${runBars(runs)}${lastDurationMs !== undefined && html`<span class="soft">last took ${shownDuration(lastDurationMs)}</span>`}
    </td>
    <td data-label="Next run">${nextRun(status, declared)}</td>
    <td data-label="Rows">${rows(status)}</td>
    <td data-label="Mode">${mode(status, declared)}</td>
    ${!isReadOnly && html`<td data-label="Actions">${actionLinks(status)}</td>`}
  </tr>`;
}

function nextRun(
  { nextTick, isPaused }: ListedView['status'],
  declared: ListedView['declared'],
): Html {
  const { schedule, onWrite, maxStalenessMs } = declared ?? {};
  const others = [
    onWrite !== undefined && 'after writes',
    maxStalenessMs !== undefined && `within ${shownDuration(maxStalenessMs)} of a write`,
  ].filter((each) => each !== false);
  if (schedule === undefined || nextTick === undefined) {
    return html`${others.length === 0 ? html`<span class="soft">on demand</span>` : others.join(', ')}`;
  }
  const words = cronInWords(schedule);
  return html`${isPaused ? html`<s>${relative(nextTick)}</s>` : relative(nextTick)}
    <div class="soft">
      ${time(nextTick)}<br />${words ?? html`<code>${schedule.cron}</code>`}
      (${schedule.timeZone})${others.map((each) => html`<br />${each}`)}
    </div>`;
}

function rows({ rowCountEstimate, sizeBytes }: ListedView['status']): Html {
  return html`${rowCountEstimate === undefined ? html`<span class="soft">not analyzed</span>` : `≈ ${rowCountEstimate.toLocaleString('en')}`}
  ${sizeBytes !== undefined && html`<div class="soft">${shownSize(sizeBytes)}</div>`}`;
}

const WHY_BLOCKING = {
  unpopulated: 'it has no rows yet',
  no_unique_index: 'it has no usable unique index',
} as const;

/** The mode of the next refresh, as far as it is known. */
export function mode(
  { concurrently: { isPossible, reason }, lastSuccess }: ListedView['status'],
  declared: ListedView['declared'],
): Html {
  const choice = declared?.mode ?? 'auto';
  if (choice === 'swap' || choice === 'blocking') {
    return html`${badge(choice)}
      <div class="soft">as declared</div>`;
  }
  return isPossible
    ? html`${badge('concurrently')}${lastSuccess?.mode !== undefined && lastSuccess.mode !== 'concurrently' && html`<div class="soft">last: ${lastSuccess.mode}</div>`}`
    : html`${badge('blocking')}
        <div class="soft">${reason !== undefined && WHY_BLOCKING[reason]}</div>`;
}
