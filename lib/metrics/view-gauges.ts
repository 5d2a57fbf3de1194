import type { ViewStatus } from '../status/view-status.js';

export interface Sample {
  value: number;
  /** For a metric of states: which state. */
  status?: ViewState;
}

/** The measurements of each view, from its status. */
export interface ViewGauge {
  /** Its name in OpenTelemetry. */
  name: string;
  unit: 's' | 'By' | '{row}' | '{failure}' | '{holder}' | '';
  description: string;
  samples(status: ViewStatus): Sample[];
}

export type ViewState = 'fresh' | 'stale' | 'failed' | 'refreshing' | 'paused' | 'unpopulated';

const VIEW_STATES: readonly ViewState[] = [
  'fresh',
  'stale',
  'failed',
  'refreshing',
  'paused',
  'unpopulated',
];

/** The most important state of a view: problems come before a running refresh. */
function stateOf(status: ViewStatus): ViewState {
  const states: [ViewState, boolean][] = [
    ['unpopulated', !status.isPopulated],
    ['paused', status.isPaused],
    ['stale', status.isStale],
    ['failed', status.failureCount > 0 || status.jobProblem !== undefined],
    ['refreshing', status.isRefreshing === true],
  ];
  return states.find(([, holds]) => holds)?.[0] ?? 'fresh';
}

export const VIEW_GAUGES: readonly ViewGauge[] = [
  gauge('materialized_view.age', 's', 'Age of the rows of the view', ({ ageMs }) => seconds(ageMs)),
  gauge(
    'materialized_view.max_staleness',
    's',
    'How long rows may be out of date before the view counts as stale',
    ({ maxStalenessMs }) => seconds(maxStalenessMs),
  ),
  gauge(
    'materialized_view.last_success_timestamp',
    's',
    'When the last successful refresh ended, since the epoch',
    ({ lastSuccess }) => seconds(lastSuccess?.at.getTime()),
  ),
  gauge(
    'materialized_view.last_failure_timestamp',
    's',
    'When the last refresh failed, since the epoch',
    ({ lastFailure }) => seconds(lastFailure?.at.getTime()),
  ),
  gauge(
    'materialized_view.next_run_timestamp',
    's',
    'The next scheduled time of the view, since the epoch',
    ({ nextTick }) => seconds(nextTick?.getTime()),
  ),
  gauge(
    'materialized_view.paused_timestamp',
    's',
    "When the view was paused, since the epoch; absent if it isn't",
    ({ pausedAt, isPaused }) => (isPaused ? seconds(pausedAt?.getTime()) : undefined),
  ),
  gauge(
    'materialized_view.consecutive_failures',
    '{failure}',
    'Failures since the last success',
    ({ failureCount }) => failureCount,
  ),
  gauge(
    'materialized_view.blockers',
    '{holder}',
    'Sessions that hold the refresh lock without refreshing, or for too long',
    ({ lockedBy }) => lockedBy?.length ?? 0,
  ),
  gauge(
    'materialized_view.size',
    'By',
    'The size of the view with its indexes',
    ({ sizeBytes }) => sizeBytes,
  ),
  gauge(
    'materialized_view.index.size',
    'By',
    'The size of the indexes of the view',
    ({ indexSizeBytes }) => indexSizeBytes,
  ),
  gauge(
    'materialized_view.row.count',
    '{row}',
    "The planner's estimate of the rows of the view",
    ({ rowCountEstimate }) => rowCountEstimate,
  ),
  {
    name: 'materialized_view.status',
    unit: '',
    description: '1 for the state of the view, 0 for the others',
    samples: (status) =>
      VIEW_STATES.map((state) => ({ status: state, value: Number(stateOf(status) === state) })),
  },
];

function gauge(
  name: string,
  unit: ViewGauge['unit'],
  description: string,
  value: (status: ViewStatus) => number | undefined,
): ViewGauge {
  return {
    name,
    unit,
    description,
    samples: (status) => {
      const measured = value(status);
      return measured === undefined ? [] : [{ value: measured }];
    },
  };
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}
