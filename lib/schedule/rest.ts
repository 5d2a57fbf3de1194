import type { ViewDefinition } from '../definition/view-definition.js';

/** A time in which there is nothing to find in the database. */
export class Rest {
  private untilMs = -Infinity;
  private untilDateMs = -Infinity;
  private views: readonly ViewDefinition[] = [];

  /** @param views those of which that is known */
  begin(forMs: number, views: readonly ViewDefinition[]): void {
    this.untilMs = performance.now() + forMs;
    this.untilDateMs = Date.now() + forMs;
    this.views = views;
  }

  /** For how long it lasts, by the clock that says less. */
  get leftMs(): number {
    return Math.max(0, Math.min(this.untilMs - performance.now(), this.untilDateMs - Date.now()));
  }

  /**
   * Whether there may be something to find. By either clock: the steady one stands still while the machine sleeps, the
   * other one may be set.
   */
  isOver(views: readonly ViewDefinition[]): boolean {
    return (
      performance.now() >= this.untilMs ||
      Date.now() >= this.untilDateMs ||
      views.some((view) => !this.views.includes(view))
    );
  }
}
