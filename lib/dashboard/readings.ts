import type { DeclaredView } from '../definition/declared-view.js';
import type { InspectedView } from '../introspection/inspected-view.js';
import type { RecentRuns, ViewHistoryEntry } from '../status/refresh-history.js';
import type { ViewStatus } from '../status/view-status.js';
import type { SchemaDifference } from '../schema/schema-difference.js';

export interface ViewName {
  dataSource: string;
  /** As `schema.name`. */
  view: string;
}

/** The same as one text. */
export function nameKey({ dataSource, view }: ViewName): string {
  return `${dataSource} ${view}`;
}

/** One view of the list. */
export interface ListedView {
  status: ViewStatus;
  declared?: DeclaredView;
  runs: RecentRuns['runs'];
}

/** What could not be read, in words. */
export interface ReadingFailure {
  dataSource: string;
  message: string;
}

export interface Overview {
  views: ListedView[];
  failures: ReadingFailure[];
}

/** Everything that is shown about one view. */
export interface ViewDetails {
  status: ViewStatus;
  declared?: DeclaredView;
  runs: ViewHistoryEntry[];
  /** `undefined` if the catalog has no such view. */
  inspected?: InspectedView;
  /** Left out if they could not be read. */
  differences?: SchemaDifference[];
  failures: string[];
}
