import { Index, PrimaryColumn, ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  type MaterializedViewEntityOptions,
  PlainViewEntity,
  type PlainViewEntityOptions,
  type ViewClass,
} from '../../lib/index.js';

/** A schedule whose ticks never come during a test. */
export const YEARLY = '0 0 1 1 *';

export interface TestView extends MaterializedViewEntityOptions {
  expression: string;
  columns?: string[];
  /** The properties of a unique index `<name>_key`. */
  key?: string[];
}

/** A new decorated class, as one release of an application declares it. The next release may declare the view differently. */
export function viewClass({ columns = ['id'], key = [], ...options }: TestView): ViewClass {
  const View = class {};
  // The class name stays the same in all releases of a view, as in an application.
  Object.defineProperty(View, 'name', { value: `View of ${options.name}` });
  columns.forEach((column) => ViewColumn()(View.prototype, column));
  if (key.length > 0) {
    Index(`${options.name}_key`, key, { unique: true })(View);
  }
  MaterializedViewEntity(options)(View);
  return View;
}

export interface TestPlainView extends PlainViewEntityOptions {
  expression: string;
  columns?: string[];
  /** The properties that are primary columns. */
  key?: string[];
}

/** The same for a plain view. */
export function plainViewClass({
  columns = ['id'],
  key = [],
  ...options
}: TestPlainView): new () => Record<string, unknown> {
  const View = class {};
  Object.defineProperty(View, 'name', { value: `View of ${options.name}` });
  columns.forEach((column) =>
    (key.includes(column) ? PrimaryColumn({ type: 'int' }) : ViewColumn())(View.prototype, column),
  );
  PlainViewEntity(options)(View);
  return View as new () => Record<string, unknown>;
}
