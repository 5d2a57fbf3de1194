import { Logger } from '@nestjs/common';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import type { RefreshResult, SkipReason } from '../refresh/refresh-result.js';
import { modeOf } from '../refresh/refresh-request.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import type { Dependencies } from '../refresh/view-graph.js';
import type { DueTrigger } from './due-views.js';

/** How long a view is left alone that another process, or somebody in this one, is refreshing. */
const BUSY_HOLD_MS = 1_000;

export interface DueView {
  definition: ViewDefinition;
  trigger: DueTrigger;
}

type Ending = RefreshResult | 'held' | 'failed';

/** Refreshes what is due, views above after those below. Whether it is needed is decided under the lock. */
export class DueRefresher {
  private readonly logger = new Logger('MaterializedViews');
  private readonly underWay = new Map<string, Promise<Ending>>();
  /** Until when this process leaves a view alone, by `performance.now()`. */
  private readonly heldUntilMs = new Map<string, number>();

  /** @param failureHoldMs how long a view is left alone after a failure, beside what the database says */
  constructor(
    private readonly runner: RefreshRunner,
    private readonly failureHoldMs: number,
    private readonly onEnded: () => void,
  ) {}

  /** Whether the view may be begun. */
  isFree(key: string): boolean {
    return !this.underWay.has(key) && performance.now() >= (this.heldUntilMs.get(key) ?? 0);
  }

  /** Begins all that are free; each goes on when those below it, of now or of before, have ended. Never throws. */
  begin(due: ReadonlyMap<string, DueView>, dependencies: Dependencies): void {
    const below = (key: string): ReadonlySet<string> => dependencies.get(key) ?? new Set();
    // Dependencies are near and far: a view has more of them than each view below it.
    const inOrder = [...due].sort(([a], [b]) => below(a).size - below(b).size);
    for (const [key, view] of inOrder) {
      if (this.isFree(key)) {
        const before = [...below(key)].flatMap((each) => this.underWay.get(each) ?? []);
        this.underWay.set(key, this.carryOut(key, view, before));
      }
    }
  }

  private async carryOut(key: string, view: DueView, before: Promise<Ending>[]): Promise<Ending> {
    const endings = await Promise.all(before);
    // What another process begins from now on has seen all that this was decided for.
    const sinceMs = performance.now();
    // Whoever refreshes a view below commits a change to this one.
    const ending = endings.some(isHeld) ? 'held' : await this.refresh(view, sinceMs);
    this.underWay.delete(key);
    if (isHeld(ending) || ending === 'failed') {
      const holdMs = ending === 'failed' ? this.failureHoldMs : BUSY_HOLD_MS;
      this.heldUntilMs.set(key, performance.now() + holdMs);
    }
    this.onEnded();
    return ending;
  }

  private async refresh({ definition, trigger }: DueView, sinceMs: number): Promise<Ending> {
    try {
      return await this.runner.run({
        definition,
        trigger,
        mode: modeOf(definition),
        skipsPaused: true,
        skipsUnchanged: true,
        keepsMinInterval: false,
        servedSince: () => sinceMs,
        waitsWhenBusy: true,
      });
    } catch (error) {
      const message = `After a change, "${viewName(definition)}" was not refreshed: ${messageOf(error)}`;
      if (error instanceof RefreshStoppedError) {
        this.logger.debug(message);
      } else {
        this.logger.error(message);
      }
      return 'failed';
    }
  }
}

function isHeld(ending: Ending): boolean {
  return ending === 'held' || isSkipped(ending, 'busy');
}

function isSkipped(ending: Ending, reason: SkipReason): boolean {
  return typeof ending === 'object' && ending.outcome === 'skipped' && ending.reason === reason;
}
