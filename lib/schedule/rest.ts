import type { ViewDefinition } from '../definition/view-definition.js';

/** A time in which nothing will be due in the database. */
export class Rest {
  private untilMs = -Infinity;
  private untilDateMs = -Infinity;
  private views: readonly ViewDefinition[] = [];

  /** @param views the views for which that is known */
  begin(forMs: number, views: readonly ViewDefinition[]): void {
    this.untilMs = performance.now() + forMs;
    this.untilDateMs = Date.now() + forMs;
    this.views = views;
  }

  /** How much of it is left, by the clock that says less. */
  get leftMs(): number {
    return Math.max(0, Math.min(this.untilMs - performance.now(), this.untilDateMs - Date.now()));
  }

  /**
   * Whether something may be due, by either clock: the monotonic one stands still while the machine sleeps, the other
   * one may be set.
   */
  isOver(views: readonly ViewDefinition[]): boolean {
    return (
      performance.now() >= this.untilMs ||
      Date.now() >= this.untilDateMs ||
      views.some((view) => !this.views.includes(view))
    );
  }
}
