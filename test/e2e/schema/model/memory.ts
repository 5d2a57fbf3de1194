import type { ReleasedView } from './application.js';
import { fullName } from './names.js';
import type { Snapshot } from './snapshot.js';

/** What the library has to remember of the views that a history had, and what it has to forget. */
export class Memory {
  /** Materialized views of the names of ours that somebody has made by hand, and that no class has declared since. */
  readonly handMade = new Set<string>();
  /** The names that the library has to know nothing of are all but these. */
  private readonly known = new Set<string>();
  /** The greatest version of each view. */
  private readonly versions = new Map<number, number>();

  isFree(name: string): boolean {
    return !this.known.has(name);
  }

  /** What a release declares and has made is the library's own. */
  declared(views: readonly ReleasedView[]): void {
    for (const { view, version, ...name } of views) {
      this.known.add(fullName(name));
      this.handMade.delete(fullName(name));
      this.versions.set(view, Math.max(version ?? 0, this.versions.get(view) ?? 0));
    }
  }

  /** What has been pruned is forgotten with all that was known of it. */
  pruned(views: readonly ReleasedView[], before: Snapshot, now: Snapshot): void {
    [...before.keys()]
      .filter((name) => !now.has(name))
      .forEach((name) => {
        this.known.delete(name);
        this.handMade.delete(name);
      });
    [...this.versions.keys()]
      .filter((view) => !views.some((each) => each.view === view))
      .forEach((view) => this.versions.delete(view));
  }

  /** Whether a release has an older version of a view than there has been. */
  hasNewer({ view }: ReleasedView, release: readonly ReleasedView[]): boolean {
    const version = release.find((each) => each.view === view)?.version;
    return version !== undefined && version < (this.versions.get(view) ?? 0);
  }
}
