import { MultiBar, type SingleBar } from 'cli-progress';
import type { EventEmitter } from 'node:events';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import type {
  RefreshFailedEvent,
  RefreshRetryingEvent,
  RefreshStartedEvent,
  RefreshSucceededEvent,
} from '../refresh/refresh-events.js';
import type { ViewStatus } from '../status/view-status.js';
import { shownDuration } from '../definition/format.js';
import type { Output } from './output.js';

const FRAMES_PER_SECOND = 4;

/**
 * Shows refreshes while they run: on a terminal one live line per view, elsewhere a line for each start and end.
 */
export class RefreshDisplay {
  private readonly bars: MultiBar | undefined;
  private readonly running = new Map<string, { bar: SingleBar; startedAtMs: number }>();
  private readonly usualMs: ReadonlyMap<string, number | undefined>;
  private readonly timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly output: Output,
    events: EventEmitter,
    statuses: readonly ViewStatus[],
  ) {
    this.usualMs = new Map(statuses.map((each) => [each.view, each.meanDurationMs]));
    if (output.isLive) {
      this.bars = liveBars(output);
      this.timer = setInterval(() => this.tick(), 1_000 / FRAMES_PER_SECOND);
    }
    events.on(MaterializedViewEvents.refreshStarted, (event: RefreshStartedEvent) =>
      this.started(event),
    );
    events.on(MaterializedViewEvents.refreshSucceeded, ({ view, result }: RefreshSucceededEvent) =>
      this.ended(view, `${result.outcome} in ${shownDuration(result.durationMs)}`),
    );
    events.on(MaterializedViewEvents.refreshRetrying, ({ view, error }: RefreshRetryingEvent) =>
      this.ended(view, `failed (${error.code}), tried again`),
    );
    events.on(MaterializedViewEvents.refreshFailed, ({ view, error }: RefreshFailedEvent) => {
      this.ended(view, `failed: ${error.message}`);
    });
  }

  /** Restores the terminal. */
  stop(): void {
    clearInterval(this.timer);
    this.tick();
    this.bars?.stop();
  }

  private started({ view }: RefreshStartedEvent): void {
    const usualMs = this.usualMs.get(view);
    if (this.bars === undefined) {
      const usual = usualMs === undefined ? '' : `, usually ${shownDuration(usualMs)}`;
      this.output.note(`${view}: started${usual}`);
      return;
    }
    const bar = this.running.get(view)?.bar ?? this.bars.create(usualMs ?? 1, 0);
    this.running.set(view, { bar, startedAtMs: performance.now() });
    this.tick();
  }

  private ended(view: string, what: string): void {
    if (this.bars === undefined) {
      this.output.note(`${view}: ${what}`);
      return;
    }
    const running = this.running.get(view);
    this.running.delete(view);
    running?.bar.update(running.bar.getTotal(), { line: `${view}  ${what}` });
    running?.bar.stop();
  }

  private tick(): void {
    for (const [view, { bar, startedAtMs }] of this.running) {
      const elapsedMs = performance.now() - startedAtMs;
      const usualMs = this.usualMs.get(view);
      const usual = usualMs === undefined ? '' : ` of usually ${shownDuration(usualMs)}`;
      const line = `${view}  ${shownDuration(elapsedMs)}${usual}`;
      bar.update(usualMs === undefined ? 0 : Math.min(elapsedMs, usualMs), { line });
    }
  }
}

function liveBars({ stderr }: Output): MultiBar {
  return new MultiBar({
    stream: stderr,
    format: '{bar} {line}',
    barsize: 20,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    fps: FRAMES_PER_SECOND,
    hideCursor: true,
    gracefulExit: false,
    emptyOnZero: true,
  });
}
