import type { ReleasedView } from './application.js';
import { fullName } from './names.js';
import type { Snapshot } from './snapshot.js';

/** What the library must remember about the views of a history, and what it must forget. */
export class Memory {
  /** Hand-made materialized views with one of our names that no class has declared since. */
  readonly handMade = new Set<string>();
  /** The names that the library may have records of. It must have none of any other name. */
  private readonly known = new Set<string>();
  /** The highest version of each view so far. */
  private readonly versions = new Map<number, number>();

  isFree(name: string): boolean {
    return !this.known.has(name);
  }

  /** Records that the views of a release now belong to the library. */
  declared(views: readonly ReleasedView[]): void {
    for (const { view, version, ...name } of views) {
      this.known.add(fullName(name));
      this.handMade.delete(fullName(name));
      this.versions.set(view, Math.max(version ?? 0, this.versions.get(view) ?? 0));
    }
  }

  /** Forgets everything about the views that were pruned. */
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

  /** Whether an earlier release had a newer version of the view than this one. */
  hasNewer({ view }: ReleasedView, release: readonly ReleasedView[]): boolean {
    const version = release.find((each) => each.view === view)?.version;
    return version !== undefined && version < (this.versions.get(view) ?? 0);
  }
}
