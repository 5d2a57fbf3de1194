import type { Log } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import type { RefreshResult, SkipReason } from '../refresh/refresh-result.js';
import { changeRequest } from '../refresh/occasions.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import type { Dependencies } from '../graph/view-graph.js';
import type { DueTrigger } from './due-views.js';

/** How long a view is left alone while another refresh of it runs, in this or another process. */
const BUSY_HOLD_MS = 1_000;

export interface DueView {
  definition: ViewDefinition;
  trigger: DueTrigger;
  /** How many refreshes in a row each wrote what triggered the next; 0 if anything else wrote. */
  round: number;
}

/** `held`: not begun, because another refresh of a view below it is running. */
type Ending = RefreshResult | 'held' | 'failed';

/** Refreshes due views, each after those below it. Whether a refresh is needed is decided under the lock. */
export class DueRefresher {
  private readonly underWay = new Map<string, Promise<Ending>>();
  /** Until when this process leaves a view alone, by `performance.now()`. */
  private readonly heldUntilMs = new Map<string, number>();

  /**
   * @param failureHoldMs how long this process leaves a view alone after a failure, in addition to the backoff that
   *   the database remembers
   * @param onEnded called after each refresh, whatever its outcome
   */
  constructor(
    private readonly log: Log,
    private readonly runner: RefreshRunner,
    private readonly failureHoldMs: number,
    private readonly onEnded: () => void,
  ) {}

  /** Whether a refresh of the view may begin. */
  isFree(key: string): boolean {
    return !this.underWay.has(key) && performance.now() >= (this.heldUntilMs.get(key) ?? 0);
  }

  /** Leaves a view alone for a while. */
  hold(key: string, holdMs: number): void {
    this.heldUntilMs.set(key, performance.now() + holdMs);
  }

  /**
   * Starts all views that are free. Each begins when all refreshes below it have ended, including earlier ones.
   * Never throws.
   */
  begin(due: ReadonlyMap<string, DueView>, dependencies: Dependencies): void {
    const below = (key: string): ReadonlySet<string> => dependencies.get(key) ?? new Set();
    // A view depends on the views below it and on everything that they depend on, so it has more dependencies than they
    // have.
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
    // A refresh that another process begins from now on sees all writes that led to this one.
    const sinceMs = performance.now();
    // Another process's refresh of a view below is a change to this one, and the next poll finds it.
    const ending = endings.some(isHeld) ? 'held' : await this.refresh(view, sinceMs);
    this.underWay.delete(key);
    if (isHeld(ending) || ending === 'failed') {
      const holdMs = ending === 'failed' ? this.failureHoldMs : BUSY_HOLD_MS;
      this.hold(key, holdMs);
    }
    this.onEnded();
    return ending;
  }

  private async refresh({ definition, trigger, round }: DueView, sinceMs: number): Promise<Ending> {
    try {
      return await this.runner.run(changeRequest(definition, { trigger, round, sinceMs }));
    } catch (error) {
      const message = `After a change, "${viewName(definition)}" was not refreshed: ${messageOf(error)}`;
      if (error instanceof RefreshStoppedError) {
        this.log.debug(message);
      } else {
        this.log.error(message);
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
