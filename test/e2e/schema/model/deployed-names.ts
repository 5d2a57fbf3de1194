import type { ReleasedView } from './application.js';
import { fullName, type Name } from './names.js';

/** The name of each view in the database. */
export class DeployedNames {
  private readonly names = new Map<number, Name>();
  private isThere: (name: Name) => boolean = () => false;

  of(view: number): Name | undefined {
    return this.names.get(view);
  }

  /** Whether nothing had the name after the last boot, not even a view that no class declares. */
  isFree(name: Name): boolean {
    return !this.isThere(name);
  }

  /**
   * Records which views are in the database after a boot.
   *
   * @param older the views of an older release that booted again. One whose newer name is still there keeps that: what
   * the older release made beside it belongs to no class.
   */
  settle(
    views: readonly ReleasedView[],
    isThere: (name: Name) => boolean,
    older: readonly ReleasedView[] = [],
  ): void {
    this.isThere = isThere;
    const made = older.filter(({ view }) => {
      const name = this.names.get(view);
      return (name === undefined || !isThere(name)) && views.every((each) => each.view !== view);
    });
    const declared = [...made, ...views];
    declared.forEach(({ view, schema, name }) => this.names.set(view, { schema, name }));
    const owners = new Map(declared.map((each) => [fullName(each), each.view]));
    for (const [view, name] of this.names) {
      // A name that a release declares for one view no longer belongs to another.
      if (!isThere(name) || (owners.get(fullName(name)) ?? view) !== view) {
        this.names.delete(view);
      }
    }
  }
}
