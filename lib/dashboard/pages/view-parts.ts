import { shownDuration } from '../../definition/format.js';
import type { RecentRuns } from '../../status/refresh-history.js';
import type { ViewStatus } from '../../status/view-status.js';
import type { Action } from '../dashboard.actions.js';
import type { ViewName } from '../readings.js';
import { coarse } from '../format-time.js';
import { html, type Html } from '../html.js';
import { type Badge, badgesOf } from '../view-badges.js';

/** The query string of a link about a view. */
export function viewQuery(
  { dataSource, view }: ViewName,
  others: Record<string, string> = {},
): string {
  return new URLSearchParams({ source: dataSource, view, ...others }).toString();
}

export function viewLink(name: ViewName): Html {
  return html`<a class="name" href="view?${viewQuery(name)}">${breakable(name.view)}</a>`;
}

/** A name that is too long breaks after a dot or an underscore first. */
function breakable(name: string): Html {
  const parts = name.split(/(?<=[._])/);
  return html`${parts.map((part, position) => html`${position > 0 && html`<wbr />`}${part}`)}`;
}

/** @param words its text, if not just its kind */
export function badge(kind: string, words = kind): Html {
  return html`<span class="badge ${kind.replaceAll(' ', '-')}">${words}</span>`;
}

/** All states of a view, in words. */
export function badgeList(status: ViewStatus): Html {
  const words = (kind: Badge): string =>
    kind === 'failing' ? `failing (${status.failureCount} in a row)` : kind;
  return html`<span class="actions"
    >${badgesOf(status).map((kind) => badge(kind, words(kind)))}</span
  >`;
}

/** The age of the rows, next to the limit. */
export function age({ ageMs, maxStalenessMs, view }: ViewStatus): Html {
  if (ageMs === undefined) {
    return html`<span class="soft">unknown</span>`;
  }
  if (maxStalenessMs === undefined) {
    return html`${coarse(ageMs)}`;
  }
  const [value, limit] = [
    Math.round(ageMs / 1_000),
    Math.max(1, Math.round(maxStalenessMs / 1_000)),
  ];
  return html`${coarse(ageMs)} <span class="soft">of ${coarse(maxStalenessMs)}</span>
    <meter
      min="0"
      max="${limit}"
      low="${limit * 0.6}"
      high="${limit * 0.9}"
      optimum="0"
      value="${Math.min(value, limit)}"
      aria-label="Age of ${view} against its limit"
    ></meter>`;
}

/** How long a refresh has been running, and how long it may go on. */
export function progress({
  refreshingSince,
  isRefreshing,
  meanDurationMs,
  view,
}: ViewStatus): Html | false {
  if (!isRefreshing || refreshingSince === undefined) {
    return false;
  }
  const elapsedMs = Math.max(0, Date.now() - refreshingSince.getTime());
  const seconds = Math.round(elapsedMs / 1_000);
  const estimate =
    meanDurationMs !== undefined &&
    html` of about ${shownDuration(meanDurationMs)}
      <progress
        max="${Math.max(1, Math.round(meanDurationMs))}"
        value="${Math.min(elapsedMs, meanDurationMs)}"
        aria-label="Refresh of ${view}"
      ></progress>`;
  return html`<div class="soft">
    running for <span data-elapsed="${seconds}">${coarse(elapsedMs)}</span>${estimate}
  </div>`;
}

const BAR = { width: 4, gap: 1, height: 26, least: 3, count: 30 };

/** The last runs as bars, oldest first; the height is the duration. One path per outcome keeps a long page small. */
export function runBars(runs: RecentRuns['runs']): Html {
  const longestMs = Math.max(1, ...runs.map(({ durationMs }) => durationMs));
  const paths = new Map<string, string>();
  const counts = new Map<string, number>();
  const offset = BAR.count - runs.length;
  runs.forEach(({ durationMs, outcome }, position) => {
    const height = Math.max(BAR.least, Math.round((durationMs / longestMs) * BAR.height));
    const x = (position + offset) * (BAR.width + BAR.gap);
    const bar = `M${x} ${BAR.height}v-${height}h${BAR.width}v${height}z`;
    paths.set(outcome, `${paths.get(outcome) ?? ''}${bar}`);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  });
  const said = [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
  const label =
    runs.length === 0
      ? 'No runs'
      : `The last runs: ${said}; the longest took ${shownDuration(longestMs)}`;
  const width = BAR.count * (BAR.width + BAR.gap);
  return html`<svg
    class="bars"
    role="img"
    aria-label="${label}"
    width="${width}"
    height="${BAR.height}"
    viewBox="0 0 ${width} ${BAR.height}"
  >
    <title>${label}</title>
    ${[...paths].map(([outcome, path]) => html`<path class="${outcome}" d="${path}" />`)}
  </svg>`;
}

/** The actions that a view's state allows. */
function possibleActions(status: ViewStatus): Action[] {
  return [status.isRefreshing ? 'cancel' : 'refresh', status.isPaused ? 'resume' : 'pause'];
}

const WORDS: Record<Action, string> = {
  refresh: 'Refresh',
  cancel: 'Cancel',
  pause: 'Pause',
  resume: 'Resume',
};

/** Links to the confirmation page. */
export function actionLinks(status: ViewStatus): Html {
  return html`<div class="actions">
    ${possibleActions(status).map(
      (action) =>
        html`<a
          class="button"
          href="confirm?${viewQuery(status, { action })}"
          aria-label="${WORDS[action]} ${status.view}"
          >${WORDS[action]}</a
        >`,
    )}
  </div>`;
}
